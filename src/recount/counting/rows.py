"""Rows of the archive in columns, in the order in which they are counted: numbers as arrays, texts as codes.

Rows come as a frame, or as a table of Arrow whose texts are dictionaries, as Parquet holds them: then no text
is looked at more often than it lies in a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from recount.counting.coding import Coded, Flags, Ints, Numbers, changes, person_keys, together

Table: TypeAlias = pl.DataFrame | pa.Table


class Rows:
    """Rows by site and visitor, as the sets of visitors are made, each one's by time."""

    def __init__(self, table: Table, site: Coded, order: Ints | None) -> None:
        """`site`: of each row in the given order (None: as they lie)."""
        self.site = site
        self._table = table
        self._order = order
        self._numbers: dict[str, Numbers] = {}

    def __len__(self) -> int:
        return len(self.site.codes)

    def number(self, name: str, missing: int = 0) -> Numbers:
        """A column of numbers, `missing` where it is null."""
        if name not in self._numbers:
            numbers = _numbers(self._table, name, missing)
            self._numbers[name] = numbers if self._order is None else numbers[self._order]
        return self._numbers[name]

    def text(self, name: str, rows: Ints | None = None) -> Coded:
        """A column of texts at some rows, all unless given; the values may repeat."""
        wanted = self._order if rows is None or self._order is None else self._order[rows]
        return _texts(self._table, name, rows if self._order is None else wanted)

    def having(self, name: str, value: str) -> Flags:
        """The rows that have a text."""
        return self._flags(name, lambda values: values.eq_missing(value))

    def present(self, name: str) -> Flags:
        """The rows that have any text."""
        return self._flags(name, pl.Series.is_not_null)

    def _flags(self, name: str, asked: Callable[[pl.Series], pl.Series]) -> Flags:
        found = self.text(name)
        flags: Flags = asked(found.values).to_numpy()[found.codes]
        return flags


def sites_of(table: Table) -> set[str]:
    names = table["site"].unique()
    return set(names.to_list() if isinstance(names, pl.Series) else names.to_pylist())


def in_order(tables: Mapping[str, Table]) -> list[Rows]:
    """Tables with `site` and `visitor`, each by the name of the column that holds its moments; their sites
    are coded alike, in the order of their names."""
    sites = together([_texts(table, "site", None) for table in tables.values()])
    shown = [site.shown_as(site.values) for site in sites]
    return [
        _ordered(table, moment, site) for (moment, table), site in zip(tables.items(), shown, strict=True)
    ]


def _ordered(table: Table, moment: str, site: Coded) -> Rows:
    visitor = _numbers(table, "visitor", 0)
    same = site.codes[1:] == site.codes[:-1]
    back = (site.codes[1:] < site.codes[:-1]) | (same & (visitor[1:] < visitor[:-1]))
    if not back.any():
        return Rows(table, site, None)
    order = _by_visitor(site, visitor)
    at, visitor, sites = _numbers(table, moment, 0)[order], visitor[order], site.codes[order]
    if (~changes(visitor, sites)[1:] & (at[1:] < at[:-1])).any():
        order = order[np.lexsort((at, visitor, sites))]
    return Rows(table, site.at(order), order)


def _by_visitor(site: Coded, visitor: NDArray[np.uint64]) -> Ints:
    """Rows by (site, visitor), those of one visitor as they lie. Runs of rows in order, as the slots of the
    archive are, are only merged."""
    keys = person_keys(site, visitor)
    order = np.argsort(keys, kind="stable")
    keys, visitor_of = keys[order], visitor[order]
    if ((keys[1:] == keys[:-1]) & (visitor_of[1:] != visitor_of[:-1])).any():
        return np.lexsort((visitor, site.codes))
    return order


def _numbers(table: Table, name: str, missing: int) -> Numbers:
    column = table[name]
    has_nulls = column.null_count() if isinstance(column, pl.Series) else column.null_count
    numbers: Numbers = (column.fill_null(missing) if has_nulls else column).to_numpy()
    return numbers


def _texts(table: Table, name: str, rows: Ints | None) -> Coded:
    if isinstance(table, pl.DataFrame):
        texts = table[name].rechunk()  # gathering from many chunks is dozens of times slower
        found = texts if rows is None else texts.gather(rows)
        return Coded(np.arange(len(found)), found)
    coded = _of_dictionaries(table[name])
    return coded if rows is None else coded.at(rows)


def _of_dictionaries(column: pa.ChunkedArray) -> Coded:
    """The values are those of all dictionaries, one after another, and at last one null."""
    size = sum(len(chunk.dictionary) for chunk in column.chunks)
    parts, codes, first = [pl.Series([None], dtype=pl.String)], np.empty(len(column), dtype=np.int64), 0
    row = 0
    for chunk in column.chunks:
        of_chunk = chunk.indices.fill_null(size - first) if chunk.null_count else chunk.indices
        np.add(of_chunk.to_numpy(), first, out=codes[row : row + len(chunk)])
        parts.insert(-1, pl.Series(pl.from_arrow(chunk.dictionary), dtype=pl.String))
        row, first = row + len(chunk), first + len(chunk.dictionary)
    return Coded(codes, pl.concat(parts, rechunk=True))
