"""Rows of the archive -> numbers by any combination of dimensions, counted by the fold.

The fold counts each site for itself. So what a row has as values becomes its site, and one fold counts all
combinations at once, by exactly the rules of the rollups.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import polars as pl

from recount.counting import steps
from recount.counting.batch import batch_of
from recount.counting.coding import Coded, Ints
from recount.counting.fold import EVENT_FACTS, empty, merge
from recount.counting.grouping import Amounts, Facts
from recount.counting.rollup import VERDICT, Rollup
from recount.counting.tally import Tally
from recount.counting.visits import ARCHIVE_SCHEMA, VISIT_END_SCHEMA
from recount.periods import HOUR_MS, QUARTER_MS, day_span_ms
from recount.querying.buckets import starts
from recount.rules import EVERY_SITE
from recount.scanning.asked import Asked
from recount.scanning.dimensions import Lookup
from recount.scanning.valued import Rows, labelled

LABEL: Final = "_label"
SITE: Final = "site"
FOLD_ROWS: Final = 400_000  # a fold costs as much as 20,000 events whatever it counts
WHOLE: Final = 0


@dataclass(frozen=True)
class Buckets:
    """The pieces of time that are counted each for itself, and what each adds to.

    cells: first moments, ascending; buckets: the bucket of each (of a series its first moment, else WHOLE).
    Days of the site are cells of their own where nobody is recognised on another day.
    """

    cells: tuple[int, ...]
    buckets: tuple[int, ...]
    end_ms: int

    @classmethod
    def of(cls, asked: Asked, day_zone: str) -> Buckets:
        """`day_zone`: the site's own, by whose days visitors are known."""
        start, end = asked.span.bounds_ms(asked.zone)
        series = starts(asked.span, asked.zone, asked.interval) if asked.interval else [start]
        by_day = not asked.united and asked.interval not in ("hour", "day")
        days = asked.span.in_zone(asked.zone, day_zone).days if by_day else []
        firsts = (day_span_ms(day, day_zone)[0] for day in days)
        cells = sorted({start, *series, *(first for first in firsts if start < first < end)})
        of_cell = (series[bisect_right(series, cell) - 1] for cell in cells)
        return cls(tuple(cells), tuple(of_cell) if asked.interval else (WHOLE,) * len(cells), end)

    @property
    def step_ms(self) -> int:
        """What the fold has to tell apart so that no cell is cut."""
        off_the_hour = any(moment % HOUR_MS for moment in (*self.cells, self.end_ms))
        return QUARTER_MS if off_the_hour else HOUR_MS

    def within(self, rollup: Rollup) -> Rollup:
        """What lies in the range, by cell."""
        inside = pl.col("at").is_between(self.cells[0], self.end_ms, closed="left")
        rows, revenue = rollup.rows.filter(inside), rollup.revenue.filter(inside)
        moments = {*rows["at"].unique(), *revenue["at"].unique()}
        at = {moment: self.cells[bisect_right(self.cells, moment) - 1] for moment in moments}
        moved = pl.col("at").replace_strict(at, return_dtype=pl.Int64) if at else pl.col("at")
        return merge([Rollup(rows, revenue)], regroup=moved)

    def added(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of cells with the bucket that they add to."""
        of_cell = dict(zip(self.cells, self.buckets, strict=True))
        return rows.with_columns(pl.col("at").replace_strict(of_cell, return_dtype=pl.Int64))


class Counting:
    """Counts the rows of one site. Safe to share between threads."""

    def __init__(self, lookup: Lookup, asked: Asked) -> None:
        self._lookup = lookup
        self._asked = asked
        self._buckets = Buckets.of(asked, lookup.site.timezone)

    def count(self, chunks: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> Rollup:
        """Rows whose `site` is the label of their combination (see `values_of`).

        chunks: `asked.event_columns` and `asked.end_columns` of whole hours; empty if there are none. What is
        left of several is folded together.
        """
        asked = self._asked
        parts: list[Rollup] = []
        events, ends = _Pending(asked.counted_event_columns), _Pending(asked.counted_end_columns)
        for chunk in chunks:
            for pending, rows in zip((events, ends), chunk, strict=True):
                if not rows.is_empty():
                    pending.add(*self._labelled(rows))
            if events.rows + ends.rows >= FOLD_ROWS:
                parts.append(self._counted(events.taken(), ends.taken()))
        parts.append(self._counted(events.taken(), ends.taken()))
        return merge(parts)

    def _labelled(self, frame: pl.DataFrame) -> tuple[Rows, pl.Series]:
        """The rows that pass the filters, once for each combination of values, and its label."""
        rows = Rows.of(frame, self._lookup)
        if self._asked.ruled and self._asked.of_events and self._asked.counted_as != VERDICT:
            rows = rows.shown() if "url" in frame.columns else rows
        return labelled(rows.fitting(self._asked.filters), self._asked.labels, _label)

    def _counted(self, events: pl.DataFrame, ends: pl.DataFrame) -> Rollup:
        if events.is_empty() and ends.is_empty():
            return empty()
        counted = self._folded(
            _complete(events, {n: ARCHIVE_SCHEMA[n] for n in EVENT_FACTS}), _complete(ends, VISIT_END_SCHEMA)
        )
        if self._asked.counted_as not in self._asked.dimensions:
            counted = _without_value(counted)
        return self._buckets.within(counted)

    def _folded(self, events: pl.DataFrame, ends: pl.DataFrame) -> Rollup:
        sites = dict.fromkeys({*events["site"].unique(), *ends["site"].unique()}, self._lookup.site)
        sites[EVERY_SITE] = self._lookup.common
        batch = batch_of(events, ends, sites, self._lookup.interpreter, QUARTER_MS, self._buckets.step_ms)
        tally = _OneDimension(batch.grid, self._asked.counted_as)
        match self._asked.counted_as:
            case "page":
                steps.pages_seen(batch, tally)
            case "exit_page":
                steps.exits(batch, tally)
            case _:
                steps.visits(batch, tally)
        return tally.rollup()


class _Pending:
    """Rows of several chunks that are folded together."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = [name for name in columns if name != SITE]
        self._frames: list[pl.DataFrame] = []
        self.rows = 0

    def add(self, rows: Rows, labels: pl.Series) -> None:
        if len(rows):
            self._frames.append(rows.gathered(self._columns).with_columns(labels.alias(SITE)))
            self.rows += len(rows)

    def taken(self) -> pl.DataFrame:
        """All of them, once."""
        frame = pl.concat(self._frames, rechunk=True) if self._frames else pl.DataFrame()
        self._frames, self.rows = [], 0
        return frame


class _OneDimension(Tally):
    """Leaves out everything but one dimension."""

    def __init__(self, grid: object, wanted: str) -> None:
        super().__init__(grid)  # type: ignore[arg-type]
        self._wanted = wanted

    def count(self, facts: Facts, dimension: str | Coded, value: Coded) -> None:
        if dimension == self._wanted:
            super().count(facts, dimension, value)

    def earn(self, amounts: Amounts, place: Ints, dimension: str | Coded, value: Coded) -> None:
        if dimension == self._wanted:
            super().earn(amounts, place, dimension, value)


def values_of(labels: pl.Series, names: Sequence[str]) -> pl.DataFrame:
    """The values that labels stand for, a column a dimension."""
    distinct = labels.unique(maintain_order=True)
    values = [orjson.loads(label) for label in distinct]
    table = pl.DataFrame(values, schema=dict.fromkeys(names, pl.String()), orient="row")
    return table.with_columns(distinct.alias(LABEL))


def _label(values: Sequence[str]) -> str:
    return orjson.dumps(values).decode()


def _complete(rows: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """With a column of nothing for each that the fold looks at and nobody asked for."""
    if not rows.columns or "visitor" not in rows.columns:
        return pl.DataFrame(schema=schema)
    return rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    )


def _without_value(rollup: Rollup) -> Rollup:
    nothing = pl.lit("").alias("value")
    return merge(
        [Rollup(rollup.rows.with_columns(nothing), rollup.revenue.with_columns(nothing))],
        regroup=pl.col("at"),
    )
