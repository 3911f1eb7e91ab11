"""The rollup: rows of (site, at, dimension, value) -> metrics, and how rollups are merged.

Every metric but the visitors is a sum, visitors are mergeable sets (`sketch`), so rollups of slots, of
batches and of hours merge in any order into the same rollup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting import sketch
from recount.counting.coding import Ints, code

OTHER: Final = "(other)"
TOTAL: Final = "total"
SERIES: Final = "series"
VERDICT: Final = "verdict"
PROP_PREFIX: Final = "prop:"

KEYS: Final = ("site", "at", "dimension", "value")

SUMS: Final = (
    *("visits", "ended_visits", "bounces", "duration_ms", "pageviews", "events", "engaged_ms"),
    *("scroll_sum", "scroll_count", "exits", "accepted", "folded_max"),
)
"""Metrics that add up. `events` are custom events; `scroll_sum` is in percent, the deepest of each visit and
page; `accepted` counts events of any kind; `folded_max` bounds from above what the value of any row that was
folded into this one may lack in visitors."""

ROLLUP_SCHEMA: Final[dict[str, pl.DataType]] = {
    "site": pl.String(),
    "at": pl.Int64(),
    "dimension": pl.String(),
    "value": pl.String(),
    "visitors": sketch.SET,
    **dict.fromkeys(SUMS, pl.Int64()),
}

REVENUE_SCHEMA: Final[dict[str, pl.DataType]] = {
    **{key: ROLLUP_SCHEMA[key] for key in KEYS},
    "currency": pl.String(),
    "micros": pl.Int64(),
}

UNFOLDED: Final = (TOTAL, SERIES, VERDICT)
"""Dimensions that are never cut to their top values."""


@dataclass(frozen=True)
class Rollup:
    """`rows` (ROLLUP_SCHEMA, one per key) and `revenue` (REVENUE_SCHEMA, one per key and currency), both
    sorted by (site, at, dimension, value). `at` is the first moment of the bucket, ms UTC."""

    rows: pl.DataFrame
    revenue: pl.DataFrame

    @property
    def is_empty(self) -> bool:
        return self.rows.is_empty() and self.revenue.is_empty()

    def of_site(self, site: str) -> Rollup:
        is_site = pl.col("site") == site
        return Rollup(self.rows.filter(is_site), self.revenue.filter(is_site))


@dataclass(frozen=True)
class Regrouped:
    """Other keys for rows: `keys` (KEYS), each for a row of what is merged, given by its place in `source`.
    A row may be in several groups or in none."""

    keys: pl.DataFrame
    source: Ints


def empty() -> Rollup:
    return Rollup(pl.DataFrame(schema=ROLLUP_SCHEMA), pl.DataFrame(schema=REVENUE_SCHEMA))


def merge(rollups: Sequence[Rollup], *, regroup: pl.Expr | None = None) -> Rollup:
    """One rollup of all; associative and commutative. `regroup` gives the new `at` of each row, if it
    changes."""
    if len(rollups) == 1 and regroup is None:
        return rollups[0]
    if not rollups:
        return empty()
    rows = pl.concat([rollup.rows for rollup in rollups])
    revenue = pl.concat([rollup.revenue for rollup in rollups])
    if regroup is not None:
        rows = rows.with_columns(regroup.cast(pl.Int64).alias("at"))
        revenue = revenue.with_columns(regroup.cast(pl.Int64).alias("at"))
    return Rollup(_merged_rows(rows), merged_revenue(revenue))


def merge_as(rollup: Rollup, rows: Regrouped, revenue: Regrouped) -> Rollup:
    """The rollup merged by other keys; only rows of the outcome are copied."""
    amounts = rollup.revenue.select(pl.col("currency", "micros").gather(revenue.source))
    return Rollup(_merged_rows(rollup.rows, rows), merged_revenue(revenue.keys.hstack(amounts)))


def joined(rollups: Sequence[Rollup]) -> Rollup:
    """One rollup of several that have no site in common, given in the order of their sites."""
    if len(rollups) == 1:
        return rollups[0]
    rows = pl.concat([rollup.rows for rollup in rollups])
    return Rollup(rows, pl.concat([rollup.revenue for rollup in rollups]))


def rebucket(rollup: Rollup, at: pl.Expr) -> Rollup:
    """The rollup by other buckets: `at` computes the new bucket of each row."""
    return merge([rollup], regroup=at)


def truncate(rollup: Rollup, top_n: int) -> Rollup:
    """The `top_n` values with most visitors of each (site, at, dimension); the rest is one row `(other)`.

    The row keeps all sums and visitors of what it folds, and in `folded_max` how many visitors a value may
    have that is not shown, or may have had besides those shown. Totals, series and verdicts stay whole.
    """
    rows = rollup.rows
    if rows.height <= top_n:
        return rollup
    bucket = np.cumsum(_changes(rows, KEYS[:3])) - 1
    is_other = (rows["value"] == OTHER).to_numpy()
    may_fold = ~rows["dimension"].is_in(UNFOLDED).to_numpy() & ~is_other
    crowded = np.bincount(bucket[may_fold], minlength=int(bucket[-1]) + 1) > top_n
    if not crowded.any():
        return rollup
    candidates = np.flatnonzero(may_fold & crowded[bucket])
    chosen, most = _least(rows, candidates, bucket[candidates], top_n)
    gone = np.zeros(rows.height, dtype=np.bool_)
    gone[chosen] = True
    folded = gone | (is_other & crowded[bucket])
    others = _folded(rows.filter(pl.Series(folded)), bucket[chosen], most)
    kept = pl.concat([rows.filter(pl.Series(~folded)), others])
    order, _ = _key_order(kept, KEYS)
    revenue = _folded_revenue(rollup.revenue, rows.filter(pl.Series(gone)).select(KEYS))
    return Rollup(kept.select(pl.all().gather(order)), revenue)


def _least(rows: pl.DataFrame, candidates: Ints, bucket: Ints, top_n: int) -> tuple[Ints, Ints]:
    """The candidates beyond the `top_n` of their bucket, and their visitors; ties go by events, value."""
    numbers = rows.select(sketch.count(pl.col("visitors")).alias("visitors"), "accepted")
    visitors, accepted = (numbers[name].to_numpy()[candidates] for name in ("visitors", "accepted"))
    order = np.lexsort((-accepted, -visitors, bucket))
    starts = np.flatnonzero(np.append(True, np.diff(bucket) > 0))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    beyond = np.sort(order[rank >= top_n])
    return candidates[beyond], visitors[beyond]


def _folded(rows: pl.DataFrame, bucket: Ints, visitors: Ints) -> pl.DataFrame:
    """One row `(other)` for each bucket of `rows`; the newly folded ones have these buckets and visitors."""
    merged = _merged_rows(rows.with_columns(pl.lit(OTHER).alias("value")))
    largest = np.maximum.reduceat(visitors, np.flatnonzero(np.append(True, np.diff(bucket) > 0)))
    return merged.with_columns(pl.col("folded_max") + pl.Series(largest)).select(*ROLLUP_SCHEMA)


def _folded_revenue(revenue: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
    marked = revenue.join(gone.with_columns(pl.lit(True).alias("gone")), on=KEYS, how="left")
    value = pl.when(pl.col("gone")).then(pl.lit(OTHER)).otherwise(pl.col("value")).alias("value")
    return merged_revenue(marked.with_columns(value).select(*REVENUE_SCHEMA))


def _merged_rows(rows: pl.DataFrame, by: Regrouped | None = None) -> pl.DataFrame:
    """One row per key, in their order; `by`: their own unless given."""
    rows = rows.rechunk()
    keys = rows.select(KEYS) if by is None else by.keys
    if keys.is_empty():
        return rows.clear().select(*ROLLUP_SCHEMA)
    order, starts = _key_order(keys, KEYS)
    keys = keys.select(pl.all().gather(order[starts]))
    order = order if by is None else by.source[order]
    if len(starts) == len(order):
        return keys.hstack(rows.select(pl.col("visitors", *SUMS).gather(order)))
    return keys.hstack([_united(rows["visitors"], order, starts), *_summed(rows, SUMS, order, starts)])


def _summed(rows: pl.DataFrame, names: Sequence[str], order: Ints, starts: Ints) -> list[pl.Series]:
    """The sums of each group; what is alone stays as it is."""
    sizes = np.diff(np.append(starts, len(order)))
    many = np.flatnonzero(sizes > 1)
    firsts, rest = order[starts], order[np.repeat(sizes > 1, sizes)]
    begins = np.cumsum(sizes[many]) - sizes[many]
    found = []
    for name in names:
        values = rows[name].to_numpy()
        sums = values[firsts]
        if len(many):
            sums[many] = np.add.reduceat(values[rest], begins)
        found.append(pl.Series(name, sums))
    return found


def _united(sets: pl.Series, order: Ints, starts: Ints) -> pl.Series:
    """The union of each group of sets; what is alone stays as it is."""
    sizes = np.diff(np.append(starts, len(order)))
    many = sizes > 1
    if not many.any():
        return sets.gather(order)
    together = sketch.union(
        sets.gather(order[np.repeat(many, sizes)]),
        np.repeat(np.arange(int(many.sum())), sizes[many]),
        int(many.sum()),
    )
    place = np.where(many, len(sets) + np.cumsum(many) - 1, order[starts])
    return pl.concat([sets, together.alias(sets.name)], rechunk=True).gather(place)


def _key_order(rows: pl.DataFrame, keys: Sequence[str]) -> tuple[Ints, Ints]:
    """The rows in the order of their keys, and where in it each key begins."""
    ranks = [_ranked(rows[key]) for key in keys]
    packed, below = ranks[0]
    for codes, size in ranks[1:]:
        if (below * size).bit_length() > 62:  # too many combinations for one number: those that occur
            distinct, packed = np.unique(packed, return_inverse=True)
            below = len(distinct)
        packed, below = packed * size + codes, below * size
    order = sketch.stable_order(packed, below)
    packed = packed[order]
    return order, np.flatnonzero(np.append(len(packed) > 0, packed[1:] != packed[:-1]))


def _ranked(column: pl.Series) -> tuple[Ints, int]:
    """Numbers in the order of the values, and how many there are."""
    if column.dtype == pl.String:
        coded = code(column)
        return coded.shown_as(coded.values).codes, coded.size
    distinct, codes = np.unique(column.to_numpy(), return_inverse=True)
    return codes, len(distinct)


def _changes(rows: pl.DataFrame, keys: Sequence[str]) -> NDArray[np.bool_]:
    """Whether a row differs from the one before in any of the keys."""
    new = pl.any_horizontal(pl.col(key) != pl.col(key).shift() for key in keys).fill_null(True)
    return rows.select(new).to_series().to_numpy()


def merged_numbers(rows: pl.DataFrame, numbers: Sequence[str]) -> pl.DataFrame:
    """One row per key, by keys: the sums of `numbers`."""
    if rows.is_empty():
        return rows.select(*KEYS, *numbers)
    rows = rows.select(*KEYS, *numbers).rechunk()
    order, starts = _key_order(rows, KEYS)
    if len(starts) == len(order):
        return rows.select(pl.all().gather(order))
    return rows.select(pl.col(KEYS).gather(order[starts])).hstack(_summed(rows, numbers, order, starts))


def merged_revenue(revenue: pl.DataFrame) -> pl.DataFrame:
    """One row per key and currency."""
    keys = (*KEYS, "currency")
    if revenue.is_empty():
        return revenue
    order, starts = _key_order(revenue, keys)
    micros = pl.Series("micros", np.add.reduceat(revenue["micros"].to_numpy()[order], starts))
    return revenue.rechunk().select(pl.col(keys).gather(order[starts])).hstack([micros])
