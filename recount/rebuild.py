"""Days out of hours and months out of days: which are touched by a change, and how they are added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from recount import counted
from recount.counted import Counted
from recount.periods import HOUR_MS, day_of, day_span_ms, hour_start_ms, hours_between
from recount.rollup import REVENUE_SCHEMA, ROLLUP_SCHEMA, SERIES, TOTAL, Rollup, merge

DEFAULT_ZONE: Final = "UTC"  # of a site that the catalog no longer knows


def days_of_hour(hour: str, zone: str) -> list[str]:
    """The local dates that a UTC hour lies in: one, or two in zones off the full hour."""
    start = hour_start_ms(hour)
    return sorted({day_of(start, zone), day_of(start + HOUR_MS - 1, zone)})


def hours_of_day(day: str, zone: str) -> list[str]:
    """The UTC hours that overlap a local date."""
    return list(hours_between(*day_span_ms(day, zone)))


def day_rollup(hours: Counted, day: str, zones: Mapping[str, str]) -> Counted:
    """The day of each site (its zone in `zones`), from the rows of the hours that overlap it.

    Dimensions are at the first moment of the day, the series keeps its quarter hours inside.
    """
    spans = _spans(day, zones)
    rows = _within(hours.rows.select(*ROLLUP_SCHEMA), spans, ROLLUP_SCHEMA)
    revenue = _within(hours.revenue, spans, REVENUE_SCHEMA)
    return counted.with_counts(merge([Rollup(rows, revenue)], regroup=pl.col("at")))


def month_rollup(days: Counted, month: str, zones: Mapping[str, str]) -> Counted:
    """The month of each site, from the rows of its days.

    Where visitor sets are there (first-party ids), they are united; else visitors are the sum of daily
    visitors. The series has one row a day.
    """
    firsts = _spans(f"{month}-01", zones).select("site", "start")
    series = days.rows.filter(pl.col("dimension") == TOTAL).with_columns(dimension=pl.lit(SERIES))
    others = days.rows.filter(pl.col("dimension") != SERIES)
    rows = pl.concat([_at_start(others, firsts), series])
    revenue = _revenue_of_month(days.revenue, firsts)
    has_sets = pl.col("visitors").is_not_null()
    with_sets, numbers = rows.filter(has_sets), rows.filter(~has_sets)
    sites = with_sets["site"].unique().implode()
    sums = counted.summed(Counted(numbers, revenue.filter(~pl.col("site").is_in(sites))))
    merged = merge(
        [Rollup(with_sets.select(*ROLLUP_SCHEMA), revenue.filter(pl.col("site").is_in(sites)))],
        regroup=pl.col("at"),
    )
    return counted.concat([sums, counted.with_counts(merged)])


def _revenue_of_month(revenue: pl.DataFrame, firsts: pl.DataFrame) -> pl.DataFrame:
    series = revenue.filter(pl.col("dimension") == TOTAL).with_columns(dimension=pl.lit(SERIES))
    return pl.concat([_at_start(revenue.filter(pl.col("dimension") != SERIES), firsts), series])


def _at_start(rows: pl.DataFrame, firsts: pl.DataFrame) -> pl.DataFrame:
    placed = rows.join(firsts, on="site", how="left", maintain_order="left")
    return placed.with_columns(pl.col("start").alias("at")).select(rows.columns)


def _within(rows: pl.DataFrame, spans: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows of the sites' days only; all but the series at the first moment of the day."""
    placed = rows.join(spans, on="site", how="inner", maintain_order="left")
    inside = placed.filter((pl.col("at") >= pl.col("start")) & (pl.col("at") < pl.col("end")))
    at = pl.when(pl.col("dimension") == SERIES).then(pl.col("at")).otherwise(pl.col("start")).alias("at")
    return inside.with_columns(at).select(*schema)


def _spans(day: str, zones: Mapping[str, str]) -> pl.DataFrame:
    by_zone = {zone: day_span_ms(day, zone) for zone in set(zones.values())}
    rows = [(site, *by_zone[zone]) for site, zone in zones.items()]
    return pl.DataFrame(rows, schema={"site": pl.String, "start": pl.Int64, "end": pl.Int64}, orient="row")
