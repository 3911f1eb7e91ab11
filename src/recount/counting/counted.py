"""Rollups as they are kept and shown: the number of visitors beside their sets, or instead of them.

Daily hashes cannot tell whether a visitor of one day came back on another, so the visitors of several days
are the sum of daily visitors: a number without a set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recount.counting import sketch
from recount.counting.rollup import (
    KEYS,
    OTHER,
    REVENUE_SCHEMA,
    ROLLUP_SCHEMA,
    SUMS,
    UNFOLDED,
    Rollup,
    merged_numbers,
    merged_revenue,
    truncate,
)

VISITOR_COUNT: Final = "visitor_count"
BUCKET: Final = KEYS[:3]
COUNTED_SCHEMA: Final[dict[str, pl.DataType]] = {**ROLLUP_SCHEMA, VISITOR_COUNT: pl.Int64()}
COUNTS_SCHEMA: Final[dict[str, pl.DataType]] = {
    name: pl.Int64() if name == "visitors" else kind for name, kind in ROLLUP_SCHEMA.items()
}
_FOLDABLE: Final = ~pl.col("dimension").is_in(UNFOLDED) & (pl.col("value") != OTHER)


@dataclass(frozen=True)
class Counted:
    """`rows`: COUNTED_SCHEMA, `visitors` null where only the number is kept; `revenue`: REVENUE_SCHEMA, each
    row of it with the key of one of `rows`."""

    rows: pl.DataFrame
    revenue: pl.DataFrame


@dataclass(frozen=True)
class Counts:
    """`rows`: COUNTS_SCHEMA, ROLLUP_SCHEMA with `visitors` as a number; `revenue`: REVENUE_SCHEMA."""

    rows: pl.DataFrame
    revenue: pl.DataFrame


def empty() -> Counted:
    return Counted(pl.DataFrame(schema=COUNTED_SCHEMA), pl.DataFrame(schema=REVENUE_SCHEMA))


def with_counts(rollup: Rollup) -> Counted:
    """The rollup with the number of visitors of each set."""
    number = sketch.count(pl.col("visitors")).alias(VISITOR_COUNT)
    return Counted(rollup.rows.with_columns(number).select(*COUNTED_SCHEMA), rollup.revenue)


def summed(parts: Counted) -> Counted:
    """One row a key: every metric added up, visitors too, their sets dropped."""
    sums = merged_numbers(parts.rows, (VISITOR_COUNT, *SUMS))
    rows = sums.with_columns(pl.lit(None, sketch.SET).alias("visitors")).select(*COUNTED_SCHEMA)
    return Counted(rows, merged_revenue(parts.revenue))


def concat(parts: list[Counted]) -> Counted:
    if not parts:
        return empty()
    return Counted(pl.concat([p.rows for p in parts]), pl.concat([p.revenue for p in parts]))


def truncated(whole: Counted, top_n: int) -> Counted:
    """As `rollup.truncate`, for rows with sets and rows without; in no order."""
    crowded = _crowded(whole.rows, top_n)
    if not crowded.any():
        return whole
    rows = whole.rows.filter(crowded)
    buckets = rows.select(BUCKET).unique()
    revenue = whole.revenue.join(buckets, on=BUCKET, how="semi", maintain_order="left")
    others = whole.revenue.join(buckets, on=BUCKET, how="anti", maintain_order="left")
    cut = _truncated(Counted(rows, revenue), top_n)
    return concat([Counted(whole.rows.filter(~crowded), others), cut])


def _crowded(rows: pl.DataFrame, top_n: int) -> pl.Series:
    """Whether a row is in a bucket of more rows than are shown. Rollups have the rows of one together."""
    runs = rows.select(pl.struct(BUCKET).rle().struct.unnest()).unnest("value")
    sizes = runs.group_by(BUCKET).agg(pl.col("len").sum().alias("rows"))
    large = sizes.filter(pl.col("rows") > top_n, ~pl.col("dimension").is_in(UNFOLDED))
    in_large = runs.join(large, on=BUCKET, how="left", maintain_order="left")["rows"].is_not_null()
    return pl.Series(np.repeat(in_large.to_numpy(), runs["len"].to_numpy()))


def _truncated(whole: Counted, top_n: int) -> Counted:
    has_sets = pl.col("visitors").is_not_null()
    with_sets = whole.rows.filter(has_sets)
    numbers = whole.rows.filter(~has_sets)
    if numbers.is_empty():
        return with_counts(truncate(Rollup(with_sets.drop(VISITOR_COUNT), whole.revenue), top_n))
    if with_sets.is_empty():
        return _truncated_numbers(whole, top_n)
    only_numbers = whole.revenue.join(numbers, on=KEYS, how="semi")
    others = whole.revenue.join(with_sets, on=KEYS, how="semi")
    sets = with_counts(truncate(Rollup(with_sets.drop(VISITOR_COUNT), others), top_n))
    return concat([_truncated_numbers(Counted(numbers, only_numbers), top_n), sets])


def _truncated_numbers(whole: Counted, top_n: int) -> Counted:
    ranked = (
        whole.rows.filter(_FOLDABLE)
        .sort(VISITOR_COUNT, "accepted", "value", descending=[True, True, False])
        .select(*KEYS, VISITOR_COUNT, pl.int_range(pl.len()).over(BUCKET).alias("_rank"))
    )
    folded = ranked.filter(pl.col("_rank") >= top_n)
    if folded.is_empty():
        return whole
    largest = folded.group_by(BUCKET).agg(pl.col(VISITOR_COUNT).max().alias("_largest"))
    sums = summed(Counted(_to_other(whole.rows, folded), _to_other(whole.revenue, folded)))
    lacking = sums.rows.join(
        largest.with_columns(value=pl.lit(OTHER)), on=KEYS, how="left", maintain_order="left"
    )
    bound = pl.col("folded_max") + pl.col("_largest").fill_null(0)
    return Counted(lacking.with_columns(folded_max=bound).select(*COUNTED_SCHEMA), sums.revenue)


def _to_other(rows: pl.DataFrame, folded: pl.DataFrame) -> pl.DataFrame:
    marked = rows.join(folded.select(*KEYS, _fold=pl.lit(True)), on=KEYS, how="left", maintain_order="left")
    value = pl.when(pl.col("_fold")).then(pl.lit(OTHER)).otherwise(pl.col("value")).alias("value")
    return marked.with_columns(value).drop("_fold")
