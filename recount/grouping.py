"""Groups rows of numbers by (site, bucket, value): one sort of packed integers per dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount import sketch
from recount.coding import ABSENT, Coded, Ints, code
from recount.periods import HOUR_MS, QUARTER_MS
from recount.rollup import SUMS
from recount.store.catalog import Site

Flags = NDArray[np.bool_]
Visitors = NDArray[np.uint64]


@dataclass(frozen=True)
class Grid:
    """Every (site, step of time) as one number, its place; places are in the order of (site, time)."""

    sites: pl.Series
    first_ms: int
    step_ms: int
    steps: int

    @property
    def size(self) -> int:
        return len(self.sites) * self.steps

    def place(self, site: Ints, at: Ints) -> Ints:
        return site * self.steps + (at - self.first_ms) // self.step_ms

    def keys(self, place: Ints) -> tuple[pl.Series, pl.Series]:
        """(site, at) of each place."""
        at = self.first_ms + (place % self.steps) * self.step_ms
        return self.sites.gather(place // self.steps).alias("site"), pl.Series("at", at)


def step_of(*bucket_ms: int) -> int:
    """The step of time that buckets of the given lengths and quarters of an hour are made of."""
    return math.gcd(QUARTER_MS, *bucket_ms)


def grid(sites: pl.Series, at: Ints, *bucket_ms: int) -> Grid:
    """The grid that holds all moments, fine enough for buckets of the given lengths and quarters of an
    hour."""
    step = step_of(*bucket_ms)
    longest = max(QUARTER_MS, *bucket_ms)
    first = int(at.min()) // longest * longest
    return Grid(sites, first, step, (int(at.max()) - first) // step + 1)


def bucket_starts(at: Ints, site: Coded, sites: Mapping[str, Site], bucket_ms: int) -> Ints:
    """The start of each row's bucket; sites whose clock is off the full hour get quarters, so that their days
    and hours can be put together."""
    starts = at - at % bucket_ms
    if bucket_ms <= QUARTER_MS:
        return starts
    zones = [sites[name].timezone if name in sites else "UTC" for name in site.values]
    first = int(at.min()) // HOUR_MS
    hours = range(first, int(at.max()) // HOUR_MS + 1)
    odd = {zone: [_off_the_hour(zone, hour) for hour in hours] for zone in set(zones)}
    if not any(map(any, odd.values())):
        return starts
    is_odd = np.array([odd[zone] for zone in zones])[site.codes, at // HOUR_MS - first]
    return np.where(is_odd, at - at % QUARTER_MS, starts)


@lru_cache(maxsize=100_000)
def _off_the_hour(zone: str, hour: int) -> bool:
    offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return offset is not None and offset.total_seconds() % 3600 != 0


@dataclass(frozen=True)
class Facts:
    """Rows to count. Within a place, the visitors of rows that count are ascending.

    counts: whether the row's visitor counts; metrics: one column for each of `names`.
    """

    place: Ints
    visitor: Visitors
    counts: Flags
    names: tuple[str, ...]
    metrics: Ints

    def take(self, rows: Ints | Flags) -> Facts:
        return Facts(self.place[rows], self.visitor[rows], self.counts[rows], self.names, self.metrics[rows])

    def moved(self, place: Ints) -> Facts:
        return Facts(place, self.visitor, self.counts, self.names, self.metrics)


@dataclass(frozen=True)
class Part:
    """Rows of one dimension, ordered by place and value: ROLLUP_SCHEMA without site and at."""

    place: Ints
    rows: pl.DataFrame


def columns(**metrics: NDArray[np.generic]) -> tuple[tuple[str, ...], Ints]:
    """Names and matrix for Facts."""
    return tuple(metrics), np.column_stack([m.astype(np.int64, copy=False) for m in metrics.values()])


def whole(facts: Facts) -> Coded:
    """The value of a dimension that has only one."""
    return Coded(np.zeros(len(facts.place), dtype=np.int64), pl.Series([""]))


def count(facts: Facts, value: Coded, dimension: str, grid: Grid) -> Part:
    """The facts by place and value."""
    groups = grouped(facts.place, value.codes, value.size, grid.size)
    return Part(groups.place, rollup_rows(facts, groups, pl.lit(dimension), value.values.gather(groups.code)))


@dataclass(frozen=True)
class Groups:
    """rows: in the order of their group; starts: where each group begins there; place, code: of each
    group."""

    rows: Ints
    starts: Ints
    place: Ints
    code: Ints


def grouped(place: Ints, codes: Ints, size: int, places: int) -> Groups:
    """Rows with a code by (place, code)."""
    keys = place * size + codes
    present = np.flatnonzero(codes >= 0)
    if len(present) == len(codes):
        rows = sketch.stable_order(keys, places * size)
    else:
        rows = present[sketch.stable_order(keys[present], places * size)]
    keys = keys[rows]
    starts = (
        np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, dtype=np.int64)
    )
    return Groups(rows, starts, keys[starts] // size, keys[starts] % size)


def rollup_rows(facts: Facts, groups: Groups, dimension: pl.Expr, values: pl.Series) -> pl.DataFrame:
    """One row a group: ROLLUP_SCHEMA without site and at."""
    sums = _sums(facts.metrics, groups)
    counted = facts.counts[groups.rows]
    of_row = np.repeat(np.arange(len(groups.starts)), np.diff(np.append(groups.starts, len(groups.rows))))
    visitors = sketch.from_sorted(facts.visitor[groups.rows[counted]], of_row[counted], len(groups.starts))
    metrics = {name: sums[:, n] for n, name in enumerate(facts.names)}
    return pl.DataFrame({"value": values, "visitors": visitors}).select(
        dimension.alias("dimension"),
        "value",
        "visitors",
        *(
            pl.Series(name, metrics[name]) if name in metrics else pl.lit(0, pl.Int64).alias(name)
            for name in SUMS
        ),
    )


def _sums(metrics: Ints, groups: Groups) -> Ints:
    if not len(groups.rows):
        return np.empty((0, metrics.shape[1]), dtype=np.int64)
    return np.add.reduceat(np.take(metrics, groups.rows, axis=0), groups.starts, axis=0)


@dataclass(frozen=True)
class Amounts:
    """Money by row: currency (ABSENT for none) and micros."""

    currency: Coded
    micros: Ints

    def take(self, rows: Ints | Flags) -> Amounts:
        return Amounts(Coded(self.currency.codes[rows], self.currency.values), self.micros[rows])


def earn(amounts: Amounts, place: Ints, value: Coded, dimension: str, grid: Grid) -> Part:
    """The amounts by place, value and currency: REVENUE_SCHEMA without site and at."""
    currency = amounts.currency
    codes = np.where(value.codes >= 0, value.codes * currency.size + currency.codes, ABSENT)
    groups = grouped(place, codes, value.size * currency.size, grid.size)
    micros = _sums(amounts.micros[:, None], groups)[:, 0]
    rows = pl.DataFrame(
        {
            "value": value.values.gather(groups.code // currency.size),
            "currency": currency.values.gather(groups.code % currency.size),
            "micros": micros,
        }
    )
    return Part(groups.place, rows.select(pl.lit(dimension).alias("dimension"), pl.all()))


def by_name(parts: Sequence[Part], grid: Grid, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The parts in one frame of `schema`, by (site, at, dimension), within a dimension as they are."""
    parts = [part for part in parts if len(part.place)]
    if not parts:
        return pl.DataFrame(schema=schema)
    place = np.concatenate([part.place for part in parts])
    rows = pl.concat([part.rows for part in parts])
    names = code(rows["dimension"])
    dimension = names.shown_as(names.values)
    order = sketch.stable_order(place * dimension.size + dimension.codes, grid.size * dimension.size)
    site, at = grid.keys(place)
    return rows.with_columns(site, at).select(pl.col(*schema).gather(order))
