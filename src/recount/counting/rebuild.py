"""Days out of hours and months out of days: which are touched by a change, and how they are added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from recount.counting import counted
from recount.counting.counted import Counted
from recount.counting.rollup import REVENUE_SCHEMA, ROLLUP_SCHEMA, SERIES, TOTAL, Rollup, merge
from recount.periods import HOUR_MS, QUARTER_MS, day_of, day_span_ms, hour_start_ms, hours_between

HOURS: Final = "hours"
DEFAULT_ZONE: Final = "UTC"  # of a site that the catalog no longer knows


def days_of_hour(hour: str, zone: str) -> list[str]:
    """The local dates that a UTC hour lies in: one, or two in zones off the full hour."""
    start = hour_start_ms(hour)
    return sorted({day_of(start, zone), day_of(start + HOUR_MS - 1, zone)})


def hours_of_day(day: str, zone: str) -> list[str]:
    """The UTC hours that overlap a local date."""
    return list(hours_between(*day_span_ms(day, zone)))


def day_rollup(
    parts: Rollup,
    day: str,
    zones: Mapping[str, str],
    until_ms: int | None = None,
    from_ms: int | None = None,
) -> Rollup:
    """The day of each site (its zone in `zones`), from rows of hours, of live buckets, or of the day itself.

    Dimensions are at the first moment of the day, with the series of quarter hours inside, and of hours
    (HOURS, counted from the day's beginning). Rows outside of the day, before `from_ms`, or from `until_ms`
    on, are left out.
    """
    spans = _spans(day, zones)
    wanted = pl.col("dimension") != HOURS
    if until_ms is not None:
        wanted &= pl.col("at") < until_ms
    if from_ms is not None:
        wanted &= pl.col("at") >= from_ms
    rows = _within(parts.rows.filter(wanted), spans).select(*ROLLUP_SCHEMA)
    revenue = _within(parts.revenue.filter(wanted), spans).select(*REVENUE_SCHEMA)
    return merge([Rollup(rows, revenue)], regroup=pl.col("at"))


def month_rollup(days: Counted, month: str, zones: Mapping[str, str]) -> Counted:
    """The month of each site, from the rows of its days.

    Where visitor sets are there (first-party ids), they are united; else visitors are the sum of daily
    visitors. The series has one row a day.
    """
    firsts = _spans(f"{month}-01", zones).select("site", "start")
    series = days.rows.filter(pl.col("dimension") == TOTAL).with_columns(dimension=pl.lit(SERIES))
    others = days.rows.filter(~pl.col("dimension").is_in([SERIES, HOURS]))
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
    return pl.concat([_at_start(revenue.filter(~pl.col("dimension").is_in([SERIES, HOURS])), firsts), series])


def _at_start(rows: pl.DataFrame, firsts: pl.DataFrame) -> pl.DataFrame:
    placed = rows.join(firsts, on="site", how="left", maintain_order="left")
    return placed.with_columns(pl.col("start").alias("at")).select(rows.columns)


def _within(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Rows of the sites' days only, each at the bucket of the day that it belongs to."""
    start, at = pl.col("start"), pl.col("at")
    inside = rows.join(spans, on="site", how="inner").filter((at >= start) & (at < pl.col("end")))
    series = inside.filter(pl.col("dimension") == SERIES)
    return pl.concat(
        [
            inside.filter(pl.col("dimension") != SERIES).with_columns(at=start),
            series.with_columns(at=at - at % QUARTER_MS),
            series.with_columns(at=at - (at - start) % HOUR_MS, dimension=pl.lit(HOURS)),
        ]
    )


def _spans(day: str, zones: Mapping[str, str]) -> pl.DataFrame:
    by_zone = {zone: day_span_ms(day, zone) for zone in set(zones.values())}
    rows = [(site, *by_zone[zone]) for site, zone in zones.items()]
    schema = {"site": pl.String, "start": pl.Int64, "end": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
