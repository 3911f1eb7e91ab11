"""Where visits begin and end: no silence of 30 minutes between a visitor's events, at most 12 hours.

Rows and numbers only: what visits say of themselves is in `visits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.periods import HOUR_MS, MINUTE_MS

SILENCE_MS: Final = 30 * MINUTE_MS
VISIT_MAX_MS: Final = 12 * HOUR_MS

_Ints = NDArray[np.int64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Runs:
    """Arrays over the ordered events. A run is a visitor's events, without those too old for his open visit.

    starts: begins a run; moment: ts, but never before the last event of the open visit it may join;
    joins: row of that open visit or -1; old: too early for it.
    """

    starts: _Flags
    moment: _Ints
    joins: _Ints
    old: _Flags


@dataclass(frozen=True)
class Visits:
    """Arrays over the visits found. first, last: rows of the ordered events; goes_on: row of the open visit
    it continues or -1; start: its first moment; of_event: the visit of each ordered event."""

    first: _Ints
    last: _Ints
    goes_on: _Ints
    start: _Ints
    of_event: _Ints


def find_runs(ordered: pl.DataFrame, first_of_visitor: _Flags, open_visits: pl.DataFrame) -> Runs:
    """`ordered`: events as `ordered_by_visitor` gives them; `open_visits` (CARRY_SCHEMA): one a visitor."""
    ts = ordered["ts"].to_numpy()
    carried = _carried(ordered, first_of_visitor, open_visits)
    if open_visits.is_empty():
        return Runs(first_of_visitor, ts, carried, np.zeros(len(ts), dtype=np.bool_))
    start, last = open_visits["start"].to_numpy()[carried], open_visits["last"].to_numpy()[carried]
    has = carried >= 0
    old = has & (ts <= start - SILENCE_MS)
    near = has & ~old
    starts = first_of_visitor | np.append(False, old[1:] != old[:-1])
    return Runs(starts, np.where(near, np.maximum(ts, last), ts), np.where(near, carried, -1), old)


def _carried(ordered: pl.DataFrame, first_of_visitor: _Flags, open_visits: pl.DataFrame) -> _Ints:
    """The row of the open visit of each event's visitor, -1 for none."""
    first = np.flatnonzero(first_of_visitor)
    if open_visits.is_empty():
        return np.full(ordered.height, -1, dtype=np.int64)
    visitors = ordered.select(pl.col("site", "visitor").gather(first))
    known = open_visits.select("site", "visitor", pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    found = visitors.join(known, on=["site", "visitor"], how="left", maintain_order="left")
    counts = np.diff(np.append(first, ordered.height))
    return np.repeat(found["row"].fill_null(-1).to_numpy(), counts)


def find_visits(ordered: pl.DataFrame, runs: Runs, open_visits: pl.DataFrame) -> Visits:
    """The visits that the runs make, one after the other."""
    opens = np.append(True, np.diff(runs.moment) >= SILENCE_MS)
    first = np.flatnonzero(runs.starts)
    opens[first] = True
    joins = runs.joins[first]
    reaches = joins >= 0
    silence = runs.moment[first[reaches]] - open_visits["last"].to_numpy()[joins[reaches]]
    opens[first[reaches]] = silence >= SILENCE_MS
    visits = _between(runs, opens, open_visits)
    too_long = np.flatnonzero(runs.moment[visits.last] - visits.start >= VISIT_MAX_MS)
    if not len(too_long):
        return visits
    for visit in too_long:
        _break_long(opens, runs.moment, visits, visit)
    return _between(runs, opens, open_visits)


def _break_long(opens: _Flags, moment: _Ints, visits: Visits, visit: np.intp) -> None:
    """Opens a new visit at each event that lies 12 hours or more after the start; few visits are that
    long."""
    start, row, end = int(visits.start[visit]), int(visits.first[visit]), int(visits.last[visit]) + 1
    while True:
        row += int(np.searchsorted(moment[row:end], start + VISIT_MAX_MS))
        if row >= end:
            return
        opens[row] = True
        start = int(moment[row])


def _between(runs: Runs, opens: _Flags, open_visits: pl.DataFrame) -> Visits:
    begins = opens | runs.starts
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(begins)) - 1
    goes_on = np.where(opens[first], -1, runs.joins[first])
    start = runs.moment[first].copy()
    start[goes_on >= 0] = open_visits["start"].to_numpy()[goes_on[goes_on >= 0]]
    return Visits(first, last, goes_on, start, np.cumsum(begins) - 1)
