"""Which offsets were taken already: redelivery stores some of them twice, in other portions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.kafka import SourcePartition

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rows = slice | Flags


class Seen:
    """The offsets of each source partition that were taken so far, eight bytes each."""

    def __init__(self) -> None:
        self._sources: dict[SourcePartition, _Offsets] = {}

    def take(self, events: pl.DataFrame) -> Flags:
        """Whether each row (POSITION_SCHEMA) comes for the first time; from now on it has been seen."""
        return self._ask(events, _Offsets.take)

    def lacks(self, events: pl.DataFrame) -> Flags:
        """Whether each row has not been seen."""
        return self._ask(events, _Offsets.lacks)

    def _ask(self, events: pl.DataFrame, question: Callable[[_Offsets, Ints], Flags]) -> Flags:
        offsets = events["offset"].to_numpy()
        answers = np.zeros(len(offsets), dtype=np.bool_)
        for source, rows in _by_source(events):
            answers[rows] = question(self._sources.setdefault(source, _Offsets()), offsets[rows])
        return answers


class _Offsets:
    """Of one source partition: ascending portions, kept by their first offset. Most overlap with no other."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._portions: list[Ints] = []
        self._longest = 0
        self._all: Ints | None = None

    def take(self, offsets: Ints) -> Flags:
        distinct, rows = _distinct(offsets)
        near = self._near(int(distinct[0]), int(distinct[-1]))
        if near:
            is_new = ~np.isin(distinct, np.concatenate(near))
            distinct, rows = distinct[is_new], rows[is_new]
        if len(distinct):
            self._keep(distinct)
        taken = np.zeros(len(offsets), dtype=np.bool_)
        taken[rows] = True
        return taken

    def lacks(self, offsets: Ints) -> Flags:
        if self._all is None:
            self._all = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self._portions]))
        if not len(self._all):
            return np.ones(len(offsets), dtype=np.bool_)
        at = np.searchsorted(self._all, offsets).clip(max=len(self._all) - 1)
        return np.asarray(self._all[at] != offsets)

    def _near(self, first: int, last: int) -> list[Ints]:
        """The portions that may hold any of [first, last]."""
        low = bisect_left(self._firsts, first - self._longest)
        high = bisect_right(self._firsts, last)
        return [portion for portion in self._portions[low:high] if portion[-1] >= first]

    def _keep(self, portion: Ints) -> None:
        first, last = int(portion[0]), int(portion[-1])
        at = bisect_left(self._firsts, first)
        self._firsts.insert(at, first)
        self._portions.insert(at, portion)
        self._longest = max(self._longest, last - first)
        self._all = None


def _distinct(offsets: Ints) -> tuple[Ints, Ints]:
    """The offsets in order, each once, and a row of each; as a rule they are so already."""
    if (offsets[1:] > offsets[:-1]).all():
        return offsets.copy(), np.arange(len(offsets))
    distinct, rows = np.unique(offsets, return_index=True)
    return distinct, rows


def _by_source(events: pl.DataFrame) -> Iterator[tuple[SourcePartition, Rows]]:
    """The source partitions of some events, and the rows of each."""
    sources = events.select("topic", "partition").unique().rows()
    if len(sources) == 1:
        yield sources[0], slice(None)
        return
    for topic, partition in sources:
        yield (topic, partition), ((events["topic"] == topic) & (events["partition"] == partition)).to_numpy()
