"""What a delivery of records comes to: items, dead letters and receipts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from recount import columns
from recount.columns import PoisonReason, groups
from recount.erasing.matching import applied
from recount.erasing.tombstone import Tombstone
from recount.event import POSITION_SCHEMA
from recount.periods import DAY_S, FIRST_HOUR, hour_start_ms
from recount.quarantine import DeadLetter
from recount.store.raw_items import raw_items
from recount.store.receipts import Receipt, receipts_of
from recount.store.table import Item

AHEAD_MAX_MS: Final = 2 * DAY_S * 1000  # the door lets nothing be more than minutes ahead


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
    buried: Sequence[Tombstone] = (),
) -> RawBatch:
    """Pure: Kafka values and their places (POSITION_SCHEMA rows) to items, dead letters and receipts.

    Events that no hour takes are dead letters too: the archive holds `retention_days` of the past. Of what
    the tombstones `buried` take only husks are stored.
    """
    decoded = columns.decode(values, places)
    events, outside = _within_archive(decoded.events, places, retention_days, now_ms)
    events = applied(events, buried)
    poison = sorted([*decoded.poison, *outside])
    dead = [_dead_letter(places.row(i), reason, values[i]) for i, reason in poison]
    ttl = now_ms // 1000 + ttl_days * DAY_S
    items: list[Item] = []
    for (topic, partition), part in groups(events, "topic", "partition"):
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


def _dead_letter(place: tuple[str, int, int], reason: str, value: bytes) -> DeadLetter:
    topic, partition, offset = place
    return DeadLetter(topic, partition, offset, str(reason), value)
