"""Events in portions, in memory while they are few and on disk beyond that."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from orchestration.steps.texts import Texts, coded_in
from recount.event import EVENT_SCHEMA

HELD_MAX_EVENTS: Final = 6_000_000  # in memory, some 200 bytes each
COLUMNS: Final = tuple(EVENT_SCHEMA)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Held:
    """A chunk in memory; bounds: where each part of it begins, and the end."""

    events: pl.DataFrame
    bounds: Ints


@dataclass(frozen=True)
class _Written:
    """A chunk in the file. blobs: where each part lies, and its bytes; coded: the columns that are numbers
    of texts."""

    blobs: list[tuple[int, int]]
    schema: pa.Schema
    coded: tuple[str, ...]


class Chunks:
    """Chunks of events, coded by `texts`, in numbered parts. What is on disk goes when the process does."""

    def __init__(self, folder: Path, texts: Texts) -> None:
        self._folder = folder
        self._texts = texts
        self._held = 0
        self._chunks: list[_Held | _Written] = []
        self._spill: _Spill | None = None

    def add(self, events: pl.DataFrame, order: Ints, bounds: Ints) -> None:
        """A chunk whose rows, in this order, lie in parts of these bounds. Not from several threads."""
        rows = pl.Series(order, dtype=pl.UInt32)
        if self._spill is None and self._held + events.height > HELD_MAX_EVENTS:
            self._spill = _Spill(self._folder, self._texts)
            self._chunks = [_written(chunk, self._spill) for chunk in self._chunks]
        ordered = events.select(pl.all().gather(rows))
        if self._spill is not None:
            self._chunks.append(self._spill.write(ordered, bounds))
        else:
            self._held += events.height
            self._chunks.append(_Held(ordered, bounds))

    def read(self, chunk: int, first: int, end: int, columns: Sequence[str] = COLUMNS) -> pl.DataFrame:
        """The parts [first, end) of a chunk. From any thread."""
        found = self._chunks[chunk]
        if isinstance(found, _Held):
            return found.events.select(columns)[int(found.bounds[first]) : int(found.bounds[end])]
        assert self._spill is not None
        return self._spill.read(found, first, end, columns)

    def close(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        if self._spill is not None:
            self._spill.close()


class _Spill:
    """A file without a name: nobody has to clean up after a process that was killed."""

    def __init__(self, folder: Path, texts: Texts) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 # closed with the chunks
        self._texts = texts

    def write(self, events: pl.DataFrame, bounds: Ints) -> _Written:
        table = self._texts.numbers(events).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        (batch,) = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]
        blobs: list[tuple[int, int]] = []
        at = self._file.seek(0, os.SEEK_END)
        for first, end in pairwise(bounds.tolist()):
            data = batch.slice(first, end - first).serialize()
            self._file.write(data)
            blobs.append((at, data.size))
            at += data.size
        self._file.flush()
        return _Written(blobs, batch.schema, tuple(coded_in(events)))

    def read(self, chunk: _Written, first: int, end: int, columns: Sequence[str]) -> pl.DataFrame:
        batches = [
            pa.ipc.read_record_batch(pa.py_buffer(os.pread(self._file.fileno(), size, at)), chunk.schema)
            for at, size in chunk.blobs[first:end]
        ]
        numbers = pl.from_arrow(pa.Table.from_batches(batches, chunk.schema).select(columns))
        assert isinstance(numbers, pl.DataFrame)
        return self._texts.of_numbers(numbers, chunk.coded)

    def close(self) -> None:
        self._file.close()


def _written(chunk: _Held | _Written, spill: _Spill) -> _Written:
    return spill.write(chunk.events, chunk.bounds) if isinstance(chunk, _Held) else chunk
