"""One call's reads: what is published and live at one moment, and the segments of a plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import polars as pl

from recount.counting import rollup
from recount.counting.counted import Counts
from recount.counting.rebuild import HOURS, day_rollup, hours_of_day
from recount.counting.rollup import SERIES, TOTAL, Rollup, merge
from recount.keys import site_slot
from recount.periods import HOUR_MS, day_of, hour_start_ms, hours_between
from recount.querying.data import LIVE, Data, Part, Quarters, concat, shown
from recount.querying.live_source import LiveHours, LiveSource
from recount.querying.plan import Composed, Plan, Shown, periods_of
from recount.querying.query import Span
from recount.store.catalog import Site
from recount.store.lru import Lru
from recount.store.manifests import Entry, Manifests, Root
from recount.store.provenance import period_key
from recount.store.segment_decode import counts
from recount.store.segment_wire import HEAD_DIMENSIONS
from recount.store.segments import SegmentStore, Wanted

LIVE_HOURS_MAX: Final = 6
SUMS_MAX_BYTES: Final = 64 * 1024**2


class Way(Enum):
    """How days are added up: numbers as they are stored, visitors of all days told apart, or totals by the
    quarter of an hour with their visitors."""

    NUMBERS = "numbers"
    UNITED = "united"
    QUARTERS = "quarters"


@dataclass
class Look:
    """What one call works with: one root, one look at the live service. `open_from_ms`: the first hour that
    was published before its end and that live does not stand in for."""

    site: Site
    root: Root | None
    shown: Shown
    live: LiveHours | None
    published_until_ms: int | None
    open_from_ms: int | None
    used: set[tuple[str, str]] = field(default_factory=set)


def look(
    site: Site,
    spans: Collection[Span],
    root: Root | None,
    manifests: Manifests,
    live_source: LiveSource | None,
    now_ms: int,
) -> Look:
    """`spans` are local to the site."""
    recent = list(hours_between(now_ms - (LIVE_HOURS_MAX - 1) * HOUR_MS, now_ms + 1))
    days = {day_of(hour_start_ms(h) + edge, site.timezone) for h in recent for edge in (0, HOUR_MS - 1)}
    hours = {*recent, *(hour for day in days for hour in hours_of_day(day, site.timezone))}
    keys = {key for span in spans for key in periods_of(span, site.timezone)}
    entries = manifests.entries(root, keys | {period_key("hour", hour) for hour in hours})
    pending = [hour for hour in recent if _is_pending(entries, hour)]
    asked = [hour for hour in pending if any(_overlaps(hour, span, site) for span in spans)]
    live = live_source.hours(site.id, asked) if live_source is not None and asked else None
    covered = frozenset() if live is None else live.hours.intersection(asked)
    still_open = [h for h, e in _entries(entries, recent) if h not in covered and e.open_until]
    return Look(
        site,
        root,
        Shown(entries, covered),
        live,
        manifests.published_until_ms(root),
        min(map(hour_start_ms, still_open), default=None),
    )


class Reader:
    """Reads what plans name. Safe to share between threads."""

    def __init__(self, segments: SegmentStore, site_slots: int) -> None:
        self.segments = segments
        self.site_slots = site_slots
        self._sums = Lru(SUMS_MAX_BYTES)
        segments.forget_also(self._sums.clear)

    def wanted(self, look: Look, periods: Iterable[str]) -> list[Wanted]:
        """Where to read periods; what has data of the site counts as used."""
        slot = site_slot(look.site.id, self.site_slots)
        names = ((period, look.shown.entries[period].generation(slot)) for period in periods)
        found = [(look.site.id, period, generation) for period, generation in names if generation is not None]
        for (_, period, _), place in zip(found, self.segments.places(found), strict=True):
            if place is not None:
                look.used.add((period, place.generation))
        return found

    def fetch(self, look: Look, plans: Iterable[tuple[Plan, frozenset[str]]]) -> None:
        """Have every segment of every plan in process, at least with its dimensions, read together."""
        whole = dict[str, None]()
        heads = dict[str, None]()
        for one, dimensions in plans:
            periods = dict.fromkeys(one.numbers)
            if HEAD_DIMENSIONS.issuperset(dimensions):
                heads |= periods
            else:
                whole |= periods
        self.segments.numbers(self.wanted(look, whole))
        self.segments.numbers(self.wanted(look, heads), HEAD_DIMENSIONS)

    def load(
        self, look: Look, one: Plan, dimensions: frozenset[str], way: Way, *, daily: bool = False
    ) -> Data:
        """The rows of `dimensions` that a plan holds; `daily`: values are asked for by the day, too."""
        if way is Way.QUARTERS:
            return self._quarters(look, one)
        united = way is Way.UNITED
        parts = [self._united(look, one, dimensions)] if united else self._parts(look, one, dimensions, daily)
        return Data(parts, united, len(one.numbers) + len(one.sets), self._is_open(look, one))

    def _united(self, look: Look, one: Plan, dimensions: frozenset[str]) -> Part:
        composed = [self._composed(look, day, dimensions) for day in one.composed]
        stored = self._rollups(look, one.numbers, dimensions)
        whole = merge([*stored, *(made for made, _ in composed)], regroup=pl.lit(0))
        live = merge([made for _, made in composed], regroup=pl.lit(0))
        return Part.of(concat([]), shown(whole, live, dimensions))

    def _parts(self, look: Look, one: Plan, dimensions: frozenset[str], daily: bool) -> list[Part]:
        """What is stored, and the days put together."""
        stored = self._stored(look, one, dimensions, daily)
        if not one.composed:
            return [stored]
        inside = dimensions | {HOURS}
        made = [shown(*self._composed(look, day, dimensions), inside) for day in one.composed]
        return [stored, Part.of(concat([]), concat(made), daily=daily)]

    def _stored(self, look: Look, one: Plan, dimensions: frozenset[str], daily: bool) -> Part:
        """What is stored never changes, and so do sums of it: those of the last pages are kept."""
        months, days = self.wanted(look, one.months), self.wanted(look, one.days)
        key = (look.site.id, tuple(months), tuple(days), dimensions, daily)
        found = self._sums.get(key, Part)
        if found is None:
            found = Part.of(
                self._numbers(months, dimensions | {SERIES}),
                self._numbers(days, dimensions | {HOURS}),
                daily=daily,
            )
            self._sums.put(key, found, found.size_bytes)
        return found

    def _quarters(self, look: Look, one: Plan) -> Data:
        composed = [self._composed(look, day, frozenset({TOTAL})) for day in one.composed]
        series = pl.col("dimension") == SERIES
        parts = [*self._rollups(look, one.days, {SERIES}), *(made for made, _ in composed)]
        made, live = (_joined(each, series) for each in (parts, [live for _, live in composed]))
        months = Part.of(self._numbers(self.wanted(look, one.months), {TOTAL}), concat([]))
        segments = len(one.numbers) + len(one.sets)
        return Data([months], True, segments, self._is_open(look, one), Quarters(made, live))

    def _numbers(self, wanted: Sequence[Wanted], dimensions: Collection[str]) -> Counts:
        parts = self.segments.numbers(wanted, dimensions)
        found = counts([part for part in parts if part is not None], dimensions)
        return Counts(found.rows.with_columns(pl.lit(0, pl.Int64).alias(LIVE)), found.revenue)

    def _rollups(self, look: Look, periods: Sequence[str], dimensions: Collection[str]) -> list[Rollup]:
        parts = self.segments.rollups(self.wanted(look, periods), dimensions)
        return [part for part in parts if part is not None]

    def _composed(self, look: Look, day: Composed, dimensions: frozenset[str]) -> tuple[Rollup, Rollup]:
        """A day put together, with its series, and the live part of it."""
        zones = {look.site.id: look.site.timezone}
        inside = dimensions | {SERIES}
        live = rollup.empty()
        if look.live is not None and day.live:
            hour = pl.col("at") - pl.col("at") % HOUR_MS
            is_live = hour.is_in([hour_start_ms(name) for name in day.live])
            kept = is_live & pl.col("dimension").is_in(list(inside))
            live = Rollup(look.live.rollup.rows.filter(kept), look.live.rollup.revenue.filter(kept))
        parts = merge([*self._rollups(look, day.periods, inside), live])
        if day.is_off_the_hour:
            parts, live = _by_quarters(parts), _by_quarters(live)
        return (
            day_rollup(parts, day.day, zones, day.until_ms, day.from_ms),
            day_rollup(live, day.day, zones, day.until_ms, day.from_ms),
        )

    def _is_open(self, look: Look, one: Plan) -> bool:
        """Whether a plan reads an hour that has not ended."""
        if any(day.live for day in one.composed):
            return True
        days = {day.removeprefix("day/") for day in one.days} | {day.day for day in one.composed}
        return look.open_from_ms is not None and day_of(look.open_from_ms, look.site.timezone) in days


def _by_quarters(parts: Rollup) -> Rollup:
    """Totals by the quarter, as the series has them: full hours would reach beyond where a day is cut."""
    kept = pl.col("dimension") != TOTAL
    series = pl.col("dimension") == SERIES

    def moved(rows: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([rows.filter(kept), rows.filter(series).with_columns(dimension=pl.lit(TOTAL))])

    return Rollup(moved(parts.rows), moved(parts.revenue))


def _joined(parts: Sequence[Rollup], keep: pl.Expr) -> Rollup:
    """Some rows of rollups, one after another."""
    whole = [rollup.empty(), *parts]
    return Rollup(
        pl.concat([part.rows.filter(keep) for part in whole]),
        pl.concat([part.revenue.filter(keep) for part in whole]),
    )


def _is_pending(entries: Mapping[str, Entry], hour: str) -> bool:
    entry = entries.get(period_key("hour", hour))
    return entry is None or entry.open_until is not None


def _entries(entries: Mapping[str, Entry], hours: Iterable[str]) -> list[tuple[str, Entry]]:
    return [(h, entries[period_key("hour", h)]) for h in hours if period_key("hour", h) in entries]


def _overlaps(hour: str, span: Span, site: Site) -> bool:
    start, end = span.bounds_ms(site.timezone)
    return hour_start_ms(hour) < end and hour_start_ms(hour) + HOUR_MS > start
