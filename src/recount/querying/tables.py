"""One query's rows out of the rows of its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from recount.counting import sketch
from recount.counting.counted import COUNTS_SCHEMA
from recount.counting.rebuild import HOURS
from recount.counting.rollup import OTHER, SERIES, TOTAL
from recount.periods import HOUR_MS, day_span_ms
from recount.querying.measures import Row, amounts, fitting, measured, ranked, sums
from recount.querying.query import OF_VISITS, Query, is_event_scoped
from recount.store.catalog import Site

LIVE: Final = "live"
ACTIVITY: Final = ("accepted", "exits", "ended_visits")
ROWS_SCHEMA: Final = {**COUNTS_SCHEMA, LIVE: pl.Int64()}
REVENUE: Final = "revenue"


@dataclass(frozen=True)
class Data:
    """What the segments of a plan hold: rows of months and of days (ROWS_SCHEMA) and their revenue.

    `live` of a row is how much of its activity (`ACTIVITY`) came from the live service. `united`: visitors of
    several days were told apart, else they are added up.
    """

    months: pl.DataFrame
    days: pl.DataFrame
    months_revenue: pl.DataFrame
    days_revenue: pl.DataFrame
    united: bool

    @cached_property
    def by_value(self) -> pl.DataFrame:
        """The whole range by dimension and value."""
        return sums(pl.concat([self.months, self.days]), "dimension", "value")

    @cached_property
    def revenue_by_value(self) -> pl.DataFrame:
        return pl.concat([self.months_revenue, self.days_revenue])

    @cached_property
    def by_day(self) -> pl.DataFrame:
        """By the first moment of each day: months keep their days in the series."""
        return sums(self._daily(self.months, self.days), "at")

    @cached_property
    def by_hour(self) -> pl.DataFrame:
        return sums(self.days.filter(pl.col("dimension") == HOURS), "at")

    def revenue_by_time(self, query: Query) -> pl.DataFrame:
        if query.interval == "hour":
            return self.days_revenue.filter(pl.col("dimension") == HOURS)
        return self._daily(self.months_revenue, self.days_revenue)

    @cached_property
    def is_of_several_days(self) -> bool:
        total = self.days.filter(pl.col("dimension") == TOTAL)
        return not self.months.is_empty() or total["at"].n_unique() > 1

    @staticmethod
    def _daily(months: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
        dimension = pl.col("dimension")
        return pl.concat([months.filter(dimension == SERIES), days.filter(dimension == TOTAL)])


def table(site: Site, query: Query, data: Data, now_ms: int) -> tuple[list[Row], list[str]]:
    """The rows of a query, and what must be said of them."""
    notes = list(_notes(query, data))
    if query.interval is not None:
        return _series(site, query, data, now_ms), notes
    dimension = rows_of(query)
    added = data.by_value.filter(pl.col("dimension") == dimension)
    kept = measured(added.filter(fitting(query.filters)), query.metrics, dimension)
    if query.dimension is None:
        folded = _folded(added, dimension) if query.filters else ()
        return [_total(query, kept, data)], [*notes, *folded, *_estimated(kept)]
    if query.metrics[0] == REVENUE:
        revenue = data.revenue_by_value.filter(
            (pl.col("dimension") == dimension) & (pl.col("currency") == site.currency)
        )
        micros = revenue.group_by("value").agg(pl.col("micros").sum().alias("metric:revenue"))
        kept = kept.join(micros, on="value", how="left")
    shown = ranked(kept, query.metrics[0]).head(query.limit)
    notes += [*_folded(added, dimension), *_estimated(added)]
    return _rows(query, shown, _amounts(query, data.revenue_by_value, dimension), dimension), notes


def rows_of(query: Query) -> str:
    """The dimension of the rows that answer a query: a total of one value is a row of that value."""
    return query.dimension or (query.filters[0].dimension if query.filters else TOTAL)


def _total(query: Query, kept: pl.DataFrame, data: Data) -> Row:
    if kept.is_empty():
        return _empty(query)
    return _rows(query, kept, _amounts(query, data.revenue_by_value, rows_of(query)), None)[0]


def _series(site: Site, query: Query, data: Data, now_ms: int) -> list[Row]:
    added = measured(data.by_hour if query.interval == "hour" else data.by_day, query.metrics, None)
    revenue = data.revenue_by_time(query) if REVENUE in query.metrics else None
    by_time = (
        {}
        if revenue is None
        else {at: amounts(part) for (at,), part in revenue.partition_by("at", as_dict=True).items()}
    )
    found = {row["at"]: row for row in _rows(query, added, by_time, "at")}
    zone = ZoneInfo(site.timezone)
    rows: list[Row] = []
    for at in _buckets(site, query, now_ms):
        local = datetime.fromtimestamp(at / 1000, zone)
        date = local.strftime("%Y-%m-%d" if query.interval == "day" else "%Y-%m-%dT%H:%M")
        rows.append({"at": at, "date": date} | found.get(at, _empty(query)))
    return rows


def _buckets(site: Site, query: Query, now_ms: int) -> Iterator[int]:
    """First moments of the buckets that have begun."""
    end = min(query.span.bounds_ms(site.timezone)[1], now_ms + 1)
    for day in query.span.days:
        first, after = day_span_ms(day, site.timezone)
        yield from range(first, min(after, end), HOUR_MS if query.interval == "hour" else after - first)


def _rows(
    query: Query, shown: pl.DataFrame, revenue: Mapping[object, dict[str, str]], key: str | None
) -> list[Row]:
    """Metrics in the order asked for; `key` is the dimension, `at`, or nothing."""
    source = "at" if key == "at" else "value"
    names = [name for name in query.metrics if name != REVENUE]
    total = pl.sum_horizontal(ACTIVITY)
    origin = (
        pl.when(pl.col(LIVE) == 0)
        .then(pl.lit("published"))
        .when(pl.col(LIVE) >= total)
        .then(pl.lit("live"))
        .otherwise(pl.lit("mixed"))
    )
    picked = shown.select(
        pl.col(source).alias("_key"), *[pl.col(f"metric:{name}") for name in names], origin.alias("_origin")
    )
    rows: list[Row] = []
    for found in picked.iter_rows(named=True):
        row: Row = {} if key is None else {key: found["_key"]}
        for name in query.metrics:
            row[name] = revenue.get(found["_key"], {}) if name == REVENUE else found[f"metric:{name}"]
        rows.append(row | {"origin": found["_origin"]})
    return rows


def _amounts(query: Query, revenue: pl.DataFrame, dimension: str) -> dict[object, dict[str, str]]:
    if REVENUE not in query.metrics:
        return {}
    parts = revenue.filter(pl.col("dimension") == dimension).partition_by("value", as_dict=True)
    return {value: amounts(part) for (value,), part in parts.items()}


def _empty(query: Query) -> Row:
    """A row of nothing: counts are 0, shares and means do not exist."""
    counts = ("visitors", "visits", "pageviews", "events", "exits")
    return {n: 0 if n in counts else {} if n == REVENUE else None for n in query.metrics} | {
        "origin": "published"
    }


def _notes(query: Query, data: Data) -> Iterator[str]:
    if "visitors" in query.metrics and query.interval is None and not data.united and data.is_of_several_days:
        yield "Visitors of several days are the sum of daily visitors: nobody is recognised on another day."
    if query.dimension is not None and is_event_scoped(query.dimension):
        without = [name for name in query.metrics if name in OF_VISITS]
        if without:
            yield f"{', '.join(without)}: counted for whole visits, not for each {query.dimension}."


def _folded(added: pl.DataFrame, dimension: str) -> Iterator[str]:
    other = added.filter(pl.col("value") == OTHER)
    if not other.is_empty():
        most = other["folded_max"][0]
        yield f"Rare values of {dimension} are counted in {OTHER}, with up to {most} visitors for each."


def _estimated(added: pl.DataFrame) -> Iterator[str]:
    if (added["visitors"] > sketch.EXACT_MAX).any():
        yield f"Visitors above {sketch.EXACT_MAX:,} a day are estimates, standard error 1.6 %."
