"""The rollup: rows of (site, at, dimension, value) -> metrics, and how rollups are merged.

Every metric but the visitors is a sum, visitors are mergeable sets (`recount.sketch`), so rollups of slots,
of batches and of hours merge in any order into the same rollup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from recount import sketch

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


def rebucket(rollup: Rollup, at: pl.Expr) -> Rollup:
    """The rollup by other buckets: `at` computes the new bucket of each row."""
    return merge([rollup], regroup=at)


def truncate(rollup: Rollup, top_n: int) -> Rollup:
    """The `top_n` values with most visitors of each (site, at, dimension); the rest becomes one row
    `(other)`.

    The row keeps all sums and visitors of what it folds, and in `folded_max` how many visitors a value may
    have that is not shown, or may have had besides those shown.
    """
    rows = rollup.rows.with_columns(sketch.count(pl.col("visitors")).alias("_count"))
    bucket = ("site", "at", "dimension")
    foldable = ~pl.col("dimension").is_in(UNFOLDED)
    crowded = rows.filter(foldable).group_by(bucket).len().filter(pl.col("len") > top_n).drop("len")
    if crowded.is_empty():
        return rollup
    ranked = (
        rows.filter(pl.col("value") != OTHER)
        .join(crowded, on=bucket, how="semi")
        .sort("_count", "accepted", "value", descending=[True, True, False])
        .select(*KEYS, "_count", pl.int_range(pl.len()).over(bucket).alias("_rank"))
    )
    folded = ranked.filter(pl.col("_rank") >= top_n).select(*KEYS, "_count", pl.lit(True).alias("_fold"))
    return Rollup(_folded_rows(rollup.rows, folded), _folded_revenue(rollup.revenue, folded))


def _folded_rows(rows: pl.DataFrame, folded: pl.DataFrame) -> pl.DataFrame:
    marked = rows.join(folded, on=KEYS, how="left", maintain_order="left")
    fold = pl.col("_fold").fill_null(False)
    largest = folded.group_by("site", "at", "dimension").agg(pl.col("_count").max())
    merged = _merged_rows(marked.with_columns(_to_other(fold)).select(*ROLLUP_SCHEMA))
    lacking = merged.join(
        largest.with_columns(pl.lit(OTHER).alias("value")), on=KEYS, how="left", maintain_order="left"
    )
    return lacking.with_columns(pl.col("folded_max") + pl.col("_count").fill_null(0)).select(*ROLLUP_SCHEMA)


def _folded_revenue(revenue: pl.DataFrame, folded: pl.DataFrame) -> pl.DataFrame:
    marked = revenue.join(folded, on=KEYS, how="left", maintain_order="left")
    fold = pl.col("_fold").fill_null(False)
    return merged_revenue(marked.with_columns(_to_other(fold)).select(*REVENUE_SCHEMA))


def _to_other(fold: pl.Expr) -> pl.Expr:
    return pl.when(fold).then(pl.lit(OTHER)).otherwise(pl.col("value")).alias("value")


def _merged_rows(rows: pl.DataFrame) -> pl.DataFrame:
    numbered = rows.select(*KEYS, pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"))
    groups = numbered.group_by(KEYS, maintain_order=False).agg("_row").sort(KEYS)
    order = groups["_row"].list.explode()
    sizes = groups["_row"].list.len()
    if groups.height == rows.height:
        return rows.select(pl.all().gather(order))
    of_group = pl.int_range(groups.height, dtype=pl.Int64, eager=True).repeat_by(sizes).list.explode()
    sums = (
        rows.select(pl.col(SUMS).gather(order))
        .group_by(of_group.alias("_group"), maintain_order=True)
        .agg(pl.all().sum())
    )
    sets = rows["visitors"].gather(order)
    visitors = sketch.union(sets, of_group.to_numpy(), groups.height).alias("visitors")
    return groups.select(*KEYS).hstack([visitors, *sums.select(*SUMS)])


def merged_revenue(revenue: pl.DataFrame) -> pl.DataFrame:
    """One row per key and currency."""
    keys = (*KEYS, "currency")
    return revenue.group_by(keys).agg(pl.col("micros").sum()).sort(keys).select(*REVENUE_SCHEMA)
