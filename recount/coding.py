"""Texts as small integers: the fold groups by codes and looks at each distinct text once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ABSENT = -1
"""The code of a row that has no value: it takes no part in the dimension."""


@dataclass(frozen=True)
class Coded:
    """`codes` point into `values`: distinct texts, null among them where it occurs."""

    codes: Ints
    values: pl.Series

    @property
    def size(self) -> int:
        return len(self.values)

    def shown_as(self, shown: pl.Series) -> Coded:
        """The same rows by what their values are shown as (one per value, null for ABSENT), in sorted
        order."""
        own = code(shown)
        present = own.values.drop_nulls()
        order = present.arg_sort().to_numpy()
        rank = np.full(own.size + 1, ABSENT, dtype=np.int64)
        places = np.flatnonzero(own.values.is_not_null().to_numpy())
        rank[places[order]] = np.arange(len(order))
        return Coded(_take(rank[own.codes], self.codes), present.gather(order))

    def at(self, rows: Ints) -> Coded:
        """The coded values of some of the rows."""
        return Coded(self.codes[rows], self.values)


def code(texts: pl.Series) -> Coded:
    """Codes in the order of first appearance."""
    categories = texts.cast(pl.Categorical(pl.Categories.random()))
    codes = categories.to_physical().cast(pl.Int64)
    present = codes.drop_nulls().to_numpy()
    size = int(present.max(initial=ABSENT)) + 1
    rows = np.empty(size, dtype=np.int64)
    rows[present] = np.flatnonzero(codes.is_not_null().to_numpy())
    values = texts.gather(rows)
    if codes.null_count():
        codes, values = (
            codes.fill_null(size),
            pl.concat([values, pl.Series(texts.name, [None], dtype=pl.String)]),
        )
    return Coded(codes.to_numpy(), values)


def pairs(first: Ints, second: Ints, seconds: int) -> tuple[Ints, Ints]:
    """The distinct pairs of two codes as packed numbers `first * seconds + second`, and each row's place
    there."""
    distinct, places = np.unique(first * seconds + second, return_inverse=True)
    return distinct, places


def _take(values: Ints, places: Ints) -> Ints:
    """values[places], where a place may be ABSENT."""
    return np.append(values, ABSENT)[places]
