"""Texts as small integers: the fold groups by codes and looks at each distinct text once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Numbers = NDArray[Any]
"""Whole numbers of any width."""

ABSENT: Final = -1
"""The code of a row that has no value: it takes no part in the dimension."""

_FEW: Final = 4_096  # texts that plain Python sorts sooner than polars is called
_FEWER: Final = 1_024  # texts that plain Python tells apart sooner


@dataclass(frozen=True)
class Coded:
    """`codes` point into `values`: texts, null among them where it occurs; distinct, where nothing else is
    said."""

    codes: Ints
    values: pl.Series

    @property
    def size(self) -> int:
        return len(self.values)

    def shown_as(self, shown: pl.Series) -> Coded:
        """The same rows by what their values are shown as: `shown` has one text per value, null for ABSENT.

        The new values are distinct and sorted.
        """
        if len(shown) <= _FEW:
            texts = shown.to_list()
            values = sorted({text for text in texts if text is not None})
            rank = {text: place for place, text in enumerate(values)} | {None: ABSENT}
            of_value = np.array([*(rank[text] for text in texts), ABSENT], dtype=np.int64)
            return Coded(of_value[self.codes], pl.Series(shown.name, values, dtype=pl.String))
        own = code(shown)
        present = np.flatnonzero(own.values.is_not_null().to_numpy())
        distinct = own.values.gather(present)
        order = distinct.arg_sort().to_numpy()
        ranks = np.full(own.size + 1, ABSENT, dtype=np.int64)
        ranks[present[order]] = np.arange(len(order))
        of_value = np.append(ranks[own.codes], ABSENT)  # ABSENT stays ABSENT
        return Coded(of_value[self.codes], distinct.gather(order))

    def at(self, rows: Ints | Flags | slice) -> Coded:
        """Some of the rows."""
        return Coded(self.codes[rows], self.values)

    def compact(self) -> Coded:
        """The same rows by those values alone that occur in them."""
        used = _used(self)
        if used.all():
            return self
        return Coded((np.cumsum(used) - 1)[self.codes], self.values.filter(pl.Series(used)))


def code(texts: pl.Series) -> Coded:
    """Codes in the order of first appearance."""
    if len(texts) <= _FEWER:
        known: dict[str | None, int] = {}
        numbers = [known.setdefault(text, len(known)) for text in texts.to_list()]
        return Coded(np.array(numbers, dtype=np.int64), pl.Series(texts.name, list(known), dtype=pl.String))
    codes = texts.cast(pl.Categorical(pl.Categories.random())).to_physical().cast(pl.Int64)
    if not codes.null_count():
        return Coded(codes.to_numpy(), texts[_first_rows(codes.to_numpy())])
    with_null = codes.fill_null(-1).to_numpy().copy()
    with_null[with_null < 0] = with_null.max() + 1
    return Coded(with_null, texts[_first_rows(with_null)])


def together(parts: Sequence[Coded]) -> list[Coded]:
    """Columns, whose values may repeat, by the distinct values that occur in any of them."""
    used = [_used(part) for part in parts]
    texts = [part.values.filter(pl.Series(is_used)) for part, is_used in zip(parts, used, strict=True)]
    whole = code(pl.concat([text.alias("text") for text in texts], rechunk=True))
    of_text = np.split(whole.codes, np.cumsum([len(text) for text in texts])[:-1])
    return [
        Coded(_spread(codes, is_used)[part.codes], whole.values)
        for part, is_used, codes in zip(parts, used, of_text, strict=True)
    ]


def _used(column: Coded) -> Flags:
    """Which values occur."""
    used = np.zeros(column.size, dtype=np.bool_)
    used[column.codes] = True
    return used


def _spread(codes: Ints, is_used: Flags) -> Ints:
    """The codes of used values, by value."""
    if len(codes) == len(is_used):
        return codes
    of_value = np.full(len(is_used), ABSENT)
    of_value[is_used] = codes
    return of_value


def distinct(column: Coded) -> Coded:
    """A column, whose values may repeat, by the distinct values that occur in it."""
    return together([column])[0]


def changes(*columns: Numbers) -> Flags:
    """Whether a row differs from the one before in any of the columns, one at least; the first one does."""
    differs = np.ones(len(columns[0]), dtype=np.bool_)
    differs[1:] = columns[0][1:] != columns[0][:-1]
    for column in columns[1:]:
        differs[1:] |= column[1:] != column[:-1]
    return differs


def _first_rows(codes: Ints) -> Ints:
    """A row of each code."""
    rows = np.empty(int(codes.max(initial=ABSENT)) + 1, dtype=np.int64)
    rows[codes] = np.arange(len(codes))
    return rows


def person_keys(site: Coded, visitor: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number for the (site, visitor) of each row, in the order of the sites' codes and of the visitors: it
    holds the site and nearly all of the visitor, so it may be the same for several of billions."""
    bits = np.uint64(max(1, (site.size - 1).bit_length()))
    return (site.codes.astype(np.uint64) << (np.uint64(64) - bits)) | (visitor >> bits)


def numbered(site: pl.Series, visitor: pl.Series) -> tuple[Ints, int]:
    """A number for the (site, visitor) of each row, in their order, and what all of them are below."""
    coded = code(site)
    visitors = ranks(visitor.to_numpy())
    count = int(visitors.max(initial=ABSENT)) + 1
    return coded.shown_as(coded.values).codes * count + visitors, coded.size * count


def ranks(numbers: NDArray[np.uint64] | Ints) -> Ints:
    """The place of each number among the distinct ones."""
    order = np.argsort(numbers)
    ordered = numbers[order]
    found = np.empty(len(numbers), dtype=np.int64)
    found[order] = np.cumsum(np.append(0, ordered[1:] != ordered[:-1])[: len(numbers)])
    return found


def whole(rows: int) -> Coded:
    """The value of a dimension that has only one."""
    return named("", rows)


def named(value: str, rows: int) -> Coded:
    """Rows that all have one value."""
    return Coded(np.zeros(rows, dtype=np.int64), pl.Series([value]))


def pairs(first: Ints, second: Ints, seconds: int) -> tuple[Ints, Ints]:
    """The distinct pairs of two codes, as `first * seconds + second`, and the place of each row's pair
    there."""
    distinct, places = np.unique(first * seconds + second, return_inverse=True)
    return distinct, places


def expanded(places: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """(row, entry): each row once for each of the counts[place] entries of its place, where entries lie by
    place."""
    times = counts[places]
    held = np.repeat(np.arange(len(places)), times)
    first = np.cumsum(counts) - counts
    within = np.arange(len(held)) - np.repeat(np.cumsum(times) - times, times)
    return held, first[places[held]] + within
