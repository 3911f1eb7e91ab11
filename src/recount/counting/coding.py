"""Texts as small integers: the fold groups by codes and looks at each distinct text once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ABSENT: Final = -1
"""The code of a row that has no value: it takes no part in the dimension."""

_FEW: Final = 4_096  # texts that plain Python sorts sooner than polars is called


@dataclass(frozen=True)
class Coded:
    """`codes` point into `values`: distinct texts, null among them where it occurs."""

    codes: Ints
    values: pl.Series

    @property
    def size(self) -> int:
        return len(self.values)

    def shown_as(self, shown: pl.Series) -> Coded:
        """The same rows by what their values are shown as: `shown` has one text per value, null for ABSENT.

        The new values are distinct and sorted.
        """
        if len(shown) <= _FEW:
            texts = shown.to_list()
            values = sorted({text for text in texts if text is not None})
            rank = {text: place for place, text in enumerate(values)} | {None: ABSENT}
            of_value = np.array([*(rank[text] for text in texts), ABSENT], dtype=np.int64)
            return Coded(of_value[self.codes], pl.Series(shown.name, values, dtype=pl.String))
        own = code(shown)
        present = np.flatnonzero(own.values.is_not_null().to_numpy())
        distinct = own.values.gather(present)
        order = distinct.arg_sort().to_numpy()
        ranks = np.full(own.size + 1, ABSENT, dtype=np.int64)
        ranks[present[order]] = np.arange(len(order))
        of_value = np.append(ranks[own.codes], ABSENT)  # ABSENT stays ABSENT
        return Coded(of_value[self.codes], distinct.gather(order))

    def at(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Coded:
        """Some of the rows."""
        return Coded(self.codes[rows], self.values)


def code(texts: pl.Series) -> Coded:
    """Codes in the order of first appearance."""
    codes = texts.cast(pl.Categorical(pl.Categories.random())).to_physical().cast(pl.Int64)
    if not codes.null_count():
        return Coded(codes.to_numpy(), texts[_first_rows(codes.to_numpy())])
    numbers = codes.fill_null(-1).to_numpy().copy()
    numbers[numbers < 0] = numbers.max() + 1
    return Coded(numbers, texts[_first_rows(numbers)])


def _first_rows(codes: Ints) -> Ints:
    """A row of each code."""
    rows = np.empty(int(codes.max(initial=ABSENT)) + 1, dtype=np.int64)
    rows[codes] = np.arange(len(codes))
    return rows


def numbered(site: pl.Series, visitor: pl.Series) -> tuple[Ints, int]:
    """A number for the (site, visitor) of each row, in their order, and what all of them are below."""
    coded = code(site)
    visitors = ranks(visitor.to_numpy())
    count = int(visitors.max(initial=ABSENT)) + 1
    return coded.shown_as(coded.values).codes * count + visitors, coded.size * count


def ranks(numbers: NDArray[np.uint64] | Ints) -> Ints:
    """The place of each number among the distinct ones."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    found = np.empty(len(numbers), dtype=np.int64)
    found[order] = np.cumsum(np.append(0, ordered[1:] != ordered[:-1])[: len(numbers)])
    return found


def whole(rows: int) -> Coded:
    """The value of a dimension that has only one."""
    return named("", rows)


def named(value: str, rows: int) -> Coded:
    """Rows that all have one value."""
    return Coded(np.zeros(rows, dtype=np.int64), pl.Series([value]))


def pairs(first: Ints, second: Ints, seconds: int) -> tuple[Ints, Ints]:
    """The distinct pairs of two codes, as `first * seconds + second`, and the place of each row's pair
    there."""
    distinct, places = np.unique(first * seconds + second, return_inverse=True)
    return distinct, places


def expanded(places: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """(row, entry): each row once for each of the counts[place] entries of its place, where entries lie by
    place."""
    times = counts[places]
    held = np.repeat(np.arange(len(places)), times)
    first = np.cumsum(counts) - counts
    within = np.arange(len(held)) - np.repeat(np.cumsum(times) - times, times)
    return held, first[places[held]] + within
