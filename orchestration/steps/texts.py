"""Numbers for the texts of an hour: what repeats is moved about, sorted and stored as a small integer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import polars as pl

from recount.event import EVENT_SCHEMA

TEXTS_MAX: Final = 2_000_000  # of a column that are worth a number each
UNIQUE: Final = ("id",)  # no two alike: a number for each would only be more


class Texts:
    """The distinct texts of each column, numbered in the order they come; some 100 bytes each while this
    lives."""

    def __init__(self) -> None:
        self._kinds = {
            name: pl.Categorical(pl.Categories.random())
            for name, kind in EVENT_SCHEMA.items()
            if kind == pl.String and name not in UNIQUE
        }
        # polars forgets the texts of a kind as soon as no column is of that kind
        self._alive = [pl.Series([], dtype=kind) for kind in self._kinds.values()]
        self._plain: set[str] = set()

    def coded(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events (EVENT_SCHEMA) whose texts are Categorical, but for columns in which there are too many."""
        found = events.with_columns(
            pl.col(name).cast(kind) for name, kind in self._kinds.items() if name not in self._plain
        )
        self._plain |= {name for name, kind in self._kinds.items() if TEXTS_MAX in kind.categories}
        return found

    def numbers(self, coded: pl.DataFrame) -> pl.DataFrame:
        """Without the texts: their numbers."""
        return coded.with_columns(pl.col(name).to_physical() for name in coded_in(coded))

    def of_numbers(self, numbers: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
        """The reverse of `numbers`, for the columns that were coded."""
        present = [name for name in names if name in numbers.columns]
        return numbers.with_columns(pl.col(name).cat.to(self._kinds[name]) for name in present)


def coded_in(events: pl.DataFrame) -> list[str]:
    """The columns whose texts are coded."""
    return [name for name, kind in events.schema.items() if isinstance(kind, pl.Categorical)]


def plain(events: pl.DataFrame) -> pl.DataFrame:
    """With texts as they are."""
    return events.with_columns(pl.col(name).cast(pl.String) for name in coded_in(events))


def joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Parts (one at least) one after the other; a column is coded if it is in all of them."""
    coded = set.intersection(*(set(coded_in(part)) for part in parts))
    alike = [
        part.with_columns(pl.col(name).cast(pl.String) for name in coded_in(part) if name not in coded)
        for part in parts
    ]
    return pl.concat(alike, rechunk=True)
