"""Questions about one site, answered from the own state and that of the other owners."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from recount.counting.rollup import TOTAL, VERDICT, Rollup, merge
from recount.periods import HOUR_MS, hour_start_ms
from recount.store.catalog import Site
from streaming.answers import Answer, Window, answer, by_hours, covered_hours, off_the_hour
from streaming.hour_totals import HourTotals, totals
from streaming.peers import Peers
from streaming.places import partitions_of, places_of
from streaming.sites import SitesCache
from streaming.state import LiveState

SNAPSHOT_S: Final = 0.4
SNAPSHOTS_MAX: Final = 1_000


class Reading(Protocol):
    """How far the consumer is (see `Follower`)."""

    @property
    def partitions(self) -> frozenset[int]: ...

    @property
    def whole(self) -> frozenset[int]: ...

    @property
    def ready(self) -> bool: ...

    @property
    def horizon_ms(self) -> int: ...

    @property
    def as_of_ms(self) -> int: ...

    @property
    def positions(self) -> Mapping[int, int]: ...


@dataclass(frozen=True)
class Known:
    """A site's rollup, whether all that was asked for is in it, up to when, and what is whole in it."""

    rollup: Rollup
    complete: bool
    as_of_ms: int
    partitions: frozenset[int]


@dataclass(frozen=True)
class Asked:
    """Whose numbers are wanted: everybody's, or only this instance's (of these partitions)."""

    local: bool = False
    partitions: frozenset[int] | None = None


EVERYBODY: Final = Asked()


@dataclass(frozen=True)
class Snapshot:
    """The JSON of an answer; `state` leaves out the moment at which it was made."""

    body: bytes
    state: bytes


class Views:
    """May be asked from any thread; an answer is kept for a moment, so many viewers cost as much as one."""

    def __init__(
        self,
        state: LiveState,
        reading: Reading,
        sites: SitesCache,
        peers: Peers,
        published_until: Callable[[], int | None],
        *,
        partitions: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._state = state
        self._reading = reading
        self._sites = sites
        self._peers = peers
        self._published_until = published_until
        self._partitions = partitions
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[tuple[str, int, Asked], tuple[float, Snapshot]] = OrderedDict()

    def site(self, site_id: str) -> Site | None:
        return self._sites.get(site_id)

    @property
    def covered_hours(self) -> list[str]:
        return covered_hours(self._reading.horizon_ms, self._now_ms())

    def snapshot(self, site: Site, minutes: int, asked: Asked = EVERYBODY) -> Snapshot:
        """The answer of `/v1/live/<site>`."""
        key = (site.id, minutes, asked)
        with self._lock:
            made_at, kept = self._snapshots.get(key, (float("-inf"), None))
        if kept is not None and time.monotonic() - made_at < SNAPSHOT_S:
            return kept
        fresh = self._make(site, minutes, asked)
        with self._lock:
            self._snapshots[key] = (time.monotonic(), fresh)
            self._snapshots.move_to_end(key)
            while len(self._snapshots) > SNAPSHOTS_MAX:
                self._snapshots.popitem(last=False)
        return fresh

    def since(self, site: Site, from_ms: int, asked: Asked = EVERYBODY) -> Known:
        """The rollup of a site from a bucket on."""
        return self._known(site, from_ms, asked, {"since": str(from_ms)})

    def hours(self, site: Site, hours: Sequence[str], asked: Asked = EVERYBODY) -> Known:
        """The rollup of whole hours, in the buckets of the archive; hours not covered are left out."""
        wanted = sorted(set(hours) & set(self.covered_hours))
        if not wanted:
            return Known(merge([]), True, self._reading.as_of_ms, frozenset())
        known = self._known(site, hour_start_ms(wanted[0]), asked, {"hours": ",".join(wanted)})
        rollup = by_hours(known.rollup, wanted, off_the_hour(site.timezone, hour_start_ms(wanted[0])))
        return Known(rollup, known.complete, known.as_of_ms, known.partitions)

    def totals(self, hours: Collection[str]) -> HourTotals:
        """What this instance alone counted of hours; those it has not seen from the start are left out."""
        wanted = sorted(set(hours) & set(self.covered_hours))
        as_of_ms, positions = self._reading.as_of_ms, dict(self._reading.positions)
        starts = [hour_start_ms(hour) for hour in wanted] or [0]
        known = self._state.everything((TOTAL, VERDICT), starts[0], starts[-1] + HOUR_MS)
        # A partition that was taken away meanwhile may be missing from what was just read.
        whole = {n: offset for n, offset in positions.items() if n in self._reading.whole}
        return HourTotals(as_of_ms, wanted, whole, totals(known, wanted, whole))

    def _known(self, site: Site, from_ms: int, asked: Asked, query: dict[str, str]) -> Known:
        homes = partitions_of(site, self._partitions)
        wanted = homes if asked.partitions is None else homes & asked.partitions
        own = wanted & self._reading.partitions
        whole = own & self._reading.whole
        as_of_ms = self._reading.as_of_ms
        rollups = [self._state.of_site(site.id, places_of(site.id, own), from_ms)]
        # A partition that was taken away meanwhile may be missing from what was just read.
        whole &= self._reading.whole
        if asked.local:
            complete = whole == own and self._reading.ready if asked.partitions is None else whole == wanted
            return Known(merge(rollups), complete, as_of_ms, whole)
        if wanted - own:
            heard = self._peers.ask(site.id, wanted - own, query)
            rollups += heard.rollups
            whole |= heard.partitions & (wanted - own)
            as_of_ms = min(as_of_ms, heard.as_of_ms or as_of_ms)
        return Known(merge(rollups), whole == wanted, as_of_ms, whole)

    def _make(self, site: Site, minutes: int, asked: Asked) -> Snapshot:
        window = Window(self._now_ms(), minutes)
        known = self.since(site, window.from_ms, asked)
        fields: Answer = {
            "published_until": self._published_until(),
            "complete": known.complete,
            **answer(known.rollup, window),
        }
        state = orjson.dumps(fields)
        return Snapshot(orjson.dumps({"site": site.id, "as_of": known.as_of_ms, **fields}), state)
