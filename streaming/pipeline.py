"""One batch from Kafka into the live state: decode, leave out what is known, cut into visits, fold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount.columns import VISITOR_DIGITS, decode, positions
from recount.counting.fold import fold
from recount.counting.visits import Cut, cut
from recount.erasing.matching import applied, living
from recount.errors import Unavailable
from recount.event import EVENT_SCHEMA, RawEvent, encode
from recount.interpret import Interpreter
from recount.kafka import EVENTS
from recount.store.tombstones import Buried, none
from streaming.answers import BUCKET_MS, SERIES_MS
from streaming.open_visits import OpenVisits
from streaming.places import PlacedSites, by_place
from streaming.recent import RecentIds
from streaming.sites import SitesCache
from streaming.state import LiveState

END_OF_TIME_MS: Final = 2**53
Erasures = frozenset[tuple[str, bool]]
"""The tombstones in force, and whether the archive is rewritten for each."""


@dataclass(frozen=True)
class Taken:
    """What came of a batch; `received` are the moments (ms UTC) at which the door took the events counted."""

    events: int
    poison: int
    received: pl.Series = field(default_factory=lambda: pl.Series("received", [], pl.Int64))


class Pipeline:
    """Owned by the consuming thread; only `state` is shared."""

    def __init__(self, state: LiveState, sites: SitesCache, buried: Buried = none) -> None:
        """`buried` gives the tombstones in force."""
        self.state = state
        self._buried = buried
        self._sites = sites
        self._interpreter = Interpreter()
        self._open = OpenVisits()
        self._recent: dict[int, RecentIds] = {}
        self._placed = PlacedSites({})

    @property
    def can_start(self) -> bool:
        """Whether the catalog is known: without it history would be counted by the wrong rules, and what was
        erased would be shown."""
        try:
            self._buried()
        except Unavailable:
            return False
        return self._sites.loaded

    @property
    def erasures(self) -> Erasures:
        """What batches are counted without from now on."""
        return frozenset((tombstone.id, tombstone.rewritten) for tombstone in self._buried())

    @property
    def open_visits(self) -> int:
        return len(self._open)

    def warm_up(self) -> None:
        """Load what the first fold would load, so that the first event does not wait for it."""
        event = RawEvent(
            v=1,
            id="",
            spool="",
            seq=0,
            site="",
            ts=0,
            received=0,
            kind="pageview",
            source_kind="tracker",
            visitor="0" * VISITOR_DIGITS,
            ua="Mozilla/5.0",
            url="https://a/",
        )
        one = decode([encode(event)], positions(EVENTS, 0, [0])).events
        done = cut(one, None, END_OF_TIME_MS)
        fold(done.events, done.ends, {}, self._interpreter, series_ms=SERIES_MS, bucket_ms=BUCKET_MS)

    def take(self, values: Sequence[bytes], places: pl.DataFrame, horizon_ms: int, until_ms: int) -> Taken:
        """Count a batch (`places`: POSITION_SCHEMA); visits whose silence ran out by `until_ms` end.

        Events before the horizon are left out. A site so new that the catalog's copy lacks it is counted by
        default rules: the door knew it.
        """
        decoded = decode(values, places)
        events = living(applied(decoded.events, self._buried()))
        events = events.filter(pl.col("ts") >= horizon_ms)
        self._sites.known(events["site"].unique().to_list())
        fresh = by_place(self._fresh(events))
        if not fresh.is_empty():
            self._count(cut(fresh, self._open.take(fresh), until_ms))
        return Taken(fresh.height, len(decoded.poison), fresh["received"])

    def sweep(self, until_ms: int) -> None:
        """End the visits whose silence ran out by `until_ms`."""
        over = self._open.sweep(until_ms)
        if not over.is_empty():
            self._count(cut(pl.DataFrame(schema=EVENT_SCHEMA), over, END_OF_TIME_MS))

    def start_from(self, carry: pl.DataFrame) -> None:
        """Visits (CARRY_SCHEMA, `site` by place) that were open where the reading of a partition begins."""
        self._open.put(carry)

    def drop(self, partitions: Collection[int]) -> None:
        """Forget everything about these partitions."""
        self.state.drop_partitions(partitions)
        self._open.drop(partitions)
        for partition in partitions:
            self._recent.pop(partition, None)

    def _fresh(self, events: pl.DataFrame) -> pl.DataFrame:
        parts = events.partition_by("partition", as_dict=True, maintain_order=True)
        fresh = [
            self._recent.setdefault(int(partition), RecentIds()).fresh(part)
            for (partition,), part in parts.items()
        ]
        return pl.concat(fresh) if fresh else events

    def _count(self, done: Cut) -> None:
        known = self._sites.known()
        if known is not self._placed.sites:
            self._placed = PlacedSites(known)
        self.state.add(
            fold(
                done.events,
                done.ends,
                self._placed,
                self._interpreter,
                series_ms=SERIES_MS,
                bucket_ms=BUCKET_MS,
            )
        )
        self._open.put(done.carry)
