"""Segments in a table: immutable rollup blobs by site, period and generation, found through index items.

    <site>#<period>            / <generation>#n0000 ...   numbers (small visitor sets ride along as `sets`)
                                 <generation>#h0000       head: totals and series of a large segment
                                 <generation>#s0000 ...   visitor sets
    index#<period>#<slot>      / <generation>#0000 ...    the sites of a slot and where their segments lie

A site whose rows did not change keeps its segment: the index of the new generation names the older one.
Whether a site has data is decided by the index alone, never by an item that was not found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

import msgspec

from recount.counting.counted import Counts, with_counts
from recount.counting.rollup import Rollup, empty
from recount.keys import site_slot
from recount.store import blobs
from recount.store.lru import Lru
from recount.store.segment_decode import Numbers, Sets, counts
from recount.store.segment_decode import rollup as segment_rollup
from recount.store.segment_encode import encode_counted
from recount.store.segment_wire import HEAD_DIMENSIONS, Segment
from recount.store.table import ITEM_MAX_BYTES, Item, Key, Reads, Table

CACHE_MAX_BYTES: Final = 256 * 1024**2
CACHED_INDEXES_MAX: Final = 4096
INLINE_SETS_MAX_BYTES: Final = 2048
INLINE: Final = -1
WRITERS: Final = 4
READERS: Final = 4
READ_TOGETHER_MIN: Final = 8  # segments that are read in one go rather than by several threads
WRITE_ITEMS: Final = 250

Wanted = tuple[str, str, str]  # (site, period key, generation)
IndexKey = tuple[str, int, str]  # (period key, site slot, generation)
V = TypeVar("V", Numbers, Sets)


class Located(msgspec.Struct, frozen=True, array_like=True):
    """Where a site's segment lies: its writer generation, its chunks (`sets` may be INLINE), its digest, and
    whether it has a head."""

    generation: str
    numbers: int
    sets: int
    digest: str
    head: bool = False


class _Index(msgspec.Struct, array_like=True):
    sites: dict[str, Located]


@dataclass(frozen=True)
class SlotWrite:
    """What one generation shows for one site slot: fresh segments, and sites that keep an older one."""

    period: str
    slot: int
    generation: str
    segments: Mapping[str, Segment]
    kept: Mapping[str, Located] = field(default_factory=dict)


def encode(rollup: Rollup) -> Segment:
    """The segment of one site's rollup; an empty rollup gives an empty segment."""
    return next(iter(encode_counted(with_counts(rollup)).values()), Segment(b"", b"", ""))


def decode(segment: Segment, site: str) -> Rollup:
    """What `encode` was given."""
    if not segment.numbers:
        return empty()
    return segment_rollup(Numbers(site, segment.numbers), Sets(segment.sets) if segment.sets else None)


class SegmentStore:
    """Reads and writes of segments; what was read is kept in process, for it never changes."""

    def __init__(
        self,
        table: Table,
        site_slots: int,
        *,
        through: Reads | None = None,
        cache_max_bytes: int = CACHE_MAX_BYTES,
    ) -> None:
        """`through` reads segments in the table's stead, since they never change; indexes it never reads."""
        self._table = table
        self._through = through
        self._slots = site_slots
        self._cache = Lru(cache_max_bytes)
        self._indexes = Lru(CACHED_INDEXES_MAX)
        self._also: list[Callable[[], object]] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="segments")

    def put(self, writes: Iterable[SlotWrite]) -> int:
        """Write generations; several writers share the work. Returns the bytes of fresh segments."""
        written = list(writes)
        batches = _batched((item for write in written for item in _items(write)), WRITE_ITEMS)
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._table.put_many, batches))
        sizes = (map(len, (s.numbers, s.sets, s.head)) for write in written for s in write.segments.values())
        return sum(map(sum, sizes))

    def located(self, wanted: Collection[IndexKey]) -> dict[IndexKey, Mapping[str, Located]]:
        """The indexes of generations that some root shows: the sites of a slot, where their segments lie."""
        found: dict[IndexKey, Mapping[str, Located]] = {}
        missing: dict[Key, IndexKey] = {}
        for key in wanted:
            index = self._indexes.get(key, _Index)
            if index is None:
                missing[f"index#{key[0]}#{key[1]:04d}", key[2]] = key
            else:
                found[key] = index.sites
        for table_key, index in blobs.get(self._table, missing, _Index).items():
            key = missing[table_key]
            self._indexes.put(key, index, 1)
            found[key] = index.sites
        return found

    def numbers(
        self, wanted: Sequence[Wanted], dimensions: Collection[str] | None = None
    ) -> list[Numbers | None]:
        """The numbers of segments, in the order asked for; None where the index has no such site.

        With `dimensions` they hold at least these: heads suffice where all of them are in heads.
        """
        places = self.places(wanted)
        suffice = dimensions is not None and HEAD_DIMENSIONS.issuperset(dimensions)
        found: list[Numbers | None] = [None] * len(wanted)
        for part in ("n", "h"):
            at = [n for n, place in enumerate(places) if place is not None]
            at = [n for n in at if self._part(wanted[n], places[n], suffice) == part]
            some = self._read([wanted[n] for n in at], [places[n] for n in at], part, Numbers, Numbers)
            for n, one in zip(at, some, strict=True):
                found[n] = one
        return found

    def _part(self, wanted: Wanted, place: Located | None, head_suffices: bool) -> str:
        """The head, unless the whole is asked for or in process anyway."""
        if place is None or not place.head or not head_suffices:
            return "n"
        site, period, _ = wanted
        whole = self._cache.get((site, period, place.generation, "n"), Numbers)
        return "h" if whole is None else "n"

    def rollups(
        self, wanted: Sequence[Wanted], dimensions: Collection[str] | None = None
    ) -> list[Rollup | None]:
        """Segments, or some dimensions of them, with their visitor sets; a row whose sets were not kept has
        an empty one."""
        places = self.places(wanted)
        numbers = self._read(wanted, places, "n", Numbers, Numbers)
        sets = self._read(wanted, places, "s", Sets, lambda _, data: Sets(data))
        return [
            None if n is None else segment_rollup(n, s, dimensions)
            for n, s in zip(numbers, sets, strict=True)
        ]

    def get_many(self, wanted: Sequence[Wanted], sets: bool = False) -> list[Rollup | Counts | None]:
        """One answer a segment: a Rollup with sets, or Counts."""
        if sets:
            return [*self.rollups(wanted)]
        return [None if n is None else counts([n]) for n in self.numbers(wanted)]

    def places(self, wanted: Sequence[Wanted]) -> list[Located | None]:
        """Where each segment lies; None where the index has no such site."""
        keys = [(period, site_slot(site, self._slots), generation) for site, period, generation in wanted]
        indexes = self.located(dict.fromkeys(keys))
        return [indexes[key].get(site) for key, (site, _, _) in zip(keys, wanted, strict=True)]

    def items_of(self, site: str, period: str, *, but: str = "") -> list[Key]:
        """The keys of a site's segments of a period, whether an index names them or not, without those of the
        generation `but`."""
        items = self._table.query(f"{site}#{period}", consistent=True)
        return [(i["pk"], i["sk"]) for i in items if i["sk"].partition("#")[0] != but]

    def forget(self) -> None:
        """Let go of everything kept in process."""
        for clear in (self._cache.clear, self._indexes.clear, *self._also):
            clear()

    def forget_also(self, clear: Callable[[], object]) -> None:
        """From now on `forget` calls this too: for what others keep that they made of segments."""
        self._also.append(clear)

    def remove_items(self, keys: Sequence[Key]) -> None:
        """Delete segments for good; nobody else's memory of them goes."""
        self._table.delete_many(keys)

    def remove(self, period: str, generation: str) -> int:
        """Delete a generation for good: the segments it wrote, then its indexes. Returns how many items.

        Only for one that no root shows and no index of another generation names.
        """
        gone = 0
        for keys, index in self._stored_indexes(period, generation):
            chunks = [
                key
                for site, place in index.sites.items()
                if place.generation == generation
                for part in _stored_parts(place)
                for key in _chunk_keys((site, period, generation), place, part)
            ]
            self._table.delete_many(chunks)
            self._table.delete_many(keys)
            gone += len(chunks) + len(keys)
        return gone

    def _stored_indexes(self, period: str, generation: str) -> Iterator[tuple[list[Key], _Index]]:
        """What the table holds of a generation, slot by slot, also if nothing names it."""
        for slot in range(self._slots):
            pk = f"index#{period}#{slot:04d}"
            items = list(
                self._table.query(pk, start=f"{generation}#", end=f"{generation}#~", consistent=True)
            )
            if items and len(items) == items[0]["chunks"]:
                index = blobs.unpack(b"".join(item["data"] for item in items), _Index)
                yield [(pk, item["sk"]) for item in items], index

    def _read(
        self,
        wanted: Sequence[Wanted],
        places: Sequence[Located | None],
        part: str,
        kind: type[V],
        decode: Callable[[str, bytes], V],
    ) -> list[V | None]:
        results: list[V | None] = []
        missing: list[int] = []
        for at, ((site, period, _), place) in enumerate(zip(wanted, places, strict=True)):
            present = place is not None and (part != "s" or place.sets != 0)
            key = (site, period, place.generation, part) if place is not None and present else None
            results.append(None if key is None else self._cache.get(key, kind))
            if key is not None and results[-1] is None:
                missing.append(at)

        def read(some: Sequence[int]) -> list[V]:
            keys = [_chunk_keys(wanted[at], places[at], part) for at in some]
            items = blobs.fetch_existing(self._table, [key for chunk in keys for key in chunk], self._through)
            return [self._decoded(wanted[at], places[at], part, items, decode) for at in some]

        share = max(READ_TOGETHER_MIN, -(-len(missing) // READERS))
        groups = [missing[at : at + share] for at in range(0, len(missing), share)]
        found = self._readers.map(read, groups) if len(groups) > 1 else map(read, groups)
        for some, values in zip(groups, found, strict=True):
            for at, value in zip(some, values, strict=True):
                results[at] = value
        return results

    def _decoded(
        self,
        wanted: Wanted,
        place: Located | None,
        part: str,
        items: Mapping[Key, Item],
        decode: Callable[[str, bytes], V],
    ) -> V:
        assert place is not None
        site, period, _ = wanted
        name = "sets" if part == "s" and place.sets == INLINE else "data"
        value = decode(site, b"".join(items[key][name] for key in _chunk_keys(wanted, place, part)))
        self._cache.put((site, period, place.generation, part), value, value.size_bytes)
        return value


def _stored_parts(place: Located) -> Iterator[str]:
    """The parts that have items of their own."""
    yield "n"
    if place.sets not in (0, INLINE):
        yield "s"
    if place.head:
        yield "h"


def _chunk_keys(wanted: Wanted, place: Located | None, part: str) -> list[Key]:
    assert place is not None
    site, period, _ = wanted
    if part == "h":
        return [(f"{site}#{period}", f"{place.generation}#h0000")]
    letter, chunks = ("n", place.numbers) if part == "n" or place.sets == INLINE else ("s", place.sets)
    first_only = part == "s" and place.sets == INLINE
    return [
        (f"{site}#{period}", f"{place.generation}#{letter}{n:04d}")
        for n in range(1 if first_only else chunks)
    ]


def locate(write: SlotWrite) -> dict[str, Located]:
    """The index of a generation: every site of the slot, by name."""
    sites = dict(write.kept)
    for site, segment in write.segments.items():
        sets = INLINE if _inline(segment) else len(_chunks(segment.sets))
        chunks = len(_chunks(segment.numbers))
        sites[site] = Located(write.generation, chunks, sets, segment.digest, bool(segment.head))
    return dict(sorted(sites.items()))


def _items(write: SlotWrite) -> Iterator[Item]:
    for site, segment in write.segments.items():
        inline = _inline(segment)
        parts = (("n", segment.numbers), ("s", b"" if inline else segment.sets), ("h", segment.head))
        for letter, data in parts:
            for n, chunk in enumerate(_chunks(data)):
                item = {"pk": f"{site}#{write.period}", "sk": f"{write.generation}#{letter}{n:04d}"}
                yield {**item, "data": chunk, **({"sets": segment.sets} if inline else {})}
    key = (f"index#{write.period}#{write.slot:04d}", write.generation)
    yield from blobs.items(key, blobs.pack(_Index(locate(write))))


def _inline(segment: Segment) -> bool:
    """Small sets ride along with small numbers: half the items for most sites."""
    return 0 < len(segment.sets) <= INLINE_SETS_MAX_BYTES and len(segment.numbers) < ITEM_MAX_BYTES // 2


def _chunks(data: bytes) -> list[bytes]:
    return [data[at : at + ITEM_MAX_BYTES] for at in range(0, len(data), ITEM_MAX_BYTES)]


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
