"""Rows of an answer out of frames of sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from recount.querying.data import ACTIVITY, LIVE
from recount.querying.measures import COUNTS, METRIC, Row, amounts
from recount.querying.query import Query

REVENUE: Final = "revenue"
ORIGIN: Final = "origin"
Amounts = Mapping[object, dict[str, str]]

_ORIGIN: Final = (
    pl.when(pl.col(LIVE) == 0)
    .then(pl.lit("published"))
    .when(pl.col(LIVE) >= pl.sum_horizontal(ACTIVITY))
    .then(pl.lit("live"))
    .otherwise(pl.lit("mixed"))
)


def rows_of(query: Query, shown: pl.DataFrame, revenue: Amounts, key: str | None) -> list[Row]:
    """Metrics in the order asked for; `key` is the dimension, `at`, or nothing."""
    source = "at" if key == "at" else "value"
    names = [name for name in query.metrics if name != REVENUE]
    picked = shown.select(
        pl.col(source).alias("_key"), *[pl.col(METRIC + name) for name in names], _ORIGIN.alias("_origin")
    )
    rows: list[Row] = []
    for found in picked.iter_rows(named=True):
        row: Row = {} if key is None else {key: found["_key"]}
        for name in query.metrics:
            row[name] = revenue.get(found["_key"], {}) if name == REVENUE else found[METRIC + name]
        rows.append(row | {ORIGIN: found["_origin"]})
    return rows


def amounts_by(query: Query, revenue: pl.DataFrame, key: str) -> Amounts:
    """Revenue, where it is asked for, by value or by moment."""
    if REVENUE not in query.metrics:
        return {}
    return {at: amounts(part) for (at,), part in revenue.partition_by(key, as_dict=True).items()}


def empty_row(query: Query) -> Row:
    """A row of nothing: counts are 0, shares and means do not exist."""
    nothing: Row = {n: 0 if n in COUNTS else {} if n == REVENUE else None for n in query.metrics}
    return nothing | {ORIGIN: "published"}
