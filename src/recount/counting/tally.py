"""A rollup in the making: numbers while it is counted, texts and frames once, at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from recount.counting import sketch
from recount.counting.coding import ABSENT, Coded, Ints
from recount.counting.grid import Grid
from recount.counting.grouping import Amounts, Facts, Groups, Metrics, grouped, sums
from recount.counting.rollup import REVENUE_SCHEMA, ROLLUP_SCHEMA, SUMS, Rollup


@dataclass(frozen=True)
class _Keys:
    """Of each group: its place, and where its dimension's name and its value lie among the tally's texts."""

    place: Ints
    name: Ints
    value: Ints


@dataclass(frozen=True)
class _Counted(_Keys):
    """visitors: how many of `hashes` are each group's."""

    metrics: Metrics
    hashes: sketch.Hashes
    visitors: Ints


@dataclass(frozen=True)
class _Earned(_Keys):
    currency: Ints
    micros: Ints


class _Texts:
    """The texts of all parts, one after another."""

    def __init__(self) -> None:
        self._texts: list[pl.Series] = []
        self._size = 0

    def add(self, texts: pl.Series) -> int:
        """Where these texts begin."""
        self._texts.append(texts.alias("text"))
        self._size += len(texts)
        return self._size - len(texts)

    def all(self) -> pl.Series:
        return pl.concat(self._texts, rechunk=True)


class Tally:
    """`count` and `earn` add dimensions, in any order; `rollup` is what they come to."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._names, self._values, self._currencies = _Texts(), _Texts(), _Texts()
        self._counted: list[_Counted] = []
        self._earned: list[_Earned] = []

    def count(self, facts: Facts, dimension: str | Coded, value: Coded) -> None:
        """Adds the facts by place, dimension and value."""
        if not len(facts.place):
            return
        groups, name, code = self._grouped(facts.place, dimension, value.codes, value.size)
        of_row = np.repeat(np.arange(len(groups.starts)), groups.sizes)
        counts = facts.counts[groups.rows]
        hashes, visitors = sketch.lowest(
            facts.visitor[groups.rows[counts]], of_row[counts], len(groups.starts)
        )
        at = code + self._values.add(value.values)
        metrics = sums(facts.metrics, groups)
        self._counted.append(_Counted(groups.place, name, at, metrics, hashes, visitors))

    def earn(self, amounts: Amounts, place: Ints, dimension: str | Coded, value: Coded) -> None:
        """Adds the amounts by place, dimension, value and currency."""
        if not len(place):
            return
        currencies = amounts.currency.size
        codes = np.where(value.codes >= 0, value.codes * currencies + amounts.currency.codes, ABSENT)
        groups, name, code = self._grouped(place, dimension, codes, value.size * currencies)
        at = code // currencies + self._values.add(value.values)
        currency = code % currencies + self._currencies.add(amounts.currency.values)
        micros = amounts.micros[groups.rows]
        micros = np.add.reduceat(micros, groups.starts) if len(micros) else micros
        self._earned.append(_Earned(groups.place, name, at, currency, micros))

    def rollup(self) -> Rollup:
        return Rollup(self._rows(), self._revenue())

    def _grouped(
        self, place: Ints, dimension: str | Coded, codes: Ints, size: int
    ) -> tuple[Groups, Ints, Ints]:
        """The groups with each one's name and code."""
        if isinstance(dimension, str):
            groups = grouped(place, codes, size, self._grid.size)
            name = self._names.add(pl.Series([dimension]))
            return groups, np.full(len(groups.place), name), groups.code
        codes = np.where(codes >= 0, dimension.codes * size + codes, ABSENT)
        groups = grouped(place, codes, size * dimension.size, self._grid.size)
        return groups, groups.code // size + self._names.add(dimension.values), groups.code % size

    def _rows(self) -> pl.DataFrame:
        parts = [part for part in self._counted if len(part.place)]
        if not parts:
            return pl.DataFrame(schema=ROLLUP_SCHEMA)
        order, keys = self._in_order(parts)
        visitors = sketch.as_sets(
            np.concatenate([p.hashes for p in parts]), np.concatenate([p.visitors for p in parts])
        )
        columns = {name: np.concatenate(list(_columns(parts, name)))[order] for name in SUMS}
        return pl.DataFrame(keys | {"visitors": visitors.gather(order)} | columns, schema=ROLLUP_SCHEMA)

    def _revenue(self) -> pl.DataFrame:
        parts = [part for part in self._earned if len(part.place)]
        if not parts:
            return pl.DataFrame(schema=REVENUE_SCHEMA)
        order, keys = self._in_order(parts)
        currency = np.concatenate([part.currency for part in parts])[order]
        micros = np.concatenate([part.micros for part in parts])[order]
        amounts = {"currency": self._currencies.all().gather(currency), "micros": micros}
        return pl.DataFrame(keys | amounts, schema=REVENUE_SCHEMA)

    def _in_order(self, parts: list[_Counted] | list[_Earned]) -> tuple[Ints, dict[str, pl.Series]]:
        """The order of all groups by (site, at, dimension), within a part as they are; and their keys in
        it."""
        place = np.concatenate([part.place for part in parts])
        name = np.concatenate([part.name for part in parts])
        names = self._names.all()
        ranks = names.rank("dense").to_numpy().astype(np.int64)
        order = sketch.stable_order(
            place * (len(ranks) + 1) + ranks[name], self._grid.size * (len(ranks) + 1)
        )
        site, at = self._grid.keys(place[order])
        value = np.concatenate([part.value for part in parts])[order]
        return order, {
            "site": site,
            "at": at,
            "dimension": names.gather(name[order]),
            "value": self._values.all().gather(value),
        }


def _columns(parts: list[_Counted], name: str) -> Iterator[Ints]:
    """A metric of each part, 0 where a dimension does not have it."""
    for part in parts:
        has = any(field.name == name for field in part.metrics.fields)
        yield part.metrics[name] if has else np.zeros(len(part.place), dtype=np.int64)
