"""Rows of a series: one for each bucket of time that has begun."""

from __future__ import annotations

import polars as pl

from recount.counting.counted import Counts
from recount.counting.rollup import TOTAL
from recount.querying import buckets
from recount.querying.data import Data, placed
from recount.querying.measures import ALL_VISITORS, Row, fitting, measured, sums
from recount.querying.query import Query
from recount.querying.rows import amounts_by, empty_row, rows_of
from recount.store.catalog import Site


def series(site: Site, query: Query, data: Data, now_ms: int) -> tuple[list[Row], pl.DataFrame]:
    """The rows, and the sums that they are made of."""
    assert query.interval is not None
    zone = query.zone(site)
    starts = buckets.starts(query.span, zone, query.interval)
    found = _by_bucket(query, data, starts)
    added = _with_all_visitors(query, data, sums(found.rows, "at"), starts)
    dimension = query.filters[0].dimension if query.filters else None
    revenue = amounts_by(query, found.revenue, "at")
    metrics = measured(added, query.metrics, dimension)
    rows = {row["at"]: row for row in rows_of(query, metrics, revenue, "at")}
    nothing = empty_row(query)
    whole = [
        {"at": at, "date": buckets.label(at, zone, query.interval)} | rows.get(at, nothing)
        for at in starts
        if at <= now_ms
    ]
    return whole, added


def _by_bucket(query: Query, data: Data, starts: list[int]) -> Counts:
    """The rows that add up to each bucket, `at` its first moment."""
    if data.quarters is None:
        found = _stored(query, data)
        return Counts(placed(found.rows, starts), placed(found.revenue, starts))
    fine, is_total = data.quarters.by(starts), pl.col("dimension") == TOTAL
    months = Counts(data.months.rows.filter(is_total), data.months.revenue.filter(is_total))
    return Counts(pl.concat([fine.rows, months.rows]), pl.concat([fine.revenue, months.revenue]))


def _stored(query: Query, data: Data) -> Counts:
    """Rows of hours or days as they are stored."""
    if query.filters:
        return data.of_days(query.filters[0].dimension, fitting(query.filters))
    return data.by_hour if query.interval == "hour" else data.by_day


def _with_all_visitors(query: Query, data: Data, added: pl.DataFrame, starts: list[int]) -> pl.DataFrame:
    if "conversion_rate" not in query.metrics:
        return added
    whole = sums(placed(data.by_day.rows, starts), "at")
    everyone = whole.select("at", pl.col("visitors").alias(ALL_VISITORS))
    return added.join(everyone, on="at", how="left", maintain_order="left")
