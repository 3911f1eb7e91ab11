"""Answers queries: one root, the segments it shows, the live numbers of hours not published yet.

Hours that are closed and published come from the store; of the others those that the live service covers come
from there, else what was published of them while they were open. All queries of a call are answered from one
root, with all their segments read together.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount.counting import rollup
from recount.counting.counted import VISITOR_COUNT, Counts, with_counts
from recount.counting.rebuild import HOURS, day_rollup, hours_of_day
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, SERIES, TOTAL, Rollup, merge
from recount.errors import InvalidInput
from recount.keys import site_slot
from recount.periods import HOUR_MS, day_of, hour_of, hour_start_ms, hours_between
from recount.querying.live_source import LiveHours, LiveSource
from recount.querying.measures import Row
from recount.querying.plan import Composed, Plan, Shown, periods_of, plan
from recount.querying.query import Query, Span, needs_archive
from recount.querying.tables import ACTIVITY, LIVE, ROWS_SCHEMA, Data, rows_of, table
from recount.store.catalog import Site
from recount.store.manifests import Entry, Manifests, Root
from recount.store.provenance import period_key
from recount.store.segment_decode import counts
from recount.store.segments import SegmentStore, Wanted

LIVE_HOURS_MAX: Final = 6
ROOT_KEPT_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What answers are made of: `version` changes when, and only when, their rows could.

    Queries over the same span by the same steps have the same version.
    """

    version: str
    published_until_ms: int | None
    live_as_of_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Answers(Stamp):
    """`tables[i]` answers query i.

    A row has the dimension's value under its name (or `at`, ms UTC, and `date` for a series), the metrics,
    and `origin`: published, live, or mixed. `used`: the (period key, generation)s that were read.
    """

    tables: list[list[Row]]
    notes: tuple[str, ...]
    used: frozenset[tuple[str, str]] = frozenset()


@dataclass
class _Read:
    """What one call works with: one root, one look at the live service."""

    site: Site
    shown: Shown
    live: LiveHours | None
    published_until_ms: int | None
    open_until_ms: int | None
    used: set[tuple[str, str]] = field(default_factory=set)


class Answerer:
    """Safe to share between threads; keeps the root for about a second, segments for as long as they fit."""

    def __init__(
        self,
        manifests: Manifests,
        segments: SegmentStore,
        *,
        site_slots: int,
        live: LiveSource | None = None,
        root_kept_s: float = ROOT_KEPT_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._manifests = manifests
        self._segments = segments
        self._slots = site_slots
        self._live = live
        self._root_kept_s = root_kept_s
        self._now_ms = now_ms
        self._root: tuple[float, Root | None] = (-1e9, None)

    def answer(self, site: Site, query: Query) -> Answers:
        return self.answer_many(site, [query])

    def answer_many(self, site: Site, queries: Sequence[Query]) -> Answers:
        """Raises Unavailable where the tables do not answer, InvalidInput for what rollups do not know."""
        now_ms = self._now_ms()
        read, plans = self._planned(site, queries, now_ms)
        self._fetch(read, plans.values())
        asked: dict[tuple[Plan, bool], list[Query]] = {}
        for query, one in plans.items():
            asked.setdefault((one, self._united(site, query)), []).append(query)
        data = {
            key: self._load(read, key[0], _dimensions(whole), united=key[1]) for key, whole in asked.items()
        }
        tables: list[list[Row]] = []
        notes: dict[str, None] = dict.fromkeys(_freshness(read, queries, now_ms))
        for query in queries:
            rows, said = table(site, query, data[plans[query], self._united(site, query)], now_ms)
            tables.append(rows)
            notes |= dict.fromkeys(said)
        return Answers(
            tables=tables,
            published_until_ms=read.published_until_ms,
            live_as_of_ms=None if read.live is None else read.live.as_of_ms,
            notes=tuple(notes),
            used=frozenset(read.used),
            version=_version(read),
        )

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp:
        """What `answer_many` would be made of now, without reading any numbers. Raises Unavailable."""
        read, plans = self._planned(site, queries, self._now_ms())
        self._wanted(read, {period for one in plans.values() for period in (*one.numbers, *one.sets)})
        return Stamp(
            version=_version(read),
            published_until_ms=read.published_until_ms,
            live_as_of_ms=None if read.live is None else read.live.as_of_ms,
        )

    def extent(self, site: Site) -> tuple[str, str] | None:
        """The first and the last local date with published numbers; None where there are none."""
        root = self._current()
        months = [] if root is None else sorted(root.months)
        found: list[str] = []
        for order in (months, reversed(months)):
            day = next(
                (d for month in order for d in self._days_of(root, site, month, last=bool(found))), None
            )
            if day is None:
                return None
            found.append(day)
        return found[0], found[1]

    def _days_of(self, root: Root | None, site: Site, month: str, *, last: bool) -> Iterable[str]:
        """The dates of a month on which the site has data, from the first or the last on."""
        assert root is not None
        slot = site_slot(site.id, self._slots)
        periods = self._manifests.manifest(month, root.months[month]).periods
        shown = {key: entry.generation(slot) for key, entry in periods.items() if not key.startswith("hour/")}
        wanted = {
            key: (site.id, key, generation) for key, generation in shown.items() if generation is not None
        }
        whole = period_key("month", month)
        is_made = whole in periods and bool(periods[whole].generations())
        if is_made and (whole not in wanted or self._segments.places([wanted[whole]]) == [None]):
            return
        days = sorted((key for key in wanted if key.startswith("day/")), reverse=last)
        for key, place in zip(days, self._segments.places([wanted[key] for key in days]), strict=True):
            if place is not None:
                yield key.removeprefix("day/")

    def _current(self) -> Root | None:
        at, root = self._root
        now = time.monotonic()
        if now - at >= self._root_kept_s:
            root = self._manifests.current()
            self._root = (now, root)
        return root

    def _planned(self, site: Site, queries: Sequence[Query], now_ms: int) -> tuple[_Read, dict[Query, Plan]]:
        for query in queries:
            if beyond := needs_archive(query):
                raise InvalidInput(beyond.why, field=beyond.field)
        read = self._look(site, {query.span for query in queries}, now_ms)
        made = {
            (span, by_hour): plan(span, site.timezone, read.shown, by_hour=by_hour)
            for span, by_hour in {(query.span, query.interval == "hour") for query in queries}
        }
        return read, {query: made[query.span, query.interval == "hour"] for query in queries}

    def _look(self, site: Site, spans: Iterable[Span], now_ms: int) -> _Read:
        root = self._current()
        recent = list(hours_between(now_ms - (LIVE_HOURS_MAX - 1) * HOUR_MS, now_ms + 1))
        days = {day_of(hour_start_ms(h) + edge, site.timezone) for h in recent for edge in (0, HOUR_MS - 1)}
        hours = {*recent, *(hour for day in days for hour in hours_of_day(day, site.timezone))}
        keys = {key for span in spans for key in periods_of(span, site.timezone)}
        entries = self._manifests.entries(root, keys | {period_key("hour", hour) for hour in hours})
        pending = [hour for hour in recent if _is_pending(entries, hour)]
        asked = [hour for hour in pending if any(_overlaps(hour, span, site) for span in spans)]
        live = self._live.hours(site.id, asked) if self._live is not None and asked else None
        covered = frozenset() if live is None else live.hours.intersection(asked)
        until = self._published_until(root)
        open_until = [e.open_until for h, e in _entries(entries, recent) if h not in covered and e.open_until]
        return _Read(site, Shown(entries, covered), live, until, max(open_until, default=None))

    def _published_until(self, root: Root | None) -> int | None:
        """The end of the newest hour that is published, or how far it is."""
        for month in sorted(() if root is None else root.months, reverse=True):
            assert root is not None
            periods = self._manifests.manifest(month, root.months[month]).periods
            hours = [key for key in periods if key.startswith("hour/")]
            if hours:
                newest = max(hours)
                return periods[newest].open_until or hour_start_ms(newest.removeprefix("hour/")) + HOUR_MS
        return None

    def _united(self, site: Site, query: Query) -> bool:
        """Whether visitors of several days can be told apart: sets are united instead of numbers added."""
        return site.identity == "first_party" and query.interval is None

    def _wanted(self, read: _Read, periods: Iterable[str]) -> list[Wanted]:
        slot = site_slot(read.site.id, self._slots)
        shown = ((period, read.shown.entries[period].generation(slot)) for period in periods)
        found = [(read.site.id, period, generation) for period, generation in shown if generation is not None]
        for (_, period, _), place in zip(found, self._segments.places(found), strict=True):
            if place is not None:
                read.used.add((period, place.generation))
        return found

    def _fetch(self, read: _Read, plans: Iterable[Plan]) -> None:
        """Have every segment of every plan in process, read together."""
        kept = list(dict.fromkeys(period for one in plans for period in one.numbers))
        self._segments.numbers(self._wanted(read, kept))

    def _load(self, read: _Read, one: Plan, dimensions: frozenset[str], *, united: bool) -> Data:
        composed = [self._composed(read, day) for day in one.composed]
        if united:
            parts = [*self._rollups(read, one.numbers), *(made for made, _ in composed)]
            whole = merge(parts, regroup=pl.lit(0))
            live = merge([made for _, made in composed], regroup=pl.lit(0))
            return _data([], [_shown(whole, live, dimensions)], united=True)
        inside = dimensions | {HOURS}
        months = self._numbers(read, one.months, dimensions | {SERIES})
        days = self._numbers(read, one.days, inside)
        return _data([months], [days, *(_shown(made, live, inside) for made, live in composed)], united=False)

    def _numbers(self, read: _Read, periods: Sequence[str], dimensions: frozenset[str]) -> Counts:
        parts = self._segments.numbers(self._wanted(read, periods))
        found = counts([part for part in parts if part is not None], dimensions)
        return Counts(found.rows.with_columns(pl.lit(0, pl.Int64).alias(LIVE)), found.revenue)

    def _rollups(self, read: _Read, periods: Sequence[str]) -> list[Rollup]:
        parts = self._segments.rollups(self._wanted(read, periods))
        return [part for part in parts if part is not None]

    def _composed(self, read: _Read, day: Composed) -> tuple[Rollup, Rollup]:
        """A day put together, and the live part of it."""
        zones = {read.site.id: read.site.timezone}
        live = rollup.empty()
        if read.live is not None and day.live:
            hour = pl.col("at") - pl.col("at") % HOUR_MS
            inside = hour.is_in([hour_start_ms(name) for name in day.live])
            live = Rollup(read.live.rollup.rows.filter(inside), read.live.rollup.revenue.filter(inside))
        parts = [*self._rollups(read, day.periods), live]
        return (
            day_rollup(merge(parts), day.day, zones, day.until_ms),
            day_rollup(live, day.day, zones, day.until_ms),
        )


def _data(months: Sequence[Counts], days: Sequence[Counts], *, united: bool) -> Data:
    nothing = Counts(pl.DataFrame(schema=ROWS_SCHEMA), pl.DataFrame(schema=REVENUE_SCHEMA))
    of_months, of_days = [nothing, *months], [nothing, *days]
    return Data(
        months=pl.concat([part.rows for part in of_months]),
        days=pl.concat([part.rows for part in of_days]),
        months_revenue=pl.concat([part.revenue for part in of_months]),
        days_revenue=pl.concat([part.revenue for part in of_days]),
        united=united,
    )


def _shown(made: Rollup, live: Rollup, dimensions: frozenset[str]) -> Counts:
    """Rows of ROWS_SCHEMA."""
    counted = with_counts(made)
    inside = pl.col("dimension").is_in(list(dimensions))
    activity = live.rows.select(*KEYS, pl.sum_horizontal(ACTIVITY).alias(LIVE))
    rows = (
        counted.rows.filter(inside)
        .join(activity, on=KEYS, how="left", maintain_order="left")
        .with_columns(pl.col(LIVE).fill_null(0), visitors=pl.col(VISITOR_COUNT))
    )
    return Counts(rows.select(*ROWS_SCHEMA), counted.revenue.filter(inside))


def _dimensions(queries: Iterable[Query]) -> frozenset[str]:
    return frozenset({TOTAL, *map(rows_of, queries)})


def _is_pending(entries: Mapping[str, Entry], hour: str) -> bool:
    entry = entries.get(period_key("hour", hour))
    return entry is None or entry.open_until is not None


def _entries(entries: Mapping[str, Entry], hours: Iterable[str]) -> list[tuple[str, Entry]]:
    return [(h, entries[period_key("hour", h)]) for h in hours if period_key("hour", h) in entries]


def _overlaps(hour: str, span: Span, site: Site) -> bool:
    start, end = span.bounds_ms(site.timezone)
    return hour_start_ms(hour) < end and hour_start_ms(hour) + HOUR_MS > start


def _freshness(read: _Read, queries: Sequence[Query], now_ms: int) -> Iterable[str]:
    """What must be said of the hours at the end of the range."""
    reaches = max((query.span.bounds_ms(read.site.timezone)[1] for query in queries), default=0)
    if reaches <= hour_start_ms(hour_of(now_ms)):
        return
    if read.open_until_ms is not None:
        yield "An hour was published before its end: bounces and durations of its last visits are missing."
    if read.live is None:
        yield "The live service does not answer: numbers end where they are published."


def _version(read: _Read) -> str:
    """The generations used, and the moment of the live numbers."""
    live = None if read.live is None or not read.shown.live else read.live.as_of_ms
    text = repr((read.site.id, read.site.rules_version, sorted(read.used), live, read.open_until_ms))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
