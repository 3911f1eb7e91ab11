"""What the live service knows: rollups of the last hours, in runs that grow by merging.

Each batch adds a small run. In the background runs of one level merge into one of the next, eight at a time,
so a row is merged a few times only and a question about one site reads a few dozen slices. Old moments are
dropped, and each place keeps a bounded number of values for each dimension and bucket.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from recount.counting.rollup import PROP_PREFIX, Rollup, merge, truncate
from streaming.places import partition_of_place

FAN_IN: Final = 8
VALUES_MAX: Final = 300  # for each place, dimension and bucket, once runs are merged
PROPERTIES_MAX: Final = 50  # for each place
BOUNDED_FROM_LEVEL: Final = 2


@dataclass(frozen=True)
class Run:
    """One immutable part of the state; `rollup` is by place, sorted by it."""

    rollup: Rollup
    level: int = 0

    @cached_property
    def first_at(self) -> int:
        first = self.rollup.rows["at"].min()
        return first if isinstance(first, int) else 0

    @cached_property
    def last_at(self) -> int:
        last = self.rollup.rows["at"].max()
        return last if isinstance(last, int) else 0

    @cached_property
    def _rows(self) -> dict[str, tuple[int, int]]:
        return _spans(self.rollup.rows)

    @cached_property
    def _revenue(self) -> dict[str, tuple[int, int]]:
        return _spans(self.rollup.revenue)

    def of(self, place: str, from_ms: int) -> Rollup | None:
        """The rows of a place whose bucket starts at `from_ms` or later."""
        if self.last_at < from_ms or place not in self._rows:
            return None
        rows = self.rollup.rows.slice(*self._rows[place])
        revenue = self.rollup.revenue.slice(*self._revenue.get(place, (0, 0)))
        if self.first_at < from_ms:
            rows = rows.filter(pl.col("at") >= from_ms)
            revenue = revenue.filter(pl.col("at") >= from_ms)
        return Rollup(rows, revenue)

    def keep(self, rows: pl.Expr) -> Run:
        return Run(Rollup(self.rollup.rows.filter(rows), self.rollup.revenue.filter(rows)), self.level)


class LiveState:
    """Added to by one thread, compacted by another, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: tuple[Run, ...] = ()
        self.version = 0
        self.folded_rows = 0

    @property
    def runs(self) -> tuple[Run, ...]:
        return self._runs

    def add(self, rollup: Rollup) -> None:
        """Take in the rollup of one batch, by place."""
        if not rollup.is_empty:
            with self._lock:
                self._runs = (*self._runs, Run(rollup))
                self.version += 1

    def of_site(self, site: str, places: Sequence[str], from_ms: int) -> Rollup:
        """What is known of a site in these places since `from_ms`."""
        found = [
            part for run in self._runs for place in places if (part := run.of(place, from_ms)) is not None
        ]
        name = pl.lit(site).alias("site")
        return merge([Rollup(r.rows.with_columns(name), r.revenue.with_columns(name)) for r in found])

    def everything(self, dimensions: Collection[str], from_ms: int, until_ms: int) -> Rollup:
        """The rows of every place in some dimensions, without revenue, of the buckets in [from, until)."""
        inside = pl.col("dimension").is_in(list(dimensions)) & pl.col("at").is_between(
            from_ms, until_ms, closed="left"
        )
        runs = [run.rollup for run in self._runs if run.first_at < until_ms and run.last_at >= from_ms]
        return merge([Rollup(r.rows.filter(inside), r.revenue.clear()) for r in runs])

    def drop_partitions(self, partitions: Collection[int]) -> None:
        """Forget what partitions that were taken away have brought."""
        other = ~partition_of_place().is_in(list(partitions))
        with self._lock:
            self._runs = tuple(run.keep(other) for run in self._runs)
            self.version += 1

    def compact(self, horizon_ms: int) -> None:
        """Merge what can be merged, and drop what lies before the horizon. For one thread only."""
        self._drop_before(horizon_ms)
        levels = {run.level for run in self._runs}
        for level in sorted(levels):
            same = [run for run in self._runs if run.level == level]
            if len(same) >= FAN_IN:
                self._merge(same, level + 1, horizon_ms)

    def _drop_before(self, horizon_ms: int) -> None:
        with self._lock:
            self._runs = tuple(run for run in self._runs if run.last_at >= horizon_ms)

    def _merge(self, runs: list[Run], level: int, horizon_ms: int) -> None:
        merged = Run(merge([run.rollup for run in runs]), level).keep(pl.col("at") >= horizon_ms)
        bounded = merged
        if level >= BOUNDED_FROM_LEVEL:
            bounded = Run(truncate(_with_few_properties(merged.rollup), VALUES_MAX), level)
        with self._lock:
            # A partition dropped meanwhile has replaced its runs: then this merge is void and done again.
            if all(any(run is kept for kept in self._runs) for run in runs):
                rest = tuple(kept for kept in self._runs if not any(run is kept for run in runs))
                self._runs = (bounded, *rest)
                self.folded_rows += merged.rollup.rows.height - bounded.rollup.rows.height


def _with_few_properties(rollup: Rollup) -> Rollup:
    """The PROPERTIES_MAX most frequent properties of each place; senders may make up any number of names."""
    is_property = pl.col("dimension").str.starts_with(PROP_PREFIX)
    names = rollup.rows.filter(is_property).group_by("site", "dimension").agg(pl.col("accepted").sum())
    crowded = names.filter(pl.len().over("site") > PROPERTIES_MAX)
    if crowded.is_empty():
        return rollup
    rank = pl.col("accepted").rank("ordinal", descending=True).over("site")
    rare = crowded.filter(rank > PROPERTIES_MAX).select("site", "dimension")
    on = ["site", "dimension"]
    return Rollup(
        rollup.rows.join(rare, on=on, how="anti", maintain_order="left"),
        rollup.revenue.join(rare, on=on, how="anti", maintain_order="left"),
    )


def _spans(rows: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Place -> (first row, number of rows); rows are sorted by place."""
    lengths = rows.select(pl.col("site").rle()).unnest("site")
    starts = lengths["len"].cum_sum() - lengths["len"]
    return dict(zip(lengths["value"], zip(starts, lengths["len"], strict=True), strict=True))
