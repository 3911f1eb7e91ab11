"""Rollup rows to segments, many sites at once: columns become arrays once and are sliced by site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
import polars as pl
import xxhash
import zstandard

from recount.counted import Counted
from recount.store.segment_wire import (
    AT_UNIT_MS,
    CODEC_VERSION,
    COLUMNS,
    DIMENSION_CODES,
    NumbersPart,
    RevenuePart,
    Segment,
    SetsPart,
    pack,
)

ZSTD_LEVEL: Final = 6
ORDER: Final = ("site", "dimension", "value", "at")


def encode_counted(counted: Counted) -> dict[str, Segment]:
    """The segment of each site, all at once."""
    rows = counted.rows.sort(*ORDER)
    if rows.is_empty():
        return {}
    table = _Table(rows, _revenue_by_row(rows, counted.revenue))
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    segments: dict[str, Segment] = {}
    for site, start, stop in runs(rows["site"]):
        numbers = msgspec.msgpack.encode(table.numbers(start, stop))
        sets = table.sets(start, stop)
        packed = b"" if sets is None else msgspec.msgpack.encode(sets)
        digest = xxhash.xxh3_64_hexdigest(numbers + packed)
        segments[site] = Segment(
            compressor.compress(numbers), compressor.compress(packed) if packed else b"", digest
        )
    return segments


class _Table:
    """The columns of many sites' rows as arrays, to be sliced by site."""

    def __init__(self, rows: pl.DataFrame, revenue: pl.DataFrame) -> None:
        self._at = rows["at"].to_numpy()
        self._counts = [rows[name].cast(pl.Int64).to_numpy() for name in COLUMNS]
        text = rows["value"].cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
        _, offsets, data = text.buffers()
        self._offsets = np.frombuffer(offsets, np.int64)[text.offset : text.offset + rows.height + 1]
        self._text = memoryview(b"" if data is None else data)
        self._dimensions = list(runs(rows["dimension"].cast(pl.String), rows["site"]))
        self._dimension_starts = np.array([start for _, start, _ in self._dimensions])
        self._revenue = revenue
        self._revenue_rows = revenue["row"].to_numpy()
        self._with_sets = rows["visitors"].is_not_null().to_numpy()
        self._set_sizes = rows["visitors"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
        self._set_offsets = np.concatenate([[0], np.cumsum(self._set_sizes)])
        flat = rows["visitors"].explode(empty_as_null=False, keep_nulls=False)
        self._visitors = flat.to_numpy()

    def numbers(self, start: int, stop: int) -> NumbersPart:
        at = self._at[start:stop]
        first = int(at.min())
        moments = at - first
        unit = 1 if (moments % AT_UNIT_MS).any() else AT_UNIT_MS
        offsets = self._offsets[start : stop + 1]
        return NumbersPart(
            version=CODEC_VERSION,
            at=first,
            unit_ms=unit,
            dimensions=self._runs_of(start, stop),
            text=bytes(self._text[offsets[0] : offsets[-1]]),
            lengths=pack(np.diff(offsets)),
            moments=pack(moments // unit) if moments.any() else None,
            columns=[
                pack(values[start:stop]) if values[start:stop].any() else None for values in self._counts
            ],
            revenue=self._revenue_of(start, stop),
        )

    def sets(self, start: int, stop: int) -> SetsPart | None:
        if not self._with_sets[start:stop].any():
            return None
        low, high = self._set_offsets[start], self._set_offsets[stop]
        dictionary, places = np.unique(self._visitors[low:high], return_inverse=True)
        sizes = self._set_sizes[start:stop]
        steps = np.diff(places, prepend=0)
        firsts = (self._set_offsets[start:stop] - low)[sizes > 0]
        steps[firsts] = places[firsts]
        return SetsPart(CODEC_VERSION, dictionary.astype("<u8").tobytes(), pack(sizes), pack(steps))

    def _runs_of(self, start: int, stop: int) -> list[tuple[int | str, int]]:
        low, high = np.searchsorted(self._dimension_starts, (start, stop))
        return [
            (DIMENSION_CODES.get(name, name), end - begin) for name, begin, end in self._dimensions[low:high]
        ]

    def _revenue_of(self, start: int, stop: int) -> RevenuePart | None:
        low, high = np.searchsorted(self._revenue_rows, (start, stop))
        if low == high:
            return None
        part = self._revenue[int(low) : int(high)]
        currencies = sorted(set(part["currency"].to_list()))
        codes = np.array([currencies.index(c) for c in part["currency"].to_list()])
        rows = self._revenue_rows[low:high] - start
        return RevenuePart(pack(rows), currencies, pack(codes), pack(part["micros"].to_numpy()))


def _revenue_by_row(rows: pl.DataFrame, revenue: pl.DataFrame) -> pl.DataFrame:
    """Revenue with the index of the row it belongs to, in the order of rows and currencies."""
    keys = [pl.col(name) if name == "at" else pl.col(name).cast(pl.String) for name in ORDER]
    placed = revenue.select(*keys, "currency", "micros").join(
        rows.select(*keys).with_row_index("row"), on=list(ORDER), how="left"
    )
    if placed["row"].null_count():
        raise ValueError("revenue without a row that it belongs to")
    return placed.select(pl.col("row").cast(pl.Int64), "currency", "micros").sort("row", "currency")


def runs(names: pl.Series, within: pl.Series | None = None) -> Iterator[tuple[str, int, int]]:
    """(name, start, stop) of each run of equal names (and equal `within`)."""
    changed = names != names.shift()
    if within is not None:
        changed = changed | (within != within.shift())
    starts = changed.fill_null(True).arg_true()
    stops = [*starts.to_list()[1:], len(names)]
    yield from zip(names.gather(starts).to_list(), starts.to_list(), stops, strict=True)
