"""Receipts: the proof that every offset of a source partition is stored.

Only receipts prove completeness: the intervals [first, next) of a partition must cover it without a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount.columns import groups
from recount.event import POSITION_SCHEMA
from recount.glimpse import glimpse
from recount.kafka import EVENTS, SourcePartition
from recount.periods import DAY_S, HOUR_MS, hour_of
from recount.quarantine import DeadLetter
from recount.seqs import pack
from recount.store.raw_items import source_key, source_of
from recount.store.table import Item

RECEIPT_MAX_OFFSETS: Final = 100_000
RECEIPT_MAX_SPOOL_BYTES: Final = 100_000
RECEIPT_MAX_ENTRIES: Final = 3_000  # hours and quarantined offsets: 400 KB would hold about 7,000

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
        for (topic, partition), part in groups(facts, "topic", "partition")
        for _, rows in groups(part.unique("offset").sort("offset").with_columns(run=run), "run")
        for receipt in _bounded_receipts(str(topic), int(partition), rows, now_ms)
    ]


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


def receipt_pk(topic: str, partition: int) -> str:
    """Where the receipts of a source partition lie."""
    return f"receipt#{source_key(topic, partition)}"


def receipt_item(receipt: Receipt, ttl_days: int) -> Item:
    """A receipt as it is kept."""
    return {
        "pk": receipt_pk(receipt.topic, receipt.partition),
        "sk": f"{receipt.first:020d}#{receipt.next:020d}",
        "hours": receipt.hours,
        "last": receipt.last,
        "quarantined": {str(offset): reason for offset, reason in receipt.quarantined.items()},
        "written_ms": receipt.written_ms,
        "spools": receipt.spools,
        "ttl": receipt.written_ms // 1000 + ttl_days * DAY_S,
    }


def receipt_of(item: Item) -> Receipt:
    """A receipt as it was kept."""
    topic, partition = source_of(str(item["pk"]).removeprefix("receipt#"))
    first, following = str(item["sk"]).split("#")
    return Receipt(
        topic=topic,
        partition=partition,
        first=int(first),
        next=int(following),
        hours=dict(item["hours"]),
        last=dict(item["last"]),
        quarantined={int(offset): reason for offset, reason in item["quarantined"].items()},
        written_ms=item["written_ms"],
        spools=dict(item.get("spools", {})),
    )


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
    return {str(spool): pack(part["seq"].to_numpy()) for (spool,), part in groups(numbered, "spool")}


def _number(letter: DeadLetter) -> tuple[str | None, int | None]:
    seen = glimpse(letter.value)
    return seen.spool, seen.seq
