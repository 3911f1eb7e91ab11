"""The table `raw`: every event as it was taken from Kafka, and the proof that none is missing.

Items (`raw_items`): one for each (hour of `ts`, shard, source partition, offset range), written before the
receipt that covers them (`receipts`). A redelivery writes the same keys again or overlapping ones; who reads
drops repeated offsets. What tombstones take nobody gets to read: husks stand in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount import columns
from recount.erasing.matching import Effect, applied, effect
from recount.errors import Conflict
from recount.kafka import SourcePartition
from recount.parallel import in_order
from recount.quarantine import DeadLetter
from recount.settings import Settings
from recount.store.dead_marks import dead_pk, letters_of, marks, without_site
from recount.store.raw_batch import RawBatch, raw_batch
from recount.store.raw_items import decode_item, encode
from recount.store.receipts import (
    RECEIPT_MAX_OFFSETS,
    Receipt,
    Span,
    gaps,
    receipt_item,
    receipt_of,
    receipt_pk,
)
from recount.store.table import Item, Table
from recount.store.tombstones import Buried, none

READ_THREADS: Final = 4
_LAYOUT: Final = ("layout", "shards")


@dataclass(frozen=True)
class Erased:
    """Items that tombstones change, their bytes before, and what becomes of the events in them."""

    items: int = 0
    data_bytes: int = 0
    events: Effect = field(default_factory=Effect)

    def __add__(self, other: Erased) -> Erased:
        return Erased(
            self.items + other.items, self.data_bytes + other.data_bytes, self.events + other.events
        )


class RawStore:
    """The table `raw`. Reads are consistent: what a receipt promises is seen."""

    def __init__(self, table: Table, settings: Settings, buried: Buried = none) -> None:
        """`buried` gives the tombstones in force; a deployment has its own (`Tombstones.active`)."""
        self._table = table
        self.buried = buried
        self._shards = settings.raw_shards
        self._ttl_days = settings.raw_ttl_days
        self._retention_days = settings.archive_retention_days

    def announce(self) -> None:
        """Let readers know how far this writer spreads an hour; once, before the first write."""
        while (known := self._table.get(_LAYOUT, consistent=True)) is None or known["count"] < self._shards:
            item = {"pk": _LAYOUT[0], "sk": _LAYOUT[1], "count": self._shards}
            try:
                if known is None:
                    self._table.put(item, if_absent=True)
                else:
                    self._table.put(item, if_equals={"count": known["count"]})
            except Conflict:
                continue

    def prepare(self, values: Sequence[bytes], places: pl.DataFrame, now_ms: int) -> RawBatch:
        return raw_batch(
            values,
            places,
            shards=self._shards,
            ttl_days=self._ttl_days,
            retention_days=self._retention_days,
            now_ms=now_ms,
            buried=self.buried(),
        )

    def write(self, batch: RawBatch, quarantine: Callable[[Sequence[DeadLetter]], None]) -> None:
        """Items, then dead letters, then receipts: a receipt never promises what is not there yet."""
        self._table.put_many(batch.items)
        if batch.dead:
            quarantine(batch.dead)
            self._table.put_many(marks(batch.dead))
        self._table.put_many(receipt_item(r, self._ttl_days) for r in batch.receipts)

    def batches(self, hour: str) -> Iterator[pl.DataFrame]:
        """The events of an hour, item by item (EVENT_SCHEMA); an offset can be in two of them.

        Every read of raw events passes here: of what tombstones take only husks come out.
        """
        buried = self.buried()
        shards = range(self._read_shards())
        for items in in_order(lambda shard: self._items(hour, shard), shards, READ_THREADS):
            yield from (applied(decode_item(item), buried) for item in items)

    def read(self, hour: str) -> pl.DataFrame:
        """The events of an hour, each offset once, in no order."""
        return columns.drop_repeats(columns.concat(self.batches(hour)))

    def erase(self, hour: str, *, dry_run: bool = False) -> Erased:
        """Write the items of an hour anew, without what tombstones take; their keys and their end stay."""
        buried, found = self.buried(), Erased()
        for shard in range(self._read_shards()):
            for item in self._items(hour, shard):
                before = decode_item(item)
                after = applied(before, buried)
                if before is after or before.equals(after):
                    continue
                if not dry_run:
                    self._table.put(item | {"data": encode(after)})
                found += Erased(1, len(item["data"]), effect(before, after))
        return found

    def quarantined(self, hour: str | None) -> pl.DataFrame:
        """The dead letters of an hour, of None those whose hour cannot be told: DEAD_SCHEMA, each once."""
        return letters_of(self._table.query(dead_pk(hour), consistent=True))

    def forget_letters(self, hour: str | None, site: str) -> None:
        """Delete the marks of a site's dead letters in an hour, or in none that can be told."""
        for item in self._table.query(dead_pk(hour), consistent=True):
            left = without_site(item, site)
            if left is None:
                self._table.delete((item["pk"], item["sk"]))
            elif left != item:
                self._table.put(left)

    def receipts(
        self, source: SourcePartition, from_offset: int = 0, *, end: int | None = None
    ) -> list[Receipt]:
        """Receipts that cover anything in [from_offset, end), by first offset."""
        if end is not None and end <= from_offset:
            return []
        start = max(0, from_offset - RECEIPT_MAX_OFFSETS)
        stop = None if end is None else f"{end - 1:020d}~"
        items = self._table.query(receipt_pk(*source), start=f"{start:020d}", end=stop, consistent=True)
        return [receipt for receipt in map(receipt_of, items) if receipt.next > from_offset]

    def receipts_from(self, source: SourcePartition, first: int, *, limit: int) -> list[Receipt]:
        """The first receipts that begin at or after `first`: one short query, blind to what begins below."""
        items = self._table.query(receipt_pk(*source), start=f"{first:020d}", limit=limit, consistent=True)
        return [receipt_of(item) for item in items]

    def missing(self, source: SourcePartition, start: int, end: int) -> list[Span]:
        """The offsets in [start, end) that no receipt covers."""
        return gaps(((r.first, r.next) for r in self.receipts(source, start, end=end)), start, end)

    def _items(self, hour: str, shard: int) -> list[Item]:
        return list(self._table.query(f"{hour}#{shard}", consistent=True))

    def _read_shards(self) -> int:
        known = self._table.get(_LAYOUT, consistent=True)
        return self._shards if known is None else max(self._shards, int(known["count"]))
