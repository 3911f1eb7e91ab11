"""Answers queries: one root, the segments it shows, the live numbers of hours not published yet.

Hours that are closed and published come from the store; of the others those that the live service covers come
from there, else what was published of them while they were open. All queries of a call are answered from one
root, with all their segments read together.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recount.counting.rollup import TOTAL
from recount.errors import InvalidInput
from recount.periods import hour_of, hour_start_ms
from recount.querying import buckets, extent
from recount.querying.confidence import Confidence
from recount.querying.data import Data
from recount.querying.live_source import LiveSource
from recount.querying.measures import Row
from recount.querying.plan import Plan, plan
from recount.querying.query import Query, Span
from recount.querying.reach import needs_archive
from recount.querying.reading import Look, Reader, Way, look
from recount.querying.tables import dimension_of, table
from recount.store.catalog import Site
from recount.store.manifests import Manifests, Root
from recount.store.segments import SegmentStore

ROOT_KEPT_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What answers are made of: `version` changes when, and only when, their rows could.

    Queries over the same span by the same steps have the same version.
    """

    version: str
    published_until_ms: int | None
    live_as_of_ms: int | None


@dataclass(frozen=True)
class About:
    """What is to be said of a table besides its rows: how many there are with those of other pages, and how
    far each metric can be trusted (`confidence`)."""

    total: int
    confidence: dict[str, Confidence]


@dataclass(frozen=True, kw_only=True)
class Answers(Stamp):
    """`tables[i]` answers query i, `about[i]` is what to say of it.

    A row has the dimension's value under its name (or `at`, ms UTC, and `date` for a series), the metrics,
    and `origin`: published, live, or mixed; where the query compares, `comparison` and `change`. `used`: the
    (period key, generation)s that were read; `root`: the publication whose state this is.
    """

    tables: list[list[Row]]
    notes: tuple[str, ...]
    about: tuple[About, ...] = ()
    used: frozenset[tuple[str, str]] = frozenset()
    root: str | None = None


@dataclass(frozen=True)
class _Part:
    """What a query's rows of one span are made from."""

    plan: Plan
    way: Way
    daily: bool  # values are asked for by the day


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
        self._reader = Reader(segments, site_slots)
        self._live = live
        self._root_kept_s = root_kept_s
        self._now_ms = now_ms
        self._root: tuple[float, Root | None] = (-1e9, None)

    def answer(self, site: Site, query: Query) -> Answers:
        return self.answer_many(site, [query])

    def answer_many(self, site: Site, queries: Sequence[Query]) -> Answers:
        """Raises Unavailable where the tables do not answer, InvalidInput for what rollups do not know."""
        now_ms = self._now_ms()
        seen, parts = self._planned(site, queries, now_ms)
        data = self._loaded(seen, parts)
        tables = [
            table(
                site,
                query,
                data[parts[query, query.span]],
                now_ms,
                None if query.compared is None else data[parts[query, query.compared]],
            )
            for query in queries
        ]
        notes = dict.fromkeys(_freshness(seen, queries, now_ms))
        if any(query.root for query in queries) and seen.root != self._current():
            notes |= {"These pages are of an earlier state. A newer state has been published since.": None}
        notes |= dict.fromkeys(note for one in tables for note in one.notes)
        return Answers(
            tables=[one.rows for one in tables],
            about=tuple(About(one.total, one.confidence) for one in tables),
            notes=tuple(notes),
            used=frozenset(seen.used),
            root=None if seen.root is None else seen.root.id,
            **_stamped(seen),
        )

    def stamp(self, site: Site, queries: Sequence[Query]) -> Stamp:
        """What `answer_many` would be made of now, without reading any numbers. Raises Unavailable."""
        seen, parts = self._planned(site, queries, self._now_ms())
        plans = [part.plan for part in parts.values()]
        self._reader.wanted(seen, {period for one in plans for period in (*one.numbers, *one.sets)})
        return Stamp(**_stamped(seen))

    def extent(self, site: Site) -> tuple[str, str] | None:
        """The first and the last local date with published numbers; None where there are none."""
        return extent.extent(site, self._current(), self._manifests, self._segments, self._slots)

    def _current(self) -> Root | None:
        at, root = self._root
        now = time.monotonic()
        if now - at >= self._root_kept_s:
            root = self._manifests.current()
            self._root = (now, root)
        return root

    def _root_of(self, queries: Sequence[Query]) -> Root | None:
        """The present root, or the one that pages of a listing were begun with."""
        names = {query.root for query in queries}
        if len(names) > 1:
            raise InvalidInput("the queries of a list go on from one and the same state", field="cursor")
        [name] = names or {None}
        current = self._current()
        if name is None or (current is not None and current.id == name):
            return current
        root = self._manifests.root(name)
        if root is None:
            raise InvalidInput("there is no such state; begin again without the cursor", field="cursor")
        return root

    def _planned(
        self, site: Site, queries: Sequence[Query], now_ms: int
    ) -> tuple[Look, dict[tuple[Query, Span], _Part]]:
        for query in queries:
            if beyond := needs_archive(site, query):
                raise InvalidInput(beyond.why, field=beyond.field)
        local = {(query, span): query.local_span(site, span) for query in queries for span in query.spans}
        root = self._root_of(queries)
        seen = look(site, set(local.values()), root, self._manifests, self._live, now_ms)
        plans: dict[tuple[Span, bool], Plan] = {}
        parts: dict[tuple[Query, Span], _Part] = {}
        for (query, asked), span in local.items():
            key = (span, buckets.needs_days(site, query))
            if key not in plans:
                plans[key] = plan(span, site.timezone, seen.shown, in_days=key[1])
            parts[query, asked] = _Part(plans[key], _way(site, query), bool(query.filters and query.interval))
        return seen, parts

    def _loaded(self, seen: Look, parts: dict[tuple[Query, Span], _Part]) -> dict[_Part, Data]:
        """What each part holds, of all dimensions that any query asks of it."""
        dimensions: dict[_Part, set[str]] = {}
        for (query, _), part in parts.items():
            dimensions.setdefault(part, {TOTAL}).add(dimension_of(query))
        self._reader.fetch(seen, [(part.plan, frozenset(names)) for part, names in dimensions.items()])
        return {
            part: self._reader.load(seen, part.plan, frozenset(names), part.way, daily=part.daily)
            for part, names in dimensions.items()
        }


def _way(site: Site, query: Query) -> Way:
    if query.interval is None:
        return Way.UNITED if site.identity == "first_party" else Way.NUMBERS
    return Way.QUARTERS if buckets.is_of_sets(site, query) else Way.NUMBERS


def _freshness(seen: Look, queries: Sequence[Query], now_ms: int) -> Iterable[str]:
    """What must be said of the hours at the end of the range."""
    reaches = max((query.reaches_ms(seen.site) for query in queries), default=0)
    if reaches <= hour_start_ms(hour_of(now_ms)):
        return
    if seen.open_from_ms is not None:
        yield "An hour was published before its end: bounces and durations of its last visits are missing."
    if seen.live is None:
        yield "The live service does not answer: numbers end where they are published."


def _stamped(seen: Look) -> dict[str, Any]:
    return {
        "version": _version(seen),
        "published_until_ms": seen.published_until_ms,
        "live_as_of_ms": None if seen.live is None else seen.live.as_of_ms,
    }


def _version(seen: Look) -> str:
    """The generations used, and the moment of the live numbers."""
    live = None if seen.live is None or not seen.shown.live else seen.live.as_of_ms
    text = repr((seen.site.id, seen.site.rules_version, sorted(seen.used), live, seen.open_from_ms))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
