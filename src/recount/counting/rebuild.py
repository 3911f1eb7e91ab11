"""Days out of hours and months out of days: which are touched by a change, and how they are added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from recount.counting import counted
from recount.counting.counted import Counted
from recount.counting.rollup import (
    KEYS,
    ROLLUP_SCHEMA,
    SERIES,
    TOTAL,
    Regrouped,
    Rollup,
    merge,
    merge_as,
)
from recount.periods import HOUR_MS, QUARTER_MS, day_of, day_span_ms, hour_start_ms, hours_between

HOURS: Final = "hours"
NO_SPAN: Final = (0, 0)
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
    by_zone = {zone: day_span_ms(day, zone) for zone in set(zones.values())}
    spans = {site: by_zone[zone] for site, zone in zones.items()}
    cut = from_ms, until_ms
    return merge_as(parts, _within(parts.rows, spans, cut), _within(parts.revenue, spans, cut))


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


def _within(
    rows: pl.DataFrame, spans: Mapping[str, tuple[int, int]], cut: tuple[int | None, int | None]
) -> Regrouped:
    """Rows of the sites' days only, and of the cut; each at the bucket of the day that it belongs to."""
    sites = rows["site"].rle().struct.unnest()
    bounds = np.array([spans.get(site, NO_SPAN) for site in sites["value"]], dtype=np.int64).reshape(-1, 2)
    start, end = np.repeat(bounds, sites["len"].to_numpy(), axis=0).T
    at = rows["at"].to_numpy()
    from_ms, until_ms = cut
    inside = (at >= start) & (at < end) & (rows["dimension"] != HOURS).to_numpy()
    if from_ms is not None:
        inside &= at >= from_ms
    if until_ms is not None:
        inside &= at < until_ms
    in_series = (rows["dimension"] == SERIES).to_numpy()
    plain, series = np.flatnonzero(inside & ~in_series), np.flatnonzero(inside & in_series)
    source = np.concatenate([plain, series, series])
    moments, since = at[series], (at - start)[series]
    moved = np.concatenate([start[plain], moments - moments % QUARTER_MS, moments - since % HOUR_MS])
    names = rows["dimension"].gather(source[: len(plain) + len(series)])
    hours = pl.Series([HOURS], dtype=pl.String).new_from_index(0, len(series))
    keys = rows.select(pl.col("site", "value").gather(source)).with_columns(
        pl.Series("at", moved), pl.concat([names, hours]).alias("dimension")
    )
    return Regrouped(keys.select(*KEYS), source)


def _spans(day: str, zones: Mapping[str, str]) -> pl.DataFrame:
    by_zone = {zone: day_span_ms(day, zone) for zone in set(zones.values())}
    rows = [(site, *by_zone[zone]) for site, zone in zones.items()]
    schema = {"site": pl.String, "start": pl.Int64, "end": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
