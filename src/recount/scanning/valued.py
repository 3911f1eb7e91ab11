"""Rows of one site by the values of their dimensions.

Values are looked up once for each distinct combination of facts, and facts of visits once a visit. Rows are
chosen by number; their columns are gathered once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting.coding import ABSENT, Coded, Ints, changes, code, expanded
from recount.periods import HOUR_MS
from recount.querying.measures import fitting
from recount.querying.query import Filter
from recount.scanning.dimensions import PAGE, VALUE, Lookup, is_of_visits

Flags = NDArray[np.bool_]

_DENSE: Final = 4  # a table of at most so many entries a number is filled sooner than the numbers are sorted


@dataclass(frozen=True)
class Valued:
    """Rows that have values, ascending; again for each value that one has."""

    row: Ints
    value: Coded


@dataclass(frozen=True)
class _Distinct:
    """Combinations of facts, and the one of each row."""

    facts: pl.DataFrame
    of_row: Ints


@dataclass(frozen=True)
class Rows:
    """Some rows of a frame. at: which; visit: the number of the visit (within an hour) of each row of the
    frame, ascending."""

    frame: pl.DataFrame
    lookup: Lookup
    visit: Ints
    at: Ints
    _known: dict[tuple[str, ...], _Distinct] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, frame: pl.DataFrame, lookup: Lookup) -> Rows:
        """All rows of a frame: of events, or of visit ends."""
        return cls(frame, lookup, _visits(frame), np.arange(frame.height))

    def __len__(self) -> int:
        return len(self.at)

    def at_rows(self, rows: Ints | Flags) -> Rows:
        """Some of the rows, by their numbers among these; or as often as they are named."""
        return replace(self, at=self.at[rows], _known={})

    def where(self, condition: pl.Expr) -> Rows:
        return self if not len(self) else self.at_rows(self.flags(condition))

    def flags(self, condition: pl.Expr) -> Flags:
        """Whether each row meets a condition on its columns; null does not."""
        met = self.frame.select(condition.fill_null(False).alias("met")).to_series().to_numpy()
        return np.asarray(met[self.at])

    def fitting(self, filters: Sequence[Filter]) -> Rows:
        """The rows that pass all filters. Those that depend on the fewest facts are looked at first."""
        rows = self
        for one in sorted(filters, key=lambda one: len(self.lookup.facts_of(one.dimension))):
            rows = rows.at_rows(rows.fits(one))
        return rows

    def fits(self, one: Filter) -> Flags:
        """Whether each row has a value that passes a filter."""
        return self._of_facts(one.dimension, lambda found: _any(found, fitting([one])))

    def shown(self) -> Rows:
        """Without the events of pages that the site excludes."""
        if not self.lookup.hides_pages:
            return self
        has_page = self._of_facts(PAGE, lambda found: found.list.len().fill_null(0).to_numpy() > 0)
        return self.at_rows(has_page | self.flags(pl.col("url").is_null()))

    def valued(self, dimension: str) -> Valued:
        """The rows that have values of a dimension."""
        distinct = self._distinct(dimension)
        found = self.lookup.values(distinct.facts, dimension)
        counts = found.list.len().fill_null(0).to_numpy().astype(np.int64)
        value = code(found.filter(found.list.len() > 0).list.explode())
        row, entry = expanded(distinct.of_row, counts)
        return Valued(row, value.at(entry))

    def gathered(self, columns: Sequence[str]) -> pl.DataFrame:
        if len(self.at) == self.frame.height and (np.diff(self.at) == 1).all():
            return self.frame.select(columns)
        return self.frame.select(pl.col(columns).gather(pl.Series(self.at, dtype=pl.UInt32)))

    def _of_facts(self, dimension: str, is_so: Callable[[pl.Series], Flags]) -> Flags:
        """What is so of the values of each combination of facts, for each row."""
        distinct = self._distinct(dimension)
        return is_so(self.lookup.values(distinct.facts, dimension))[distinct.of_row]

    def _distinct(self, dimension: str) -> _Distinct:
        columns = self.lookup.facts_of(dimension)
        if columns not in self._known:
            self._known[columns] = self._of_visits(columns) if is_of_visits(dimension) else self._of(columns)
        return self._known[columns]

    def _of_visits(self, columns: tuple[str, ...]) -> _Distinct:
        visit = self.visit[self.at]
        begins = changes(visit)
        of_first = self.at_rows(begins)._of(columns)
        return _Distinct(of_first.facts, of_first.of_row[np.cumsum(begins) - 1])

    def _of(self, columns: tuple[str, ...]) -> _Distinct:
        chosen = self.gathered(columns)
        return _together({name: code(chosen[name]) for name in columns})


def labelled(
    rows: Rows, dimensions: Sequence[str], label: Callable[[Sequence[str]], str]
) -> tuple[Rows, pl.Series]:
    """The rows that have a value of every dimension, once for each combination, and the label of it."""
    found: dict[str, Coded] = {}
    for name in dimensions:
        valued = rows.valued(name)
        rows = rows.at_rows(valued.row)
        found = {before: coded.at(valued.row) for before, coded in found.items()} | {name: valued.value}
    if not found:
        return rows, pl.repeat(label(()), len(rows), eager=True)
    together = _together(found)
    labels = pl.Series([label(values) for values in together.facts.iter_rows()], dtype=pl.String)
    return rows, labels.gather(together.of_row)


def _visits(frame: pl.DataFrame) -> Ints:
    """A number for each visit within an hour: its rows lie together. An end is a visit of its own."""
    if "visit_start" not in frame.columns:
        return np.arange(frame.height)
    keys = (frame["visitor"], frame["visit_start"], frame["ts"] // HOUR_MS)
    return np.cumsum(changes(*(key.to_numpy() for key in keys)))


def _any(found: pl.Series, fits: pl.Expr) -> Flags:
    """Whether any of the values of each list fits."""
    counts = found.list.len().fill_null(0).to_numpy().astype(np.int64)
    values = found.filter(found.list.len() > 0).list.explode().alias(VALUE).to_frame()
    fit = values.select(fits.alias("fits")).to_series().to_numpy()
    of_entry = np.repeat(np.arange(len(counts)), counts)
    flags = np.zeros(len(counts), dtype=np.bool_)
    flags[of_entry[fit]] = True
    return flags


def _together(columns: dict[str, Coded]) -> _Distinct:
    """The combinations that occur of columns of equally many rows."""
    (first, coded), *others = columns.items()
    facts, of_row = coded.values.alias(first).to_frame(), coded.codes
    for name, coded in others:
        distinct, of_row = _numbered(of_row * coded.size + coded.codes, facts.height * coded.size)
        facts = facts.select(pl.all().gather(distinct // max(coded.size, 1)))
        facts = facts.with_columns(coded.values.gather(distinct % max(coded.size, 1)).alias(name))
    return _Distinct(facts, of_row)


def _numbered(numbers: Ints, below: int) -> tuple[Ints, Ints]:
    """The distinct ones of numbers from 0 up, in order, and the place of each among them."""
    if below > _DENSE * len(numbers):
        distinct, places = np.unique(numbers, return_inverse=True)
        return distinct, places
    place = np.full(below, ABSENT, dtype=np.int64)
    place[numbers] = 0
    distinct = np.flatnonzero(place == 0)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[numbers]
