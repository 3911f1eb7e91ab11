"""What the segments of a plan hold, added up the ways that tables need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount.counting import sketch
from recount.counting.counted import COUNTS_SCHEMA, VISITOR_COUNT, Counts, with_counts
from recount.counting.rebuild import HOURS
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, SERIES, TOTAL, Rollup, empty, merge
from recount.querying.measures import sums

LIVE: Final = "live"
ACTIVITY: Final = ("accepted", "exits", "ended_visits")
ROWS_SCHEMA: Final = {**COUNTS_SCHEMA, LIVE: pl.Int64()}
TIMED: Final = (TOTAL, SERIES, HOURS)
_NO_VALUES: Final = pl.DataFrame(
    schema={n: kind for n, kind in ROWS_SCHEMA.items() if n not in ("site", "at")}
)


@dataclass(frozen=True)
class Quarters:
    """Totals by the quarter of an hour, with their visitor sets; `live` is the live part of them."""

    rollup: Rollup = field(default_factory=empty)
    live: Rollup = field(default_factory=empty)

    def by(self, starts: Sequence[int]) -> Counts:
        """Rows of ROWS_SCHEMA, one for each bucket with anything in it, `at` its first moment."""
        return shown(_bucketed(self.rollup, starts), _bucketed(self.live, starts), frozenset({SERIES}))


@dataclass(frozen=True)
class Part:
    """Some segments: `values` are sums by dimension and value, `months` and `days` the rows (ROWS_SCHEMA)
    that are asked for by time; `revenue` is that of all rows."""

    values: pl.DataFrame
    revenue: pl.DataFrame
    months: Counts
    days: Counts

    @classmethod
    def of(cls, months: Counts, days: Counts, *, daily: bool = False) -> Part:
        """`daily`: rows of every dimension are asked for by time, too."""
        values = sums(pl.concat([months.rows, days.rows]), "dimension", "value")
        revenue = pl.concat([months.revenue, days.revenue])
        if daily:
            return cls(values, revenue, months, days)
        timed = pl.col("dimension").is_in(list(TIMED))
        return cls(values, revenue, *(Counts(c.rows.filter(timed), c.revenue) for c in (months, days)))

    @property
    def size_bytes(self) -> int:
        frames = (self.values, self.revenue, self.months.rows, self.days.rows)
        return int(sum(frame.estimated_size() for frame in frames))


@dataclass(frozen=True)
class Data:
    """What the segments of a plan hold: rows of months and of days (ROWS_SCHEMA), as far as they are asked
    for by time, and all rows added up by value, with their revenue.

    `live` of a row is how much of its activity (`ACTIVITY`) came from the live service. `united`: visitors of
    several days were told apart, else they are added up. `segments`: of how many it is made. `is_open`: an
    hour of it has not ended. `quarters`: instead of days, where buckets need visitor sets.
    """

    parts: Sequence[Part]
    united: bool
    segments: int = 1
    is_open: bool = False
    quarters: Quarters | None = None

    @cached_property
    def months(self) -> Counts:
        return concat([part.months for part in self.parts])

    @cached_property
    def days(self) -> Counts:
        return concat([part.days for part in self.parts])

    @cached_property
    def by_value(self) -> Mapping[str, pl.DataFrame]:
        """The whole range by value, of each dimension."""
        whole = pl.concat([part.values for part in self.parts])
        added = whole if len(self.parts) == 1 else sums(whole, "dimension", "value")
        return {name: rows for (name,), rows in added.partition_by("dimension", as_dict=True).items()}

    def values_of(self, dimension: str) -> pl.DataFrame:
        return self.by_value.get(dimension, _NO_VALUES)

    @cached_property
    def revenue_by_value(self) -> pl.DataFrame:
        return pl.concat([part.revenue for part in self.parts])

    @cached_property
    def by_day(self) -> Counts:
        """Totals by the first moment of each day: months keep their days in the series."""
        is_day = pl.col("dimension") == SERIES, pl.col("dimension") == TOTAL
        return Counts(
            pl.concat([self.months.rows.filter(is_day[0]), self.days.rows.filter(is_day[1])]),
            pl.concat([self.months.revenue.filter(is_day[0]), self.days.revenue.filter(is_day[1])]),
        )

    def of_days(self, dimension: str, keep: pl.Expr | bool = True) -> Counts:
        """Rows of a dimension by the first moment of each day."""
        is_of = (pl.col("dimension") == dimension) & keep
        return Counts(self.days.rows.filter(is_of), self.days.revenue.filter(is_of))

    @cached_property
    def by_hour(self) -> Counts:
        return self.of_days(HOURS)

    @cached_property
    def is_of_several_days(self) -> bool:
        return self.by_day.rows["at"].n_unique() > 1

    @cached_property
    def has_estimates(self) -> bool:
        """Whether visitors of any set that was counted are an estimate: no value has more than its day."""
        if self.united or self.quarters is not None:
            return True
        return bool((self.by_day.rows["visitors"] > sketch.EXACT_MAX).any())


def shown(made: Rollup, live: Rollup, dimensions: frozenset[str]) -> Counts:
    """Rows of ROWS_SCHEMA: what was made, with how much of it is live."""
    counted = with_counts(made)
    inside = pl.col("dimension").is_in(list(dimensions))
    activity = live.rows.select(*KEYS, pl.sum_horizontal(ACTIVITY).alias(LIVE))
    rows = (
        counted.rows.filter(inside)
        .join(activity, on=KEYS, how="left", maintain_order="left")
        .with_columns(pl.col(LIVE).fill_null(0), visitors=pl.col(VISITOR_COUNT))
    )
    return Counts(rows.select(*ROWS_SCHEMA), counted.revenue.filter(inside))


def concat(counts: Sequence[Counts]) -> Counts:
    """One after another; none gives no rows."""
    nothing = Counts(pl.DataFrame(schema=ROWS_SCHEMA), pl.DataFrame(schema=REVENUE_SCHEMA))
    whole = [nothing, *counts]
    return Counts(pl.concat([c.rows for c in whole]), pl.concat([c.revenue for c in whole]))


def placed(rows: pl.DataFrame, starts: Sequence[int]) -> pl.DataFrame:
    """The rows with `at` the start of their bucket; the first bucket may be cut by the range."""
    if rows.is_empty():
        return rows
    of_row = np.searchsorted(np.array(starts), rows["at"].to_numpy(), side="right") - 1
    return rows.with_columns(at=pl.Series(np.array(starts)[np.maximum(of_row, 0)]))


def _bucketed(rollup: Rollup, starts: Sequence[int]) -> Rollup:
    moved = Rollup(placed(rollup.rows, starts), placed(rollup.revenue, starts))
    return merge([moved], regroup=pl.col("at"))
