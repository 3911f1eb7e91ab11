"""Cuts events into visits with the carry of the time before, never looking ahead.

A visit is a visitor's events on one site with no silence of 30 minutes between them, at most 12 hours long.
The same `cut` serves an hour of the archive and a micro-batch of the live path: whatever it is not yet sure
of stays in the carry, and the next call goes on from there. Cutting reads raw facts only, so it is never
redone when an interpretation changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting.coding import numbered
from recount.counting.finding import SILENCE_MS, VISIT_MAX_MS, Visits, find_runs, find_visits
from recount.counting.ordering import ordered_by_visitor
from recount.event import EVENT_SCHEMA

ENTRY_FACTS: Final = ("url", "referrer", "ua", "lang", "screen", "country", "region", "network")
"""What the first event of a visit says about all of it; kept as `entry_<fact>`."""

ENTRY_SCHEMA: Final[dict[str, pl.DataType]] = {f"entry_{fact}": pl.String() for fact in ENTRY_FACTS}

# What each archived event knows of its visit. `position` counts the events of the visit from 1,
# `pageviews_before` and `events_before` (custom events) what came before this one.
VISIT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "visit_start": pl.Int64(),
    "position": pl.UInt32(),
    "pageviews_before": pl.UInt32(),
    "events_before": pl.UInt32(),
    **ENTRY_SCHEMA,
}

ARCHIVE_SCHEMA: Final[dict[str, pl.DataType]] = {**EVENT_SCHEMA, **VISIT_SCHEMA}

# A visit still open; `position` is the number of its events so far, `exit_url` that of its last pageview.
CARRY_SCHEMA: Final[dict[str, pl.DataType]] = {
    "site": pl.String(),
    "visitor": pl.UInt64(),
    "start": pl.Int64(),
    "last": pl.Int64(),
    "position": pl.UInt32(),
    "pageviews": pl.UInt32(),
    "events": pl.UInt32(),
    "engaged_ms": pl.Int64(),
    **ENTRY_SCHEMA,
    "exit_url": pl.String(),
}

VISIT_END_SCHEMA: Final[dict[str, pl.DataType]] = {
    **{name: CARRY_SCHEMA[name] for name in ("site", "visitor", "start", "last")},
    "end_at": pl.Int64(),
    **{name: kind for name, kind in CARRY_SCHEMA.items() if name not in ("site", "visitor", "start", "last")},
}

_Ints = NDArray[np.int64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """`events` (ARCHIVE_SCHEMA, sorted by site, visitor, ts, received, spool, seq), `ends`
    (VISIT_END_SCHEMA) and `carry` (CARRY_SCHEMA), both sorted by site, visitor, start. The carry has one
    visit a visitor at most."""

    events: pl.DataFrame
    ends: pl.DataFrame
    carry: pl.DataFrame


def empty_carry() -> pl.DataFrame:
    return pl.DataFrame(schema=CARRY_SCHEMA)


def end_at() -> pl.Expr:
    """When the silence of a visit runs out: the first moment at which nothing can join it any more."""
    return pl.min_horizontal(pl.col("last") + SILENCE_MS, pl.col("start") + VISIT_MAX_MS).alias("end_at")


def cut(events: pl.DataFrame, carry: pl.DataFrame | None, until_ms: int, *, in_order: bool = True) -> Cut:
    """Visits of `events` (EVENT_SCHEMA, without repeats, in any order), going on from `carry`.

    Texts of the events may be Categorical: so are they in the outcome then.

    Every event before `until_ms` is expected to be here or in the carry: visits whose silence ran out by then
    are ended. An event that comes late (live only) joins the open visit of its visitor if it lies within it
    or less than 30 minutes before its start; what is older than that is a visit of its own that ends at once.
    Without `in_order` the carry comes in no order, which spares small batches the sorting of a large carry.
    """
    open_visits = _in_kinds_of(events, empty_carry() if carry is None else carry)
    if events.is_empty():
        return _finish(
            pl.DataFrame(schema=ARCHIVE_SCHEMA), open_visits, open_visits.clear(), until_ms, in_order
        )
    ordered, first_of_visitor = ordered_by_visitor(events)
    concerned, resting = _concerned(open_visits, ordered, first_of_visitor)
    runs = find_runs(ordered, first_of_visitor, concerned)
    visits = find_visits(ordered, runs, concerned)
    told = _told(ordered, visits, concerned)
    summary = _summary(ordered, visits, told, concerned)
    touched = np.zeros(concerned.height, dtype=np.bool_)
    touched[runs.joins[runs.joins >= 0]] = True
    joined = np.zeros(concerned.height, dtype=np.bool_)
    joined[visits.goes_on[visits.goes_on >= 0]] = True
    latest = pl.Series(np.append(first_of_visitor[visits.first[1:]], True) & ~runs.old[visits.first])
    return _finish(
        _described(ordered, visits, told, concerned),
        pl.concat([resting, concerned.filter(pl.Series(~touched)), summary.filter(latest)]),
        pl.concat([concerned.filter(pl.Series(touched & ~joined)), summary.filter(~latest)]),
        until_ms,
        in_order,
    )


def _in_kinds_of(events: pl.DataFrame, open_visits: pl.DataFrame) -> pl.DataFrame:
    """The open visits, their texts coded as those of the events are."""
    facts = {"site": "site", "exit_url": "url", **{f"entry_{fact}": fact for fact in ENTRY_FACTS}}
    coded = {name: kind for name, fact in facts.items() if (kind := events.schema[fact]) != pl.String}
    return open_visits.cast(coded) if coded else open_visits  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Counts:
    """Of events of a kind: how many lie before each event in its visit, and how many its visit has so far."""

    before: _Ints
    so_far: _Ints


@dataclass(frozen=True)
class _Told:
    """What events say about their visits: `entries` (ENTRY_SCHEMA) and `exit_urls` of each visit."""

    entries: pl.DataFrame
    exit_urls: pl.Series
    pageviews: _Counts
    events: _Counts


def _concerned(
    open_visits: pl.DataFrame, ordered: pl.DataFrame, first_of_visitor: _Flags
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The open visits of visitors with events, and the others."""
    if open_visits.is_empty():
        return open_visits, open_visits
    first = pl.Series(np.flatnonzero(first_of_visitor))
    visitors = ordered.select(pl.col("site", "visitor").gather(first), pl.lit(True).alias("has"))
    known = open_visits.select("site", "visitor").join(
        visitors, on=["site", "visitor"], how="left", maintain_order="left"
    )
    has_events = known["has"].is_not_null()
    return open_visits.filter(has_events).rechunk(), open_visits.filter(~has_events)


def _told(ordered: pl.DataFrame, visits: Visits, open_visits: pl.DataFrame) -> _Told:
    is_pageview = _is_kind(ordered, "pageview")
    return _Told(
        _entries(ordered, visits, open_visits),
        _exit_urls(ordered, is_pageview, visits, open_visits),
        _counts(is_pageview, visits, open_visits["pageviews"]),
        _counts(_is_kind(ordered, "event"), visits, open_visits["events"]),
    )


def _is_kind(ordered: pl.DataFrame, kind: str) -> _Flags:
    return ordered.select(pl.col("kind") == kind).to_series().to_numpy()


def _counts(is_kind: _Flags, visits: Visits, carried: pl.Series) -> _Counts:
    seen = np.cumsum(is_kind)
    before_visit = seen[visits.first] - is_kind[visits.first] - _of_carried(visits, carried)
    return _Counts(seen - is_kind - before_visit[visits.of_event], seen[visits.last] - before_visit)


def _of_carried(visits: Visits, values: pl.Series) -> _Ints:
    """A number of the open visit that each visit continues, 0 for a new one."""
    numbers = np.append(values.to_numpy().astype(np.int64), 0)
    return numbers[visits.goes_on]


def _entries(ordered: pl.DataFrame, visits: Visits, open_visits: pl.DataFrame) -> pl.DataFrame:
    """The entry facts of each visit: those of the open visit it continues, else of its first event."""
    first, goes_on = pl.Series(visits.first), visits.goes_on
    here = ordered.select(pl.col(fact).gather(first).alias(f"entry_{fact}") for fact in ENTRY_FACTS)
    continued = np.flatnonzero(goes_on >= 0)
    if not len(continued):
        return here
    carried = open_visits.select(pl.col(*ENTRY_SCHEMA).gather(pl.Series(goes_on[continued])))
    rows = np.arange(here.height)
    rows[continued] = here.height + np.arange(len(continued))
    return pl.concat([here, carried], rechunk=True).select(pl.all().gather(pl.Series(rows)))


def _described(ordered: pl.DataFrame, visits: Visits, told: _Told, open_visits: pl.DataFrame) -> pl.DataFrame:
    begins = (visits.first - _of_carried(visits, open_visits["position"]))[visits.of_event]
    columns = {
        "visit_start": visits.start[visits.of_event],
        "position": np.arange(1, ordered.height + 1) - begins,
        "pageviews_before": told.pageviews.before,
        "events_before": told.events.before,
    }
    numbers = pl.DataFrame(columns, schema={name: VISIT_SCHEMA[name] for name in columns})
    entries = told.entries.select(pl.all().gather(pl.Series(visits.of_event, dtype=pl.UInt32)))
    return ordered.select(*EVENT_SCHEMA).hstack(numbers).hstack(entries)


def _summary(ordered: pl.DataFrame, visits: Visits, told: _Told, open_visits: pl.DataFrame) -> pl.DataFrame:
    """The visits found as they stand now (CARRY_SCHEMA)."""
    engaged = np.add.reduceat(ordered["engaged_ms"].fill_null(0).to_numpy(), visits.first)
    last = ordered["ts"].to_numpy()[visits.last]
    continued = visits.goes_on >= 0
    last[continued] = np.maximum(last[continued], open_visits["last"].to_numpy()[visits.goes_on[continued]])
    columns = {
        "start": visits.start,
        "last": last,
        "position": visits.last - visits.first + 1 + _of_carried(visits, open_visits["position"]),
        "pageviews": told.pageviews.so_far,
        "events": told.events.so_far,
        "engaged_ms": engaged + _of_carried(visits, open_visits["engaged_ms"]),
    }
    numbers = pl.DataFrame(columns, schema={name: CARRY_SCHEMA[name] for name in columns})
    visitors = ordered.select(pl.col("site", "visitor").gather(pl.Series(visits.first)))
    return pl.concat([visitors, numbers, told.entries, told.exit_urls.to_frame()], how="horizontal")


def _exit_urls(
    ordered: pl.DataFrame, is_pageview: _Flags, visits: Visits, open_visits: pl.DataFrame
) -> pl.Series:
    """The url of the last pageview of each visit: here, else in the carry, else null."""
    newest = np.maximum.accumulate(np.where(is_pageview, np.arange(len(is_pageview)), -1))[visits.last]
    is_here = newest >= visits.first
    is_carried = ~is_here & (visits.goes_on >= 0)
    urls = [
        ordered["url"].gather(newest[is_here]).alias("exit_url"),
        open_visits["exit_url"].gather(visits.goes_on[is_carried]),
        pl.Series("exit_url", [None], dtype=open_visits.schema["exit_url"]),
    ]
    found, carried = len(urls[0]), len(urls[1])
    rows = np.full(len(newest), found + carried)
    rows[is_here] = np.arange(found)
    rows[is_carried] = found + np.arange(carried)
    return pl.concat(urls, rechunk=True).gather(rows)


def _finish(
    events: pl.DataFrame, newest: pl.DataFrame, over: pl.DataFrame, until_ms: int, in_order: bool
) -> Cut:
    """`newest` are the visits that may still go on if their silence has not run out, `over` those that
    cannot."""
    newest, over = newest.with_columns(end_at()), over.with_columns(end_at())
    runs_out = pl.col("end_at") <= until_ms
    ends = pl.concat([over, newest.filter(runs_out)]).select(*VISIT_END_SCHEMA)
    carry = newest.filter(~runs_out).select(*CARRY_SCHEMA)
    return Cut(events, _by_visitor(ends), _by_visitor(carry) if in_order else carry)


def _by_visitor(visits: pl.DataFrame) -> pl.DataFrame:
    """By site, visitor and start."""
    if visits.is_empty():
        return visits
    visits = visits.rechunk()
    people, _ = numbered(visits["site"], visits["visitor"])
    return visits.select(pl.all().gather(pl.Series(np.lexsort((visits["start"].to_numpy(), people)))))
