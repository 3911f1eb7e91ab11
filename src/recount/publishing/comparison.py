"""What would change: rollups as they are shown beside rollups as they would be, in numbers.

A comparison is made of days (each in its site's zone), so visitors are distinct within a day, and over
several days their sum, as everywhere. Values are compared before rows beyond the top values are folded away:
a value that merely enters or leaves `(other)` has not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from recount.counting.counted import VISITOR_COUNT, Counted
from recount.counting.rebuild import HOURS
from recount.counting.rollup import SERIES, TOTAL

METRICS: Final = (
    *("visitors", "visits", "pageviews", "events", "ended_visits", "bounces", "duration_ms", "engaged_ms"),
    *("scroll_sum", "scroll_count", "exits", "accepted"),
)
REVENUE_PREFIX: Final = "revenue:"  # and the currency; in millionths of it
MICROS: Final = 1_000_000
TIMES: Final = (SERIES, HOURS)  # the same sums once more, by time of day
PLACE: Final = ("site", "dimension", "value")
CHANGES_SCHEMA: Final[dict[str, pl.DataType]] = {
    "day": pl.String(),
    "site": pl.String(),
    "dimension": pl.String(),
    "value": pl.String(),
    "metric": pl.String(),
    "old": pl.Int64(),
    "new": pl.Int64(),
    "appeared": pl.Boolean(),
    "vanished": pl.Boolean(),
}
TOTALS_SCHEMA: Final[dict[str, pl.DataType]] = {
    name: CHANGES_SCHEMA[name] for name in ("day", "site", "metric", "old", "new")
}
ROWS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "day": pl.String(),
    "site": pl.String(),
    "rows": pl.Int64(),
    "changed": pl.Int64(),
    "appeared": pl.Int64(),
    "vanished": pl.Int64(),
}


@dataclass(frozen=True)
class Comparison:
    """`changes` (CHANGES_SCHEMA): every number that differs, `old` or `new` 0 where its row is not there;
    `totals` (TOTALS_SCHEMA): the total of each day and site, changed or not; `rows` (ROWS_SCHEMA): how many
    rows (dimension, value) each day and site has, and what became of them."""

    changes: pl.DataFrame
    totals: pl.DataFrame
    rows: pl.DataFrame

    @property
    def is_empty(self) -> bool:
        return self.changes.is_empty()


def nothing() -> Comparison:
    return Comparison(
        pl.DataFrame(schema=CHANGES_SCHEMA),
        pl.DataFrame(schema=TOTALS_SCHEMA),
        pl.DataFrame(schema=ROWS_SCHEMA),
    )


def together(parts: Iterable[Comparison]) -> Comparison:
    """Comparisons of different days or sites, as one."""
    every = [nothing(), *parts]
    return Comparison(
        pl.concat([part.changes for part in every]),
        pl.concat([part.totals for part in every]),
        pl.concat([part.rows for part in every]),
    )


def compare(day: str, old: Counted, new: Counted) -> Comparison:
    """A day as it is and as it would be; of each site one bucket, the day."""
    numbers = _side_by_side(_numbers(old), _numbers(new), METRICS)
    money = _side_by_side(_money(old), _money(new), ("micros",), "currency")
    there = {"appeared": pl.col("is_old").is_null(), "vanished": pl.col("is_new").is_null()}
    differs = pl.any_horizontal(pl.col(f"{m}_old") != pl.col(f"{m}_new") for m in METRICS)
    paid = money.filter(pl.col("micros_old") != pl.col("micros_new")).select(*PLACE).unique()
    changed = numbers.join(paid.with_columns(paid=pl.lit(True)), on=PLACE, how="left").with_columns(
        **there, changed=differs | pl.col("paid").fill_null(False)
    )
    rows = (
        changed.group_by("site")
        .agg(pl.len().alias("rows"), pl.col("changed", "appeared", "vanished").sum())
        .sort("site")
        .select(
            pl.lit(day).alias("day"), "site", pl.col("rows", "changed", "appeared", "vanished").cast(pl.Int64)
        )
    )
    long = _long(day, changed, money.join(changed.select(*PLACE, *there), on=PLACE, how="left"))
    totals = long.filter(pl.col("dimension") == TOTAL).select(*TOTALS_SCHEMA)
    moved = long.filter(pl.col("old") != pl.col("new"))
    return Comparison(moved.sort(*CHANGES_SCHEMA), totals.sort(*TOTALS_SCHEMA), rows)


def _numbers(whole: Counted) -> pl.DataFrame:
    shown = whole.rows.filter(~pl.col("dimension").is_in(TIMES))
    metrics = [pl.col(VISITOR_COUNT).alias("visitors"), *map(pl.col, METRICS[1:])]
    return shown.select(*PLACE, *metrics).group_by(PLACE).agg(pl.all().sum())


def _money(whole: Counted) -> pl.DataFrame:
    shown = whole.revenue.filter(~pl.col("dimension").is_in(TIMES))
    return shown.group_by(*PLACE, "currency").agg(pl.col("micros").sum())


def _side_by_side(old: pl.DataFrame, new: pl.DataFrame, metrics: Sequence[str], *more: str) -> pl.DataFrame:
    """`<metric>_old` and `<metric>_new`, 0 where the row is not there; `is_old`, `is_new` true or null."""
    keys = [*PLACE, *more]

    def named(rows: pl.DataFrame, side: str) -> pl.DataFrame:
        columns = [pl.col(m).cast(pl.Int64).alias(f"{m}_{side}") for m in metrics]
        return rows.select(*keys, *columns, pl.lit(True).alias(f"is_{side}"))

    both = named(old, "old").join(named(new, "new"), on=keys, how="full", coalesce=True)
    return both.with_columns(pl.col(f"{m}_{side}").fill_null(0) for m in metrics for side in ("old", "new"))


def _long(day: str, numbers: pl.DataFrame, money: pl.DataFrame) -> pl.DataFrame:
    """CHANGES_SCHEMA: every metric of the rows that changed, and of all totals."""
    shown = numbers.filter(pl.col("changed") | (pl.col("dimension") == TOTAL))
    parts = [_of_metric(shown, m, pl.lit(m)) for m in METRICS]
    parts.append(_of_metric(money, "micros", pl.lit(REVENUE_PREFIX) + pl.col("currency")))
    whole = pl.concat(parts).with_columns(pl.lit(day).alias("day"))
    return whole.select(pl.col(name).cast(kind) for name, kind in CHANGES_SCHEMA.items())


def _of_metric(rows: pl.DataFrame, name: str, metric: pl.Expr) -> pl.DataFrame:
    sides = [pl.col(f"{name}_{side}").alias(side) for side in ("old", "new")]
    return rows.select(*PLACE, metric.alias("metric"), *sides, "appeared", "vanished")
