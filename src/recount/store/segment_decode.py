"""Segments to rows: arrays as they lie in the bytes, made into one frame for any number of segments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from recount.counting import sketch
from recount.counting.counted import COUNTS_SCHEMA, VISITOR_COUNT, Counts
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, Rollup
from recount.store.segment_wire import (
    CODEC_VERSION,
    COLUMNS,
    KNOWN_DIMENSIONS,
    Ints,
    NumbersPart,
    SetsPart,
    unpack,
)

_decode_numbers: Final = msgspec.msgpack.Decoder(NumbersPart).decode
_decode_sets: Final = msgspec.msgpack.Decoder(SetsPart).decode


class Numbers:
    """The numbers of one site and period, unpacked as far as they are asked for."""

    def __init__(self, site: str, data: bytes) -> None:
        raw = zstandard.ZstdDecompressor().decompress(data)
        self.site = site
        self._part = _decode_numbers(raw)
        _check(self._part.version)
        self.size_bytes = len(raw) + 16 * self.rows  # `offsets` and `at` are kept unpacked

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """First row and row after the last of each dimension."""
        spans: dict[str, tuple[int, int]] = {}
        at = 0
        for code, rows in self._part.dimensions:
            spans[KNOWN_DIMENSIONS[code] if isinstance(code, int) else code] = (at, at + rows)
            at += rows
        return spans

    @cached_property
    def rows(self) -> int:
        return sum(rows for _, rows in self._part.dimensions)

    @cached_property
    def offsets(self) -> Ints:
        """Where each value begins in the text."""
        return np.concatenate([[0], np.cumsum(unpack(self._part.lengths), dtype=np.int64)])

    @cached_property
    def at(self) -> Ints:
        if self._part.moments is None:
            return np.full(self.rows, self._part.at, np.int64)
        return unpack(self._part.moments).astype(np.int64) * self._part.unit_ms + self._part.at

    @cached_property
    def columns(self) -> list[NDArray[Any] | None]:
        """In the order of COLUMNS; None for a column of zeros."""
        return [None if packed is None else unpack(packed) for packed in self._part.columns]

    def text(self, start: int, stop: int) -> bytes:
        return self._part.text[self.offsets[start] : self.offsets[stop]]

    @cached_property
    def revenue(self) -> tuple[Ints, list[str], Ints] | None:
        """The row, currency and micros of each amount; None for a segment without revenue."""
        part = self._part.revenue
        if part is None:
            return None
        currencies = [part.currencies[code] for code in unpack(part.codes)]
        return unpack(part.rows).astype(np.int64), currencies, unpack(part.micros).astype(np.int64)


class Sets:
    """The visitor sets of one site and period, row by row as its Numbers."""

    def __init__(self, data: bytes) -> None:
        raw = zstandard.ZstdDecompressor().decompress(data)
        part = _decode_sets(raw)
        _check(part.version)
        sizes = unpack(part.lengths).astype(np.int64)
        self.offsets: Ints = np.concatenate([[0], np.cumsum(sizes)])
        # Steps restart in each row: a running sum, minus what it had reached before the row.
        running = np.cumsum(unpack(part.steps), dtype=np.int64)
        before = np.concatenate([[0], running])[self.offsets[:-1]]
        self._places = (running - np.repeat(before, sizes)).astype(np.uint32)
        self._dictionary = np.frombuffer(part.dictionary, "<u8")
        self.size_bytes = len(raw) + self._places.nbytes + self.offsets.nbytes

    def visitors(self, start: int, stop: int) -> NDArray[np.uint64]:
        found: NDArray[np.uint64] = self._dictionary[self._places[self.offsets[start] : self.offsets[stop]]]
        return found


def counts(parts: Sequence[Numbers], dimensions: Collection[str] | None = None) -> Counts:
    """All rows of the segments, or those of some dimensions, one segment after another."""
    revenue = _revenue(parts)
    if dimensions is not None:
        revenue = revenue.filter(pl.col("dimension").is_in(list(dimensions)))
    return Counts(frame(parts, dimensions), revenue)


def _revenue(parts: Sequence[Numbers]) -> pl.DataFrame:
    """REVENUE_SCHEMA."""
    found = [(part, part.revenue) for part in parts if part.revenue is not None]
    if not found:
        return pl.DataFrame(schema=REVENUE_SCHEMA)
    starts = np.cumsum([0, *(part.rows for part, _ in found)])
    places = np.concatenate([rows + start for start, (_, (rows, _, _)) in zip(starts, found, strict=False)])
    return frame([part for part, _ in found])[places].select(
        *KEYS,
        pl.Series("currency", [c for _, (_, currencies, _) in found for c in currencies], dtype=pl.String),
        pl.Series("micros", np.concatenate([micros for _, (_, _, micros) in found])),
    )


def rollup(numbers: Numbers, sets: Sets | None, dimensions: Collection[str] | None = None) -> Rollup:
    """The rollup of a segment, or some dimensions of it; without visitor sets every row has an empty one."""
    found = counts([numbers], dimensions)
    if sets is None:
        visitors = pl.Series([[]], dtype=sketch.SET).new_from_index(0, found.rows.height)
    else:
        spans = [s for name, s in numbers.spans.items() if dimensions is None or name in dimensions]
        visitors = _visitors(sets, spans)
    whole = found.rows.with_columns(visitors.alias("visitors")).select(*ROLLUP_SCHEMA).sort(KEYS)
    return Rollup(whole, found.revenue.sort(*KEYS, "currency"))


def _visitors(sets: Sets, spans: Sequence[tuple[int, int]]) -> pl.Series:
    """The sets of some rows, one span of them after another."""
    nothing = np.empty(0, np.uint64)
    sizes = [np.diff(sets.offsets[start : stop + 1]) for start, stop in spans]
    hashes = np.concatenate([nothing, *(sets.visitors(start, stop) for start, stop in spans)])
    return sketch.as_sets(hashes, np.concatenate([np.empty(0, np.int64), *sizes]))


def frame(parts: Sequence[Numbers], dimensions: Collection[str] | None = None) -> pl.DataFrame:
    """COUNTS_SCHEMA."""
    taken = [
        (part, name, start, stop)
        for part in parts
        for name, (start, stop) in part.spans.items()
        if dimensions is None or name in dimensions
    ]
    if not taken:
        return pl.DataFrame(schema=COUNTS_SCHEMA)
    sizes = np.array([stop - start for _, _, start, stop in taken])
    columns = {
        "site": _repeated([part.site for part, *_ in taken], sizes),
        "at": pl.Series(np.concatenate([part.at[a:b] for part, _, a, b in taken])),
        "dimension": _repeated([name for _, name, _, _ in taken], sizes),
        "value": _texts(taken),
    }
    for place, name in enumerate(COLUMNS):
        column = _column(taken, place, int(sizes.sum()))
        columns["visitors" if name == VISITOR_COUNT else name] = column
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in COUNTS_SCHEMA.items())


_Taken = tuple[Numbers, str, int, int]


def _column(taken: Sequence[_Taken], place: int, rows: int) -> pl.Series:
    if all(part.columns[place] is None for part, *_ in taken):
        return pl.Series(np.zeros(rows, np.int64))
    values = np.zeros(rows, np.int64)
    at = 0
    for part, _, start, stop in taken:
        column = part.columns[place]
        if column is not None:
            values[at : at + stop - start] = column[start:stop]
        at += stop - start
    return pl.Series(values)


def _texts(taken: Sequence[_Taken]) -> pl.Series:
    lengths = np.concatenate([np.diff(part.offsets[a : b + 1]) for part, _, a, b in taken])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    data = b"".join(part.text(a, b) for part, _, a, b in taken)
    array = pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(data))
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def _repeated(names: list[str], sizes: Ints) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(np.repeat(np.arange(len(names)), sizes))


def _check(version: int) -> None:
    if version != CODEC_VERSION:
        raise ValueError(f"segment of codec version {version}, this program reads {CODEC_VERSION}")
