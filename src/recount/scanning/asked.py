"""What a scan is asked for, and which columns of the archive it takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from recount.counting.rollup import TOTAL, VERDICT
from recount.errors import InvalidInput
from recount.querying.query import Filter, Interval, Span
from recount.scanning.dimensions import EXIT_PAGE, PAGE, facts_of, is_of_visits
from recount.store.catalog import NO_COMMON, Site

AT: Final = "at"
_EVENTS: Final = (*("site", "visitor", "ts", "kind", "visit_start", "pageviews_before", "events_before"),)
_ENDS: Final = ("site", "visitor", "start", "last", "end_at", "pageviews", "events")
_OF_METRIC: Final = {
    "revenue": ("revenue_amount", "revenue_currency"),
    "engagement": ("engaged_ms",),
    "scroll": ("url", "scroll_percent"),
}
_OF_ENDS: Final = frozenset({"bounce_rate", "visit_duration", "exits"})


@dataclass(frozen=True)
class Asked:
    """Numbers by any number of dimensions, of what passes all filters.

    `zone` is that of the span's days. `united`: the visitors of several days can be told apart. `common`:
    what holds on all sites; `ruled`: that, or the site, has rules.
    """

    span: Span
    zone: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    interval: Interval | None = None
    united: bool = False
    common: Site = NO_COMMON
    ruled: bool = False

    def __post_init__(self) -> None:
        """Raises InvalidInput for what has no meaning together."""
        others = self.of_events - {EXIT_PAGE}
        if EXIT_PAGE in self.names and (others or VERDICT in self.names):
            other = sorted(others)[0] if others else VERDICT
            raise InvalidInput(
                f"exit_page is known of a visit that has ended; it cannot be combined with {other}, only "
                "with dimensions of whole visits, such as source, country or entry_page",
                field="dimensions" if EXIT_PAGE in self.dimensions else "filters",
            )

    @property
    def names(self) -> frozenset[str]:
        """Every dimension that is asked for or filtered."""
        return frozenset({*self.dimensions, *(one.dimension for one in self.filters)})

    @property
    def of_events(self) -> frozenset[str]:
        """Those that are true of single events, not of whole visits."""
        return frozenset(name for name in self.names if not is_of_visits(name))

    @property
    def counted_as(self) -> str:
        """The dimension of the fold whose rules count: visitors of a page are those who viewed it, visits of
        bots are in verdicts only, exits are of visit ends."""
        if VERDICT in self.names:
            return VERDICT
        if EXIT_PAGE in self.names:
            return EXIT_PAGE
        return PAGE if self.of_events == {PAGE} else TOTAL

    @property
    def keys(self) -> tuple[str, ...]:
        """What rows are told apart by: the dimensions, or the time of a series."""
        return self.dimensions or ((AT,) if self.interval else ())

    @property
    def labels(self) -> tuple[str, ...]:
        """The dimensions that the fold does not split by itself."""
        return tuple(name for name in self.dimensions if name != self.counted_as)

    @property
    def event_columns(self) -> tuple[str, ...]:
        """Columns of ARCHIVE_SCHEMA; none where only the ends of visits count."""
        counted = self.counted_event_columns
        return tuple(dict.fromkeys((*counted, *self._of(self.names)))) if counted else ()

    @property
    def counted_event_columns(self) -> tuple[str, ...]:
        """Those of `event_columns` that the fold looks at; the others tell only what the values are."""
        if self.counted_as == EXIT_PAGE:
            return ()
        extra = ("url",) if self.counted_as == PAGE or self.ruled else ()
        return tuple(dict.fromkeys((*_EVENTS, *self._of((VERDICT,)), *extra, *self._of_metrics())))

    @property
    def end_columns(self) -> tuple[str, ...]:
        """Columns of VISIT_END_SCHEMA; none where no metric is about ended visits, or where single events are
        asked for: an end is none."""
        counted = self.counted_end_columns
        return tuple(dict.fromkeys((*counted, *self._of(self.names)))) if counted else ()

    @property
    def counted_end_columns(self) -> tuple[str, ...]:
        """Those of `end_columns` that the fold looks at."""
        if self.of_events - {EXIT_PAGE} or not (_OF_ENDS & set(self.metrics) or EXIT_PAGE in self.names):
            return ()
        extra = ("exit_url",) if self.counted_as == EXIT_PAGE else ()
        return tuple(dict.fromkeys((*_ENDS, *self._of((VERDICT,)), *extra)))

    def _of(self, names: Collection[str]) -> list[str]:
        return [column for name in sorted(names) for column in facts_of(name, ruled=self.ruled)]

    def _of_metrics(self) -> list[str]:
        return [column for name in self.metrics for column in _OF_METRIC.get(name, ())]
