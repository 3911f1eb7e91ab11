"""Groups rows of numbers by (site, bucket, value): one sort of packed integers per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recount.counting import sketch
from recount.counting.coding import Coded, Flags, Ints, Numbers, changes

Visitors = NDArray[np.uint64]

_WORD_BITS = 63


@dataclass(frozen=True)
class Field:
    """A metric within a word: `bits` from `shift`; a metric that has a word to itself may be negative."""

    name: str
    word: int
    shift: int
    bits: int

    def of(self, words: Sequence[Ints]) -> Ints:
        word = words[self.word]
        return word if self.bits > _WORD_BITS else (word >> self.shift) & ((1 << self.bits) - 1)


@dataclass(frozen=True)
class Metrics:
    """Several metrics of the same rows, packed into few 64-bit words that can be summed as they are: each has
    as many bits as its sum over all rows needs, so no sum of any group reaches its neighbour."""

    fields: tuple[Field, ...]
    words: tuple[Ints, ...]

    def take(self, rows: Ints | Flags) -> Metrics:
        return Metrics(self.fields, tuple(word[rows] for word in self.words))

    def added(self, starts: Ints) -> Metrics:
        """The sums of consecutive rows, from each start to the next."""
        if not len(starts):
            return self.take(starts)
        return Metrics(self.fields, tuple(np.add.reduceat(word, starts) for word in self.words))

    def without(self, name: str) -> Metrics:
        return Metrics(tuple(field for field in self.fields if field.name != name), self.words)

    @property
    def numbers(self) -> dict[str, Ints]:
        """Each metric by its name."""
        return {field.name: field.of(self.words) for field in self.fields}

    def __getitem__(self, name: str) -> Ints:
        return next(field for field in self.fields if field.name == name).of(self.words)


def pack(**columns: Numbers) -> Metrics:
    """The columns, equally long, as Metrics."""
    totals = {name: _bits(column) for name, column in columns.items()}
    fields: list[Field] = []
    free: list[int] = []
    for name, bits in sorted(totals.items(), key=lambda item: -item[1]):
        word = next((n for n, left in enumerate(free) if left >= bits), len(free))
        if word == len(free):
            free.append(_WORD_BITS)
        fields.append(Field(name, word, _WORD_BITS - free[word], bits))
        free[word] = free[word] - bits if bits <= _WORD_BITS else 0
    words = []
    for number in range(len(free)):
        own = [field for field in fields if field.word == number]
        parts = [np.asarray(columns[f.name]).astype(np.int64, copy=False) << f.shift for f in own]
        words.append(parts[0] if len(parts) == 1 else np.add.reduce(parts))
    return Metrics(tuple(fields), tuple(words))


def _bits(column: Numbers) -> int:
    """How many bits the sums of a column need; more than a word has if it may be negative."""
    if not len(column) or column.min() >= 0:
        return max(1, int(column.sum(dtype=np.int64)).bit_length())
    return _WORD_BITS + 1


@dataclass(frozen=True)
class Facts:
    """Rows to count. Within a place, the visitors of rows that count are ascending.

    counts: whether the row's visitor counts.
    """

    place: Ints
    visitor: Visitors
    counts: Flags
    metrics: Metrics

    def take(self, rows: Ints | Flags) -> Facts:
        return Facts(self.place[rows], self.visitor[rows], self.counts[rows], self.metrics.take(rows))

    def moved(self, place: Ints) -> Facts:
        return Facts(place, self.visitor, self.counts, self.metrics)


@dataclass(frozen=True)
class Amounts:
    """Money by row: its currency and micros."""

    currency: Coded
    micros: Ints

    def take(self, rows: Ints | Flags) -> Amounts:
        return Amounts(self.currency.at(rows), self.micros[rows])


@dataclass(frozen=True)
class Groups:
    """rows: in the order of their group; starts: where each group begins in them; place, code: each
    group's."""

    rows: Ints
    starts: Ints
    place: Ints
    code: Ints

    @property
    def sizes(self) -> Ints:
        return np.diff(np.append(self.starts, len(self.rows)))


def grouped(place: Ints, codes: Ints, size: int, places: int) -> Groups:
    """The rows that have a code, by (place, code)."""
    keys = place * size + codes
    present = np.flatnonzero(codes >= 0)
    if len(present) == len(codes):
        rows = sketch.stable_order(keys, places * size)
    else:
        rows = present[sketch.stable_order(keys[present], places * size)]
    keys = keys[rows]
    starts = np.flatnonzero(changes(keys))
    firsts = keys[starts]
    return Groups(rows, starts, firsts // size, firsts % size)


def sums(metrics: Metrics, groups: Groups) -> Metrics:
    """The metrics of each group."""
    return metrics.take(groups.rows).added(groups.starts)
