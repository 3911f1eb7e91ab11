"""What can be asked of a site: `parse` makes a query of a request, `answers` answers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from recount.counting.rollup import PROP_PREFIX, VERDICT
from recount.periods import day_span_ms, days_between

Interval = Literal["hour", "day"]
Operator = Literal["equals", "not", "contains", "matches"]

METRICS: Final = (
    *("visitors", "visits", "pageviews", "events", "bounce_rate", "visit_duration", "views_per_visit"),
    *("engagement", "scroll", "revenue", "exits"),
)
DIMENSIONS: Final = (
    *(
        "page",
        "entry_page",
        "exit_page",
        "hostname",
        "source",
        "referrer",
        "channel",
        "utm_source",
        "utm_medium",
    ),
    *("utm_campaign", "utm_term", "utm_content", "country", "region", "device", "browser", "browser_version"),
    *("os", "os_version", "language", "screen", "event", "goal", "outbound", "download", VERDICT),
)
EVENT_SCOPED: Final = frozenset({"page", "exit_page", "event", "goal", "outbound", "download"})
"""Dimensions whose rows have visitors and counts, but no visits; properties are of them, too."""

OF_VISITS: Final = ("visits", "bounce_rate", "visit_duration", "views_per_visit")
OPERATORS: Final = ("equals", "not", "contains", "matches")
FIELDS: Final = ("site", "metrics", "dimensions", "date_range", "interval", "filters", "limit", "explain")
RANGES: Final = ("today", "yesterday", "month", "<n>d", "<n>mo")

DEFAULT_METRICS: Final = ("visitors", "visits", "pageviews")
DEFAULT_RANGE: Final = "7d"
DEFAULT_LIMIT: Final = 100
LIMIT_MAX: Final = 10_000
DAYS_MAX: Final = 3_700
HOURLY_DAYS_MAX: Final = 31
FILTERS_MAX: Final = 20
FILTER_VALUES_MAX: Final = 100
DIMENSIONS_MAX: Final = 4


@dataclass(frozen=True)
class Span:
    """Local dates of a site, both included; `until_ms` cuts the last one short (to a full hour, in zones off
    the full hour to a quarter)."""

    first: str
    last: str
    until_ms: int | None = None

    @property
    def days(self) -> list[str]:
        return days_between(self.first, self.last)

    def bounds_ms(self, zone: str) -> tuple[int, int]:
        """[first moment, first moment after)."""
        start, end = day_span_ms(self.first, zone)[0], day_span_ms(self.last, zone)[1]
        return start, end if self.until_ms is None else min(end, self.until_ms)

    def before(self) -> Span:
        """As many days, right before: what a range is compared with."""
        days = len(self.days)
        first, last = (date.fromisoformat(d) - timedelta(days=days) for d in (self.first, self.last))
        return Span(first.isoformat(), last.isoformat())


@dataclass(frozen=True)
class Filter:
    """Keeps what has a value of `dimension` that any (with `not`: none) of `values` fits; `*` in a value of
    `matches` stands for any text."""

    dimension: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """One table: a row per combination of values of `dimensions`, per bucket of `interval`, or a single row.

    Filters keep what passes all of them.
    """

    span: Span
    metrics: tuple[str, ...] = DEFAULT_METRICS
    dimensions: tuple[str, ...] = ()
    interval: Interval | None = None
    filters: tuple[Filter, ...] = ()
    limit: int = DEFAULT_LIMIT

    @property
    def dimension(self) -> str | None:
        """The one dimension that rows are of; None for totals and series."""
        return self.dimensions[0] if self.dimensions else None


@dataclass(frozen=True)
class Beyond:
    """Why the rollups cannot answer a query, and which field asks for it."""

    why: str
    field: str


def is_dimension(name: str) -> bool:
    return name in DIMENSIONS or (name.startswith(PROP_PREFIX) and len(name) > len(PROP_PREFIX))


def is_event_scoped(dimension: str) -> bool:
    """Whether rows of the dimension have visitors and counts, but no visits."""
    return dimension in EVENT_SCOPED or dimension.startswith(PROP_PREFIX)


def needs_archive(query: Query) -> Beyond | None:
    """None for what the rollups answer: their rows are of one dimension each.

    So they know the total of one value, too, except the visits of a value that is not of a whole visit.
    """
    if len(query.dimensions) > 1:
        return Beyond("combinations of dimensions are not in the rollups; ask for one", "dimensions")
    for index, one in enumerate(query.filters):
        if one.dimension != query.dimension and not _is_of_one_value(query):
            where = f"filters[{index}].dimension"
            return Beyond(
                "the rollups know the dimension that is asked for, or the total of one value of another: "
                f"add dimensions: [{one.dimension!r}]",
                where,
            )
    return None


def _is_of_one_value(query: Query) -> bool:
    """Whether a total is that of a single value of a dimension."""
    if query.dimensions or query.interval or len(query.filters) != 1:
        return False
    [one] = query.filters
    asks_visits = not set(OF_VISITS).isdisjoint(query.metrics)
    is_single = one.operator == "equals" and len(one.values) == 1
    return is_single and not (asks_visits and is_event_scoped(one.dimension))
