"""Raw items: the events of one hour and one run of offsets of a source partition, packed as columns.

Deterministic: the same events make the same keys and bytes, so a redelivery writes the same item again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import polars as pl
import pyarrow.parquet as pq
import xxhash
import zstandard

from recount.columns import groups
from recount.event import EVENT_SCHEMA
from recount.kafka import SourcePartition
from recount.periods import HOUR_MS, hour_of
from recount.store.table import ITEM_MAX_BYTES, Item

ZSTD_LEVEL: Final = 3
_KEY_COLUMNS: Final = ("topic", "partition")  # in the sort key, not in the data
_ASCENDING: Final = ("offset", "seq", "ts", "received")


def raw_items(events: pl.DataFrame, topic: str, partition: int, *, shards: int, ttl: int) -> list[Item]:
    """Items of one source partition's events. Deterministic: the same events make the same keys and bytes."""
    hours = events.sort("offset").with_columns(hour=pl.col("ts") // HOUR_MS)
    found: list[Item] = []
    for (hour,), part in groups(hours, "hour"):
        name = hour_of(int(hour) * HOUR_MS)
        for piece, data in _pieces(part.drop("hour")):
            first, last = piece["offset"][0], piece["offset"][-1]
            sk = f"{source_key(topic, partition)}#{first:020d}#{last:020d}"
            pk = f"{name}#{xxhash.xxh3_64_intdigest(sk.encode()) % shards}"
            found.append({"pk": pk, "sk": sk, "data": data, "events": piece.height, "ttl": ttl})
    return found


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
    topic, partition = source_of(item["sk"])
    table = pl.read_parquet(io.BytesIO(zstandard.ZstdDecompressor().decompress(item["data"])))
    given = set(table.columns)
    return table.select(
        pl.lit(topic).alias("topic"),
        pl.lit(partition, pl.Int32).alias("partition"),
        *[
            (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in EVENT_SCHEMA.items()
            if name not in _KEY_COLUMNS
        ],
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


def source_key(topic: str, partition: int) -> str:
    """A source partition in a key."""
    return f"{topic}/{partition:05d}"


def source_of(sk: str) -> SourcePartition:
    """The source partition in a sort key that begins with it."""
    topic, partition = sk.split("#")[0].split("/")
    return topic, int(partition)
