"""One query's table out of the rows of its segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from recount.counting.rollup import TOTAL
from recount.querying.compared import compared
from recount.querying.confidence import Confidence, confidence, notes
from recount.querying.data import Data
from recount.querying.measures import ALL_VISITORS, METRIC, Row, fitting, measured, ranked, saying
from recount.querying.query import Order, Query
from recount.querying.rows import REVENUE, amounts_by, empty_row, rows_of
from recount.querying.series import series
from recount.store.catalog import Site

VISITORS: Final = "visitors"


@dataclass(frozen=True)
class Table:
    """`total`: how many rows there are, with those before and after this page of them."""

    rows: list[Row]
    total: int
    confidence: dict[str, Confidence] = field(default_factory=dict)
    notes: Sequence[str] = ()


def table(site: Site, query: Query, data: Data, now_ms: int, before: Data | None = None) -> Table:
    """The rows of a query; `before` is the range that it is compared with."""
    if query.interval is not None:
        rows, added = _series(site, query, data, now_ms, before)
        total = len(rows)
    elif query.dimension is None:
        rows, added = _totals(site, query, data, before)
        total = 1
    else:
        rows, total = _listing(site, query, data, before)
        added = _added(query, data)
    dimension = dimension_of(query)
    return Table(rows, total, confidence(query, data, added), list(notes(query, data, added, dimension)))


def dimension_of(query: Query) -> str:
    """The dimension of the rows that answer a query: a total of one value is a row of that value."""
    return query.dimension or (query.filters[0].dimension if query.filters else TOTAL)


def _added(query: Query, data: Data) -> pl.DataFrame:
    """The whole range by the values of the query's dimension."""
    return data.values_of(dimension_of(query))


def _kept(query: Query, data: Data) -> pl.DataFrame:
    """The rows that pass the filters, with their metrics."""
    added = _added(query, data).filter(fitting(query.filters))
    if "conversion_rate" in query.metrics:
        everyone = data.values_of(TOTAL)[VISITORS].sum()
        added = added.with_columns(pl.lit(everyone).alias(ALL_VISITORS))
    return measured(added, query.metrics, dimension_of(query))


def _revenue(query: Query, data: Data) -> pl.DataFrame:
    return data.revenue_by_value.filter(pl.col("dimension") == dimension_of(query))


def _totals(site: Site, query: Query, data: Data, before: Data | None) -> tuple[list[Row], pl.DataFrame]:
    """The one row, and the sums that it is made of: with a filter, of all values, to see what was folded."""
    rows = [_total(query, data)]
    if before is not None:
        rows = compared(query, site.currency, rows, [_total(query, before)])
    return rows, _added(query, data)


def _total(query: Query, data: Data) -> Row:
    kept = _kept(query, data)
    if kept.is_empty():
        return empty_row(query)
    return rows_of(query, kept, amounts_by(query, _revenue(query, data), "value"), None)[0]


def _series(
    site: Site, query: Query, data: Data, now_ms: int, before: Data | None
) -> tuple[list[Row], pl.DataFrame]:
    rows, added = series(site, query, data, now_ms)
    if before is None or query.compared is None:
        return rows, added
    old, _ = series(site, replace(query, span=query.compared, compared=None), before, now_ms)
    missing = [empty_row(query)] * (len(rows) - len(old))
    return compared(query, site.currency, rows, [*old[: len(rows)], *missing]), added


def _listing(site: Site, query: Query, data: Data, before: Data | None) -> tuple[list[Row], int]:
    assert query.dimension is not None
    kept = _kept(query, data).filter(saying(query.metrics, query.dimension))
    order = query.order or (Order(query.metrics[0]),)
    if any(one.by == REVENUE for one in order):
        kept = kept.join(_micros(site, query, data), on="value", how="left")
    page = ranked(kept, order).slice(query.offset, query.limit)
    rows = rows_of(query, page, amounts_by(query, _revenue(query, data), "value"), query.dimension)
    if before is not None:
        rows = compared(query, site.currency, rows, _old(query, before, page["value"]))
    return rows, kept.height


def _old(query: Query, before: Data, values: pl.Series) -> list[Row]:
    """The rows of some values in the range before."""
    kept = _kept(query, before).filter(pl.col("value").is_in(values.implode()))
    revenue = amounts_by(query, _revenue(query, before), "value")
    found = rows_of(query, kept, revenue, query.dimension)
    by_value = {row[query.dimension]: row for row in found}  # type: ignore[index]
    nothing = empty_row(query)
    return [by_value.get(value, nothing) for value in values]


def _micros(site: Site, query: Query, data: Data) -> pl.DataFrame:
    """What rows are ordered by for their revenue: that in the site's currency."""
    revenue = _revenue(query, data).filter(pl.col("currency") == site.currency)
    return revenue.group_by("value").agg(pl.col("micros").sum().alias(METRIC + REVENUE))
