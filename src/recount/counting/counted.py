"""Rollups as they are kept and shown: the number of visitors beside their sets, or instead of them.

Daily hashes cannot tell whether a visitor of one day came back on another, so the visitors of several days
are the sum of daily visitors: a number without a set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
    crowded = pl.col("site").is_in(_crowded_sites(whole.rows, top_n).implode())
    rows, revenue = whole.rows.filter(crowded), whole.revenue.filter(crowded)
    if rows.is_empty():
        return whole
    others = Counted(whole.rows.filter(~crowded), whole.revenue.filter(~crowded))
    return concat([others, _truncated(Counted(rows, revenue), top_n)])


def _crowded_sites(rows: pl.DataFrame, top_n: int) -> pl.Series:
    """The sites that have more values in a dimension than are shown."""
    large = rows.group_by("site").len().filter(pl.col("len") > top_n)["site"]
    foldable = pl.col("site").is_in(large.implode()) & _FOLDABLE
    sizes = rows.lazy().filter(foldable).group_by("site", "at", "dimension").len()
    return sizes.filter(pl.col("len") > top_n).select(pl.col("site").unique()).collect()["site"]


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
    bucket = ("site", "at", "dimension")
    ranked = (
        whole.rows.filter(_FOLDABLE)
        .sort(VISITOR_COUNT, "accepted", "value", descending=[True, True, False])
        .select(*KEYS, VISITOR_COUNT, pl.int_range(pl.len()).over(bucket).alias("_rank"))
    )
    folded = ranked.filter(pl.col("_rank") >= top_n)
    if folded.is_empty():
        return whole
    largest = folded.group_by(bucket).agg(pl.col(VISITOR_COUNT).max().alias("_largest"))
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
