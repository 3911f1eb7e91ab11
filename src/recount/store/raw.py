"""Raw batches and receipts: every event as it was taken from Kafka, and the proof that none is missing.

Items: one for each (hour of `ts`, shard, source partition, offset range), written before the receipt that
covers them. A redelivery writes the same keys again or overlapping ones; reading drops repeated offsets.
Only receipts prove completeness: the intervals [first, next) of a partition must cover it without a gap.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Final, cast

import polars as pl
import pyarrow.parquet as pq
import xxhash
import zstandard

from recount import columns
from recount.columns import PoisonReason
from recount.errors import Conflict
from recount.event import EVENT_SCHEMA, POSITION_SCHEMA
from recount.glimpse import glimpse
from recount.kafka import EVENTS, SourcePartition
from recount.periods import FIRST_HOUR, HOUR_MS, hour_of, hour_start_ms
from recount.quarantine import DeadLetter
from recount.seqs import pack
from recount.settings import Settings
from recount.store import blobs
from recount.store.table import ITEM_MAX_BYTES, Item, Table

ZSTD_LEVEL: Final = 3
DAY_S: Final = 86_400
AHEAD_MAX_MS: Final = 2 * DAY_S * 1000  # the door lets nothing be more than minutes ahead
RECEIPT_MAX_OFFSETS: Final = 100_000
RECEIPT_MAX_SPOOL_BYTES: Final = 100_000
RECEIPT_MAX_ENTRIES: Final = 3_000  # hours and quarantined offsets: 400 KB would hold about 7,000
READ_THREADS: Final = 4
MARKS_MAX: Final = 1_000  # of dead letters in an item: well below 400 KB
_KEY_COLUMNS: Final = ("topic", "partition")  # in the sort key, not in the data
_ASCENDING: Final = ("offset", "seq", "ts", "received")
_LAYOUT: Final = ("layout", "shards")

_Mark = tuple[int, str, str | None, str | None, int | None]  # offset, reason, site, spool, seq

DEAD_SCHEMA: Final[dict[str, pl.DataType]] = {
    **POSITION_SCHEMA,
    "reason": pl.String(),
    "site": pl.String(),
    "spool": pl.String(),
    "seq": pl.Int64(),
}

Span = tuple[int, int]  # offsets [first, next)


@dataclass(frozen=True)
class Receipt:
    """Everything in [first, next) of a source partition is stored.

    `hours`: events per hour of `ts`; `last`: the largest offset with an event of that hour; `quarantined`:
    the reason at each offset that went to the dead letters instead; `spools`: of the topic `events` the
    numbers of each spool that are in it, packed (`recount.seqs`), dead letters included.
    """

    topic: str
    partition: int
    first: int
    next: int
    hours: dict[str, int]
    last: dict[str, int] = field(default_factory=dict)
    quarantined: dict[int, str] = field(default_factory=dict)
    written_ms: int = 0
    spools: dict[str, bytes] = field(default_factory=dict)

    @property
    def source(self) -> SourcePartition:
        return self.topic, self.partition


@dataclass(frozen=True)
class RawBatch:
    """What one delivery of records comes to; `RawStore.write` keeps it in the only safe order."""

    items: list[Item]
    dead: list[DeadLetter]
    receipts: list[Receipt]
    events: int


def raw_batch(
    values: Sequence[bytes],
    places: pl.DataFrame,
    *,
    shards: int,
    ttl_days: int,
    retention_days: int,
    now_ms: int,
) -> RawBatch:
    """Pure: Kafka values and their places (POSITION_SCHEMA rows) to items, dead letters and receipts.

    Events that no hour takes are dead letters too: the archive holds `retention_days` of the past.
    """
    decoded = columns.decode(values, places)
    events, outside = _within_archive(decoded.events, places, retention_days, now_ms)
    poison = sorted([*decoded.poison, *outside])
    dead = [_dead_letter(places.row(i), reason, values[i]) for i, reason in poison]
    ttl = now_ms // 1000 + ttl_days * DAY_S
    items: list[Item] = []
    for (topic, partition), part in _by(events, "topic", "partition"):
        items += raw_items(part, str(topic), int(partition), shards=shards, ttl=ttl)
    return RawBatch(items, dead, receipts_of(places, events, dead, now_ms), events.height)


def _within_archive(
    events: pl.DataFrame, places: pl.DataFrame, retention_days: int, now_ms: int
) -> tuple[pl.DataFrame, list[tuple[int, PoisonReason]]]:
    """The events of hours that exist, and (row of `places`, reason) of the others."""
    oldest_ms = max(hour_start_ms(FIRST_HOUR), now_ms - retention_days * DAY_S * 1000)
    ts = pl.col("ts")
    too_old = pl.when(ts < oldest_ms).then(pl.lit(PoisonReason.TOO_OLD.value))
    reason = too_old.when(ts > now_ms + AHEAD_MAX_MS).then(pl.lit(PoisonReason.IN_THE_FUTURE.value))
    judged = events.with_columns(reason=reason.otherwise(None))
    if judged["reason"].null_count() == judged.height:
        return events, []
    outside = judged.filter(pl.col("reason").is_not_null()).select(*POSITION_SCHEMA, "reason")
    rows = places.with_row_index("row").join(outside, on=list(POSITION_SCHEMA), how="inner")
    found = [(int(row), PoisonReason(why)) for row, why in rows.select("row", "reason").iter_rows()]
    return judged.filter(pl.col("reason").is_null()).drop("reason"), found


def raw_items(events: pl.DataFrame, topic: str, partition: int, *, shards: int, ttl: int) -> list[Item]:
    """Items of one source partition's events. Deterministic: the same events make the same keys and bytes."""
    hours = events.sort("offset").with_columns(hour=pl.col("ts") // HOUR_MS)
    found: list[Item] = []
    for (hour,), part in _by(hours, "hour"):
        name = hour_of(int(hour) * HOUR_MS)
        for piece, data in _pieces(part.drop("hour")):
            first, last = piece["offset"][0], piece["offset"][-1]
            sk = f"{_source_key(topic, partition)}#{first:020d}#{last:020d}"
            pk = f"{name}#{xxhash.xxh3_64_intdigest(sk.encode()) % shards}"
            found.append({"pk": pk, "sk": sk, "data": data, "events": piece.height, "ttl": ttl})
    return found


def receipts_of(
    places: pl.DataFrame, events: pl.DataFrame, dead: Sequence[DeadLetter], now_ms: int
) -> list[Receipt]:
    """Receipts for the offsets in `places`: one a run without a gap, cut where it would grow too large."""
    reasons = pl.DataFrame(
        [(d.topic, d.partition, d.offset, d.reason, *_number(d)) for d in dead],
        schema={**POSITION_SCHEMA, "reason": pl.String, "dead_spool": pl.String, "dead_seq": pl.Int64},
        orient="row",
    )
    facts = places.join(
        events.select("topic", "partition", "offset", "spool", "seq", hour=pl.col("ts") // HOUR_MS),
        on=["topic", "partition", "offset"],
        how="left",
    ).join(reasons, on=["topic", "partition", "offset"], how="left")
    number = [pl.coalesce(name, f"dead_{name}").alias(name) for name in ("spool", "seq")]
    facts = facts.with_columns(number).drop("dead_spool", "dead_seq")
    run = (pl.col("offset").diff().fill_null(1) > 1).cum_sum()
    return [
        receipt
        for (topic, partition), part in _by(facts, "topic", "partition")
        for _, rows in _by(part.unique("offset").sort("offset").with_columns(run=run), "run")
        for receipt in _bounded_receipts(str(topic), int(partition), rows, now_ms)
    ]


def encode(events: pl.DataFrame) -> bytes:
    """Events of one source partition as columns: Parquet encodings inside one zstd frame.

    Compressing the file as a whole packs its own structure too, which counts in small batches.
    """
    empty = [n for n in events.columns if n in _KEY_COLUMNS or events[n].null_count() == events.height]
    table = events.drop(empty).to_arrow(compat_level=pl.CompatLevel.oldest())
    ascending = [n for n in _ASCENDING if n in table.column_names]
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        compression="NONE",
        use_dictionary=[n for n in table.column_names if n not in (*ascending, "id")],
        column_encoding=dict.fromkeys(ascending, "DELTA_BINARY_PACKED"),
        write_statistics=False,
        store_schema=False,
    )
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(out.getvalue())


def decode_item(item: Item) -> pl.DataFrame:
    """EVENT_SCHEMA, columns that the item leaves out filled with nulls."""
    source, _, _ = str(item["sk"]).split("#")
    topic, partition = source.split("/")
    table = pl.read_parquet(io.BytesIO(zstandard.ZstdDecompressor().decompress(item["data"])))
    given = set(table.columns)
    return table.select(
        pl.lit(topic).alias("topic"),
        pl.lit(int(partition), pl.Int32).alias("partition"),
        *[
            (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in EVENT_SCHEMA.items()
            if name not in _KEY_COLUMNS
        ],
    )


class RawStore:
    """The table `raw`. Reads are consistent: what a receipt promises is seen."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table = table
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
        )

    def write(self, batch: RawBatch, quarantine: Callable[[Sequence[DeadLetter]], None]) -> None:
        """Items, then dead letters, then receipts: a receipt never promises what is not there yet."""
        self._table.put_many(batch.items)
        if batch.dead:
            quarantine(batch.dead)
            self._table.put_many(_marks(batch.dead))
        self._table.put_many(_receipt_item(r, self._ttl_days) for r in batch.receipts)

    def read(self, hour: str) -> pl.DataFrame:
        """The events of an hour, each offset once, in no order."""
        return columns.drop_repeats(columns.concat(self.parts(hour)))

    def parts(self, hour: str) -> Iterator[pl.DataFrame]:
        """The hour's items one by one; an offset can be in two of them."""
        with ThreadPoolExecutor(READ_THREADS) as pool:
            for items in pool.map(lambda shard: self._items(hour, shard), range(self._read_shards())):
                yield from map(decode_item, items)

    def quarantined(self, hour: str | None) -> pl.DataFrame:
        """The dead letters of an hour, of None those whose hour cannot be told: DEAD_SCHEMA, each once."""
        rows = [
            (topic, partition, *row)
            for item in self._table.query(_dead_pk(hour), consistent=True)
            for topic, partition in [_source_of(item["sk"])]
            for row in blobs.unpack(item["data"], list[_Mark])
        ]
        found = pl.DataFrame(rows, schema=DEAD_SCHEMA, orient="row")
        return columns.drop_repeats(found).sort(list(POSITION_SCHEMA))

    def receipts(
        self, source: SourcePartition, from_offset: int = 0, *, end: int | None = None
    ) -> list[Receipt]:
        """Receipts that cover anything in [from_offset, end), by first offset."""
        if end is not None and end <= from_offset:
            return []
        start = max(0, from_offset - RECEIPT_MAX_OFFSETS)
        stop = None if end is None else f"{end - 1:020d}~"
        items = self._table.query(_receipt_pk(*source), start=f"{start:020d}", end=stop, consistent=True)
        return [receipt for receipt in map(_receipt, items) if receipt.next > from_offset]

    def receipts_from(self, source: SourcePartition, first: int, *, limit: int) -> list[Receipt]:
        """The first receipts that begin at or after `first`: one short query, blind to what begins below."""
        items = self._table.query(_receipt_pk(*source), start=f"{first:020d}", limit=limit, consistent=True)
        return [_receipt(item) for item in items]

    def missing(self, source: SourcePartition, start: int, end: int) -> list[Span]:
        """The offsets in [start, end) that no receipt covers."""
        return gaps(((r.first, r.next) for r in self.receipts(source, start, end=end)), start, end)

    def _items(self, hour: str, shard: int) -> list[Item]:
        return list(self._table.query(f"{hour}#{shard}", consistent=True))

    def _read_shards(self) -> int:
        known = self._table.get(_LAYOUT, consistent=True)
        return self._shards if known is None else max(self._shards, int(known["count"]))


def _marks(dead: Sequence[DeadLetter]) -> Iterator[Item]:
    """Which letters lie in which hour, for its ledger. They never expire: a letter may be retried as long as
    it exists, and until then it is missing from the hour."""
    letters = [(letter, glimpse(letter.value)) for letter in dead]
    by_place = groupby(
        sorted(letters, key=lambda entry: (entry[1].hour or "", entry[0].topic, entry[0].partition)),
        key=lambda entry: (entry[1].hour, entry[0].topic, entry[0].partition),
    )
    for (hour, topic, partition), group in by_place:
        marks = sorted(((d.offset, d.reason, g.site, g.spool, g.seq) for d, g in group), key=itemgetter(0))
        for at in range(0, len(marks), MARKS_MAX):
            part = marks[at : at + MARKS_MAX]
            sk = f"{_source_key(topic, partition)}#{part[0][0]:020d}#{part[-1][0]:020d}"
            yield {"pk": _dead_pk(hour), "sk": sk, "data": blobs.pack(part)}


def _dead_pk(hour: str | None) -> str:
    return f"dead#{hour or 'unknown'}"


def _source_of(sk: str) -> SourcePartition:
    topic, partition = sk.split("#")[0].split("/")
    return topic, int(partition)


def gaps(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """What is left of [start, end) without the spans; they may overlap and come in any order."""
    found: list[Span] = []
    at = start
    for first, following in sorted(spans):
        if first >= end:
            break
        if first > at:
            found.append((at, first))
        at = max(at, following)
    if at < end:
        found.append((at, end))
    return found


def _by(frame: pl.DataFrame, *names: str) -> list[tuple[tuple[str | int, ...], pl.DataFrame]]:
    """Groups in the order of their keys."""
    if frame.is_empty():
        return []
    parts = frame.partition_by(names, as_dict=True, maintain_order=True)
    return sorted(
        cast("dict[tuple[str | int, ...], pl.DataFrame]", parts).items(), key=lambda entry: entry[0]
    )


def _pieces(events: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, bytes]]:
    """Halved until each fits an item; one event always does (its limits at the door are far below)."""
    data = encode(events)
    if len(data) <= ITEM_MAX_BYTES or events.height == 1:
        yield events, data
        return
    half = events.height // 2
    yield from _pieces(events[:half])
    yield from _pieces(events[half:])


def _bounded_receipts(topic: str, partition: int, rows: pl.DataFrame, now_ms: int) -> Iterator[Receipt]:
    entries = rows["hour"].n_unique() + rows["reason"].count()
    if rows.height > RECEIPT_MAX_OFFSETS or (entries > RECEIPT_MAX_ENTRIES and rows.height > 1):
        half = rows.height // 2
        yield from _bounded_receipts(topic, partition, rows[:half], now_ms)
        yield from _bounded_receipts(topic, partition, rows[half:], now_ms)
        return
    spools = _spools(rows) if topic == EVENTS else {}
    if sum(map(len, spools.values())) > RECEIPT_MAX_SPOOL_BYTES and rows.height > 1:
        half = rows.height // 2
        yield from _bounded_receipts(topic, partition, rows[:half], now_ms)
        yield from _bounded_receipts(topic, partition, rows[half:], now_ms)
        return
    hours = (
        rows.filter(pl.col("hour").is_not_null())
        .group_by("hour")
        .agg(pl.len().alias("count"), pl.col("offset").max().alias("last"))
        .sort("hour")
    )
    named = [(hour_of(hour * HOUR_MS), count, last) for hour, count, last in hours.iter_rows()]
    bad = rows.filter(pl.col("reason").is_not_null()).select("offset", "reason")
    yield Receipt(
        topic=topic,
        partition=partition,
        first=rows["offset"][0],
        next=rows["offset"][-1] + 1,
        hours={name: count for name, count, _ in named},
        last={name: last for name, _, last in named},
        quarantined=dict(bad.iter_rows()),
        written_ms=now_ms,
        spools=spools,
    )


def _spools(rows: pl.DataFrame) -> dict[str, bytes]:
    numbered = rows.filter(pl.col("spool").is_not_null() & pl.col("seq").is_not_null())
    return {str(spool): pack(part["seq"].to_numpy()) for (spool,), part in _by(numbered, "spool")}


def _number(letter: DeadLetter) -> tuple[str | None, int | None]:
    seen = glimpse(letter.value)
    return seen.spool, seen.seq


def _dead_letter(place: tuple[str, int, int], reason: str, value: bytes) -> DeadLetter:
    topic, partition, offset = place
    return DeadLetter(topic, partition, offset, str(reason), value)


def _source_key(topic: str, partition: int) -> str:
    return f"{topic}/{partition:05d}"


def _receipt_pk(topic: str, partition: int) -> str:
    return f"receipt#{_source_key(topic, partition)}"


def _receipt_item(receipt: Receipt, ttl_days: int) -> Item:
    return {
        "pk": _receipt_pk(receipt.topic, receipt.partition),
        "sk": f"{receipt.first:020d}#{receipt.next:020d}",
        "hours": receipt.hours,
        "last": receipt.last,
        "quarantined": {str(offset): reason for offset, reason in receipt.quarantined.items()},
        "written_ms": receipt.written_ms,
        "spools": receipt.spools,
        "ttl": receipt.written_ms // 1000 + ttl_days * DAY_S,
    }


def _receipt(item: Item) -> Receipt:
    topic, partition = str(item["pk"]).removeprefix("receipt#").split("/")
    first, following = str(item["sk"]).split("#")
    return Receipt(
        topic=topic,
        partition=int(partition),
        first=int(first),
        next=int(following),
        hours=dict(item["hours"]),
        last=dict(item["last"]),
        quarantined={int(offset): reason for offset, reason in item["quarantined"].items()},
        written_ms=item["written_ms"],
        spools=dict(item.get("spools", {})),
    )
