"""Events -> rollup: the only code that counts, for an hour of the archive and for a live micro-batch.

Everything is grouped by small integers: a key packs (site, bucket, value), rows are in the order of their
visitors, and one sort of (key, row) brings each group together with its visitors in order.

Rules of counting. A visit counts from its first pageview or custom event on; engagement alone (a tab looked
at again after 30 minutes) is no visitor and no visit, and only adds its time and depth. A bounce is an ended
visit of at most one pageview and no custom event. Visits whose verdict is not `human` count in dimension
`verdict` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from recount import counting, grouping
from recount.coding import Ints, code
from recount.counting import Batch
from recount.facts import visit_dimensions
from recount.grouping import Facts
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, QUARTER_MS
from recount.rollup import REVENUE_SCHEMA, ROLLUP_SCHEMA, Rollup, empty, merge, rebucket, truncate
from recount.store.catalog import Site
from recount.visits import ENTRY_SCHEMA

__all__ = [
    "LOGIC_VERSION",
    "REVENUE_SCHEMA",
    "ROLLUP_SCHEMA",
    "Rollup",
    "empty",
    "fold",
    "merge",
    "rebucket",
    "truncate",
]

LOGIC_VERSION: Final = 1
"""Grows whenever the same archive would give another rollup; `tests/unit/test_golden.py` holds us to it."""


def fold(
    events: pl.DataFrame,
    ends: pl.DataFrame,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    *,
    series_ms: int = QUARTER_MS,
    bucket_ms: int = HOUR_MS,
) -> Rollup:
    """The rollup of `events` (ARCHIVE_SCHEMA) and `ends` (VISIT_END_SCHEMA), of any number of sites.

    Both are quickest in the order in which `visits.cut` gives them. Dimension `series` is the total by
    `series_ms`, the others are by `bucket_ms` (sites off the full hour: at most a quarter). A site that the
    catalog does not know is counted by default rules.
    """
    if events.is_empty() and ends.is_empty():
        return empty()
    batch = _batch(
        _in_order(events, "ts"), _in_order(ends, "start"), sites, interpreter, series_ms, bucket_ms
    )
    counted = counting.Counted([], [])
    for step in (
        counting.visits,
        counting.exits,
        counting.pages_seen,
        counting.custom_events,
        counting.goals_reached,
    ):
        counted = counted + step(batch)
    return Rollup(
        grouping.by_name(counted.rows, batch.grid, ROLLUP_SCHEMA),
        grouping.by_name(counted.revenue, batch.grid, REVENUE_SCHEMA),
    )


def _in_order(frame: pl.DataFrame, moment: str) -> pl.DataFrame:
    """By site and visitor, as the sets of visitors are made."""
    site, visitor = pl.col("site"), pl.col("visitor")
    back = (site < site.shift()) | ((site == site.shift()) & (visitor < visitor.shift()))
    return frame.sort("site", "visitor", moment) if frame.select(back.any()).item() else frame


def _batch(
    events: pl.DataFrame,
    ends: pl.DataFrame,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    series_ms: int,
    bucket_ms: int,
) -> Batch:
    starts = _slices(events, grouping.step_of(series_ms, bucket_ms))
    slice_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, events.height)))
    entries = ("site", *ENTRY_SCHEMA)
    frame = pl.concat([events.select(pl.col(entries).gather(starts)), ends.select(entries)])
    seen_sites = code(frame["site"])
    site = seen_sites.shown_as(seen_sites.values)
    at = np.concatenate([events["ts"].to_numpy()[starts], ends["end_at"].to_numpy() - 1])
    grid = grouping.grid(site.values, at, series_ms, bucket_ms)
    buckets = grouping.bucket_starts(at, site, sites, bucket_ms)
    dimensions = visit_dimensions(frame, site, sites, interpreter)
    seen = counting.page_runs(events, slice_of)
    return Batch(
        events=events,
        ends=ends,
        sites=sites,
        grid=grid,
        site=site,
        slice_of=slice_of,
        seen=seen,
        dimensions=dimensions,
        visits=_visit_facts(events, ends, starts, seen, grid.place(site.codes, buckets)),
        series=grid.place(site.codes, at - at % series_ms),
    )


def _slices(events: pl.DataFrame, step_ms: int) -> Ints:
    """Where each part of a visit within one step of time begins."""
    if events.is_empty():
        return np.empty(0, dtype=np.int64)
    step = pl.col("ts") // step_ms
    keys = (pl.col("visitor"), pl.col("visit_start"), step, pl.col("site"))
    new = events.select(pl.any_horizontal(key != key.shift() for key in keys).fill_null(True)).to_series()
    return np.flatnonzero(new.to_numpy())


def _visit_facts(
    events: pl.DataFrame, ends: pl.DataFrame, starts: Ints, seen: counting.PageRuns, place: Ints
) -> Facts:
    """The slices of visits, then the ends of visits."""
    of_slices = _slice_metrics(events, starts, seen)
    of_ends = _end_metrics(ends)
    names = (*of_slices, *of_ends)
    metrics = np.zeros((len(starts) + ends.height, len(names)), dtype=np.int64)
    for column, values in enumerate(of_slices.values()):
        metrics[: len(starts), column] = values
    for column, values in enumerate(of_ends.values(), len(of_slices)):
        metrics[len(starts) :, column] = values
    acted = (metrics[:, names.index("pageviews")] + metrics[:, names.index("events")]) > 0
    visitor = np.concatenate([events["visitor"].to_numpy()[starts], ends["visitor"].to_numpy()])
    return Facts(place, visitor, acted, names, metrics)


def _slice_metrics(events: pl.DataFrame, starts: Ints, seen: counting.PageRuns) -> dict[str, Ints]:
    acts = pl.col("kind") != "engagement"
    numbers = events.select(
        visits=acts & (pl.col("pageviews_before") == 0) & (pl.col("events_before") == 0),
        pageviews=pl.col("kind") == "pageview",
        events=pl.col("kind") == "event",
        engaged_ms=counting.engaged_ms(),
    ).cast(pl.Int64)
    return {
        **{column.name: counting.sums(column, starts) for column in numbers},
        "accepted": np.diff(np.append(starts, events.height)),
        **seen.scroll_of_slices(len(starts)),
    }


def _end_metrics(ends: pl.DataFrame) -> dict[str, Ints]:
    """Of visits that had more than engagement."""
    acted = (pl.col("pageviews") + pl.col("events")) > 0
    numbers = ends.select(
        ended_visits=acted,
        bounces=acted & (pl.col("pageviews") <= 1) & (pl.col("events") == 0),
        duration_ms=pl.when(acted).then(pl.col("last") - pl.col("start")).otherwise(0),
    ).cast(pl.Int64)
    return {column.name: column.to_numpy() for column in numbers}
