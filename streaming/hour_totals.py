"""What this instance counted of whole hours, for every site and partition: to be compared with what is
published. A visitor lies in one partition, so numbers of several partitions add up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from recount.counting import sketch
from recount.counting.rollup import TOTAL, VERDICT, Rollup, merge
from recount.interpret.bots import HUMAN
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from streaming.places import SEPARATOR, partition_of_place

COLUMNS: Final = (
    *("hour", "site", "partition", "visitors", "visits", "pageviews", "events", "counted", "set_aside"),
)
SUMS: Final = ("visits", "pageviews", "events")


@dataclass(frozen=True)
class HourTotals:
    """`positions`: up to which offset each whole partition is counted. `rows` as COLUMNS: `counted` events
    make the numbers, those `set_aside` have the verdict of a bot or of a rule."""

    as_of_ms: int
    hours: Collection[str]
    positions: Mapping[int, int]
    rows: pl.DataFrame

    def as_json(self) -> dict[str, Any]:
        return {
            "as_of": self.as_of_ms,
            "hours": sorted(self.hours),
            "positions": {str(partition): offset for partition, offset in sorted(self.positions.items())},
            "columns": list(COLUMNS),
            "rows": self.rows.rows(),
        }


def totals(rollup: Rollup, hours: Collection[str], partitions: Collection[int]) -> pl.DataFrame:
    """Rows as COLUMNS of these hours and partitions, out of a rollup by place."""
    hour = pl.col("at") - pl.col("at") % HOUR_MS
    wanted = (
        pl.col("dimension").is_in([TOTAL, VERDICT])
        & hour.is_in([hour_start_ms(name) for name in hours])
        & partition_of_place().is_in(list(partitions))
    )
    rows = merge([Rollup(rollup.rows.filter(wanted), rollup.revenue.clear())], regroup=hour).rows
    is_total, is_human = pl.col("dimension") == TOTAL, pl.col("value") == HUMAN
    by_place = rows.group_by("at", "site").agg(
        sketch.count(pl.col("visitors")).filter(is_total).sum().alias("visitors"),
        *(pl.col(name).filter(is_total).sum() for name in SUMS),
        pl.col("accepted").filter(~is_total & is_human).sum().alias("counted"),
        pl.col("accepted").filter(~is_total & ~is_human).sum().alias("set_aside"),
    )
    names = {at: hour_of(at) for at in by_place["at"].unique()}
    return by_place.select(
        pl.col("at").replace_strict(names, return_dtype=pl.String()).alias("hour"),
        pl.col("site").str.split(SEPARATOR).list.first(),
        partition_of_place().alias("partition"),
        *(pl.col(name).cast(pl.Int64) for name in COLUMNS[3:]),
    ).sort("hour", "site", "partition")
