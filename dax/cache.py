"""The two caches: items by key, and results of queries and scans by all that was asked.

Both hold answers as the bytes that go out. They are used from one thread, the event loop's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from dax.errors import Denied

# Measured: the entry, its place in the dictionary, the headers of its byte strings; then a query's key.
ENTRY_OVERHEAD_BYTES: Final = 300
QUESTION_OVERHEAD_BYTES: Final = 300

Key = TypeVar("Key", bound=Hashable)
Clock = Callable[[], float]
"""Seconds that never go back."""


@dataclass(slots=True)
class Entry:
    """`answer` is what a plain read gets; `absent` says that there was nothing to find."""

    answer: bytes
    absent: bool
    expires_at: float
    size_bytes: int


@dataclass(slots=True)
class Counts:
    """What a cache has done since the start."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`ttl_s` 0: entries do not age. Entries for what does not exist live `absent_ttl_s`, if that is less."""

    bytes_max: int
    ttl_s: float
    absent_ttl_s: float

    def lifetime_s(self, *, absent: bool) -> float:
        lasting = self.ttl_s or float("inf")
        return min(lasting, self.absent_ttl_s) if absent else lasting


class Lru(Generic[Key]):
    """Answers by key, the least recently used forgotten first."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.counts = Counts()
        self.size_bytes = 0
        self._clock = clock
        self._entries: OrderedDict[Key, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """The entry where it is still good; counts a hit or a miss."""
        entry = self.hit(key)
        if entry is None:
            self.counts.misses += 1
            if key in self._entries:
                self.drop(key)
                self.counts.expired += 1
        return entry

    def hit(self, key: Key) -> Entry | None:
        """Like `get`, but the caller asks `get` again after None."""
        entry = self._entries.get(key)
        if entry is None or entry.expires_at <= self._clock():
            return None
        self._entries.move_to_end(key)
        self.counts.hits += 1
        return entry

    def put(self, key: Key, answer: bytes, *, absent: bool, key_bytes: int) -> None:
        self.drop(key)
        size = len(answer) + key_bytes + ENTRY_OVERHEAD_BYTES
        lifetime_s = self.limits.lifetime_s(absent=absent)
        if size > self.limits.bytes_max or lifetime_s <= 0:
            return
        self._entries[key] = Entry(answer, absent, self._clock() + lifetime_s, size)
        self.size_bytes += size
        while self.size_bytes > self.limits.bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
            self.counts.evicted += 1

    def drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes

    def drop_where(self, chosen: Callable[[Key], bool]) -> int:
        keys = [key for key in self._entries if chosen(key)]
        for key in keys:
            self.drop(key)
        return len(keys)


@dataclass(slots=True)
class _Track:
    """What is under way on one key: `version` changes when a write starts and when it ends."""

    version: int = 0
    users: int = 0


@dataclass(slots=True)
class Ticket:
    """Leave to change an entry, as long as no other write comes between."""

    slot: bytes
    version: int
    epoch: int
    writes: bool
    settled: bool = False


class ItemCache(Lru[bytes]):
    """Items by slot (table and key).

    A read that started before a write may end after it, with the item as it was. So each key has a version
    while anything is under way on it. A read keeps what it found only if no write started or ended meanwhile.
    A write keeps its item only if no other write did: else nobody knows which was last, and the entry goes.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        super().__init__(limits, clock)
        self._tracks: dict[bytes, _Track] = {}
        self._epoch = 0

    @contextmanager
    def reading(self, slot: bytes) -> Iterator[Ticket]:
        track = self._enter(slot)
        try:
            yield Ticket(slot, track.version, self._epoch, writes=False)
        finally:
            self._leave(slot, track)

    @contextmanager
    def writing(self, slot: bytes) -> Iterator[Ticket]:
        """A write that DynamoDB refuses changes nothing; one with an unknown outcome drops the entry."""
        track = self._enter(slot)
        track.version += 1
        ticket = Ticket(slot, track.version, self._epoch, writes=True)
        refused = False
        try:
            yield ticket
        except Denied as denied:
            refused = denied.status < 500
            raise
        finally:
            if not ticket.settled and not refused:
                self.drop(slot)
            track.version += 1
            self._leave(slot, track)

    def keep(self, ticket: Ticket, answer: bytes, *, absent: bool) -> None:
        """What the read found or the write left."""
        ticket.settled = True
        if self.is_current(ticket):
            self.put(ticket.slot, answer, absent=absent, key_bytes=len(ticket.slot))
        elif ticket.writes:
            self.drop(ticket.slot)

    def is_current(self, ticket: Ticket) -> bool:
        """Whether nothing has come between since the ticket was given."""
        track = self._tracks.get(ticket.slot)
        return track is not None and track.version == ticket.version and self._epoch == ticket.epoch

    def flush(self, table_slot: bytes = b"") -> int:
        """Forget all, or what starts with this, and what is being read now; how many entries that were."""
        self._epoch += 1
        return self.drop_where(lambda slot: slot.startswith(table_slot))

    def _enter(self, slot: bytes) -> _Track:
        track = self._tracks.get(slot)
        if track is None:
            track = self._tracks[slot] = _Track()
        track.users += 1
        return track

    def _leave(self, slot: bytes, track: _Track) -> None:
        track.users -= 1
        if not track.users:
            del self._tracks[slot]


QueryKey = tuple[Hashable, ...]
"""The method, the table, and all other parts of the question."""


class QueryCache(Lru[QueryKey]):
    """Result sets; writes never change them. With `ttl_s` 0 nothing is kept."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        super().__init__(limits, clock)
        self.epoch = 0

    def keep(self, key: QueryKey, epoch: int, answer: bytes, *, absent: bool, key_bytes: int) -> None:
        """Unless the cache was flushed since `epoch`, when the question was asked."""
        if self.limits.ttl_s and epoch == self.epoch:
            self.put(key, answer, absent=absent, key_bytes=key_bytes + QUESTION_OVERHEAD_BYTES)

    def flush(self, table: str | None = None) -> int:
        self.epoch += 1
        return self.drop_where(lambda key: table is None or key[1] == table)
