"""Mergeable counts of distinct visitors: the K smallest hashes of a set, sorted.

Up to 4,096 visitors the set is the count. Beyond, the k-th smallest hash tells how densely the hash space is
filled: the unbiased estimator (k - 1) / U(k) of Beyer, Haas, Reinwald, Sismanis and Gemulla, "On synopses for
distinct-value estimation under multiset operations" (SIGMOD 2007), standard error 1 / sqrt(k - 2) = 1.56 %.
The K smallest of a union are among the K smallest of its parts, so merging in any order gives the same set.
Visitors are keyed hashes already, evenly spread over 64 bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

EXACT_MAX: Final = 4_096
K: Final = EXACT_MAX + 1
"""One more than is counted exactly: a set of K hashes is known to stand for more than EXACT_MAX visitors."""

COUNT_MAX: Final = 2.0**53

SET: Final = pl.List(pl.UInt64)

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


def count(sets: pl.Expr) -> pl.Expr:
    """The number of visitors (Int64) of each set: exact up to EXACT_MAX, else estimated."""
    size = sets.list.len().cast(pl.Int64)
    filled = (sets.list.last().cast(pl.Float64) + 1.0) / 2.0**64
    estimate = ((K - 1) / filled).clip(upper_bound=COUNT_MAX)  # small numbers are no hashes
    return pl.when(size < K).then(size).otherwise(estimate.round().cast(pl.Int64))


def is_exact(sets: pl.Expr) -> pl.Expr:
    return sets.list.len() < K


def lowest(hashes: Hashes, of_set: Ints, sets: int) -> tuple[Hashes, Ints]:
    """The distinct hashes that `sets` sets keep, one set after another, and how many each has.

    `hashes[i]` belongs to set `of_set[i]`; ordered by set, then hash; repeats allowed.
    """
    if not len(hashes):
        return hashes, np.zeros(sets, dtype=np.int64)
    new = np.append(True, (of_set[1:] != of_set[:-1]) | (hashes[1:] != hashes[:-1]))
    hashes, of_set = hashes[new], of_set[new]
    sizes = np.bincount(of_set, minlength=sets)
    if sizes.max(initial=0) > K:
        rank = np.arange(len(hashes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        hashes, sizes = hashes[rank < K], np.minimum(sizes, K)
    return hashes, sizes


def as_sets(hashes: Hashes, sizes: Ints) -> pl.Series:
    """What `lowest` gives, as a Series of SET."""
    ends = np.append(0, np.cumsum(sizes))
    listed = pa.LargeListArray.from_arrays(_as_it_is(ends, pa.int64()), _as_it_is(hashes, pa.uint64()))
    return pl.Series(pl.from_arrow(listed), dtype=SET)


def _as_it_is(numbers: Hashes | Ints, kind: pa.DataType) -> pa.Array:
    """An array over the same memory; `pa.array` would import pandas, which takes longer than a small fold."""
    data = pa.py_buffer(np.ascontiguousarray(numbers, dtype=kind.to_pandas_dtype()))
    return pa.Array.from_buffers(kind, len(numbers), [None, data])


def union(sets: pl.Series, of_union: Ints, unions: int) -> pl.Series:
    """`unions` sets, where `sets[i]` goes into union `of_union[i]`; the order of the sets does not matter."""
    sizes = sets.list.len().to_numpy()
    hashes = sets.filter(sets.list.len() > 0).list.explode().to_numpy()
    of_hash = np.repeat(of_union, sizes)
    by_hash = np.argsort(hashes)
    order = by_hash[stable_order(of_hash[by_hash], unions)]
    return as_sets(*lowest(hashes[order], of_hash[order], unions))


def stable_order(keys: Ints, below: int) -> Ints:
    """The rows in the order of their keys (0 <= key < below), rows of one key in the order they have.

    Key and row share one 64-bit number where they fit: numpy sorts those several times faster than it sorts
    keys stably.
    """
    row_bits = max(1, len(keys).bit_length())
    if below.bit_length() + row_bits > 63:
        return np.argsort(keys, kind="stable")
    packed = (keys.astype(np.int64) << row_bits) | np.arange(len(keys))
    packed.sort()
    packed &= (1 << row_bits) - 1
    return packed
