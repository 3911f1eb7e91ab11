"""What can be asked of a site: `parse` makes a query of a request, `answers` answers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from recount.counting.rollup import PROP_PREFIX, VERDICT
from recount.periods import day_of, day_span_ms, days_between
from recount.store.catalog import Site

Interval = Literal["hour", "day", "week", "month"]
Operator = Literal["equals", "not", "contains", "matches"]

METRICS: Final = (
    *("visitors", "visits", "pageviews", "events", "bounce_rate", "visit_duration", "views_per_visit"),
    *("engagement", "scroll", "revenue", "exits", "conversions", "conversion_rate"),
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
OF_GOALS: Final = ("conversions", "conversion_rate")
GOAL: Final = "goal"
INTERVALS: Final = ("hour", "day", "week", "month")
DIRECTIONS: Final = ("asc", "desc")
OPERATORS: Final = ("equals", "not", "contains", "matches")
FIELDS: Final = (
    *("site", "metrics", "dimensions", "date_range", "timezone", "interval", "filters", "compare"),
    *("order_by", "limit", "offset", "cursor", "explain"),
)
RANGES: Final = ("today", "yesterday", "month", "<n>d", "<n>mo")
COMPARISONS: Final = ("previous_period", "previous_year")

DEFAULT_METRICS: Final = ("visitors", "visits", "pageviews")
DEFAULT_RANGE: Final = "7d"
DEFAULT_LIMIT: Final = 100
LIMIT_MAX: Final = 10_000
DAYS_MAX: Final = 3_700
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 2100
HOURLY_DAYS_MAX: Final = 31
FINE_DAYS_MAX: Final = 92
"""How long a range may be whose series is put together from quarters of an hour or from single days."""

OFFSET_MAX: Final = 1_000_000
ORDER_MAX: Final = 5
FILTERS_MAX: Final = 20
FILTER_VALUES_MAX: Final = 100
DIMENSIONS_MAX: Final = 4


@dataclass(frozen=True)
class Span:
    """Local dates, both included; `from_ms` cuts the first one short and `until_ms` the last, at full
    quarters of an hour."""

    first: str
    last: str
    until_ms: int | None = None
    from_ms: int | None = None

    @property
    def days(self) -> list[str]:
        return days_between(self.first, self.last)

    def bounds_ms(self, zone: str) -> tuple[int, int]:
        """[first moment, first moment after)."""
        start, end = day_span_ms(self.first, zone)[0], day_span_ms(self.last, zone)[1]
        return (
            start if self.from_ms is None else max(start, self.from_ms),
            end if self.until_ms is None else min(end, self.until_ms),
        )

    def in_zone(self, zone: str, other: str) -> Span:
        """The same moments by the dates of another zone."""
        return self if zone == other else span_of(*self.bounds_ms(zone), other)

    def before(self) -> Span:
        """As many days, right before: what a range is compared with."""
        days = len(self.days)
        first, last = (date.fromisoformat(d) - timedelta(days=days) for d in (self.first, self.last))
        return Span(first.isoformat(), last.isoformat())


def span_of(start_ms: int, end_ms: int, zone: str) -> Span:
    """The dates of a zone that hold [start, end), cut short where they reach beyond."""
    first, last = day_of(start_ms, zone), day_of(max(start_ms, end_ms - 1), zone)
    begins, ends = day_span_ms(first, zone)[0], day_span_ms(last, zone)[1]
    return Span(first, last, end_ms if end_ms < ends else None, start_ms if start_ms > begins else None)


@dataclass(frozen=True)
class Filter:
    """Keeps what has a value of `dimension` that any (with `not`: none) of `values` fits; `*` in a value of
    `matches` stands for any text."""

    dimension: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """By a metric or a dimension that is asked for."""

    by: str
    descending: bool = True


@dataclass(frozen=True)
class Query:
    """One table: a row per combination of values of `dimensions`, per bucket of `interval`, or a single row.

    Filters keep what passes all of them. Dates are those of `timezone`, of the site unless given; with
    `compared` rows also say what they are there. `root`: the publication whose state is asked for, the
    present one unless given.
    """

    span: Span
    metrics: tuple[str, ...] = DEFAULT_METRICS
    dimensions: tuple[str, ...] = ()
    interval: Interval | None = None
    filters: tuple[Filter, ...] = ()
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    order: tuple[Order, ...] = ()
    timezone: str | None = None
    compared: Span | None = None
    root: str | None = None

    @property
    def dimension(self) -> str | None:
        """The one dimension that rows are of; None for totals and series."""
        return self.dimensions[0] if self.dimensions else None

    @property
    def spans(self) -> tuple[Span, ...]:
        """What is asked for, and what it is compared with."""
        return (self.span,) if self.compared is None else (self.span, self.compared)

    def zone(self, site: Site) -> str:
        return self.timezone or site.timezone

    def bounds_ms(self, site: Site) -> tuple[int, int]:
        """[first moment, first moment after)."""
        return self.span.bounds_ms(self.zone(site))

    def reaches_ms(self, site: Site) -> int:
        """The end of what is asked for and compared with, whichever is later."""
        return max(span.bounds_ms(self.zone(site))[1] for span in self.spans)

    def local_span(self, site: Site, span: Span) -> Span:
        """One of `spans` by the dates of the site, as which days and months are stored."""
        return span.in_zone(self.zone(site), site.timezone)


def is_dimension(name: str) -> bool:
    return name in DIMENSIONS or (name.startswith(PROP_PREFIX) and len(name) > len(PROP_PREFIX))


def is_event_scoped(dimension: str) -> bool:
    """Whether rows of the dimension have visitors and counts, but no visits."""
    return dimension in EVENT_SCOPED or dimension.startswith(PROP_PREFIX)
