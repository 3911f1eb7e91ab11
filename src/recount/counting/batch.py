"""What one fold is about, in columns: slices of visits, ends of visits, runs of events on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount.counting import facts, grid, ruling, sketch
from recount.counting.coding import ABSENT, Coded, Ints, code, numbered
from recount.counting.grid import Grid
from recount.counting.grouping import Amounts, Facts, Flags, pack
from recount.counting.matching import rules_of
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter
from recount.rules import Rules
from recount.store.catalog import Site

MICROS_SCALE: Final = 6
_DEPTH_BITS: Final = 7
_DEPTH_MAX: Final = 100


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of visits are slices (a visit within one step of time), then visit ends; people are the rows of
    visits with a human verdict.

    slice_of: of each event; human, verdict, site, visits: of the rows of visits; person_of: the row among
    people of each row of visits (ABSENT: a bot); people, dimensions, series (places by the finer buckets):
    of people. Events of human visits on pages that their site excludes are in `hidden` (None: there are
    none), and neither in `visits`, `people` and `runs` nor in what is taken from the events.
    """

    events: pl.DataFrame
    ends: pl.DataFrame
    sites: Mapping[str, Site]
    grid: Grid
    slice_of: Ints
    site: Coded
    verdict: Coded
    human: Flags
    visits: Facts
    people: Facts
    series: Ints
    dimensions: dict[str, Coded]
    runs: Runs
    exit_page: Coded
    hidden: Hidden | None

    @cached_property
    def person_of(self) -> Ints:
        return np.where(self.human, np.cumsum(self.human) - 1, ABSENT)

    @cached_property
    def earning(self) -> Ints:
        """The events of human visits that carry revenue."""
        carries = self.events["revenue_currency"].is_not_null() & (self.events["kind"] != "engagement")
        return self._of_people(carries)

    @cached_property
    def custom(self) -> Ints:
        """The custom events of human visits."""
        return self._of_people(self.events["kind"] == "event")

    def amounts(self, rows: Ints) -> Amounts:
        """The revenue of events."""
        return _amounts(self.events.select(pl.col("revenue_amount", "revenue_currency").gather(rows)))

    def _of_people(self, chosen: pl.Series) -> Ints:
        seen = chosen.to_numpy() if self.hidden is None else chosen.to_numpy() & ~self.hidden.events
        rows = np.flatnonzero(seen)
        return rows[self.human[self.slice_of[rows]]]


@dataclass(frozen=True)
class Runs:
    """Consecutive events of one slice and one url. start: first event; slice: theirs; page: ABSENT without
    url; facts: pageviews (whose visitors count), custom events, engagement, and on one run of each (visit,
    bucket, page) how deep it was scrolled."""

    start: Ints
    slice: Ints
    page: Coded
    facts: Facts

    def take(self, rows: Flags) -> Runs:
        return Runs(self.start[rows], self.slice[rows], self.page.at(rows), self.facts.take(rows))


@dataclass(frozen=True)
class Hidden:
    """Events of excluded pages: the runs of them, and which of all events they are."""

    runs: Runs
    events: Flags


@dataclass(frozen=True)
class _Slices:
    start: Ints
    of_event: Ints

    @property
    def count(self) -> int:
        return len(self.start)


def batch_of(
    events: pl.DataFrame,
    ends: pl.DataFrame,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    series_ms: int,
    bucket_ms: int,
) -> Batch:
    events, ends = _in_order(events, "ts"), _in_order(ends, "start")
    slices = _slices(events, grid.step_of(series_ms, bucket_ms))
    entries = ("site", *ENTRY_SCHEMA)
    frame = pl.concat(
        [events.select(pl.col(entries).gather(slices.start)), ends.select(entries)], rechunk=True
    )
    site = _sorted_sites(frame["site"])
    at = np.concatenate([events["ts"].to_numpy()[slices.start], ends["end_at"].to_numpy() - 1])
    places = grid.grid(site.values, at, series_ms, bucket_ms)
    place = places.place(site.codes, grid.bucket_starts(at, site, sites, bucket_ms))
    runs = _run_starts(events, slices)
    urls = facts.locate(
        pl.concat(
            [events["url"].gather(runs), frame["entry_url"].alias("url"), ends["exit_url"].alias("url")]
        )
    )
    entry = urls.part(slice(len(runs), len(runs) + frame.height))
    page = urls.part(slice(0, len(runs))).page_if_any()
    depth = _depth(events, slices, runs, page, place)
    visits = _visit_facts(
        events, ends, slices, place, depth_of_slices(depth, slices.of_event[runs], slices.count)
    )
    agents, rules = facts.agents(frame, interpreter), rules_of(site, sites)
    if rules:
        excluding = facts.excluding(frame, site, entry, sites, interpreter, rules)
        agents = agents.ruled(frame["entry_network"], excluding, site, rules)
    human = agents.human
    people = facts.Agents(agents.ua.at(human), agents.known, agents.verdict)
    seen, hidden = _runs(events, slices, runs, page, depth, place), None
    if rules:
        seen, hidden = _parted(seen, site, human, rules, events.height)
        visits = visits if hidden is None else _without(visits, hidden.runs)
    return Batch(
        events=events,
        ends=ends,
        sites=sites,
        grid=places,
        slice_of=slices.of_event,
        site=site,
        verdict=agents.verdict,
        human=human,
        visits=visits,
        people=visits.take(human),
        series=places.place(site.codes, at - at % series_ms)[human],
        dimensions=facts.visit_dimensions(
            frame.filter(pl.Series(human)), site.at(human), entry.at(human), people, sites, interpreter, rules
        ),
        runs=seen,
        exit_page=ruling.without_hidden(
            site.at(np.arange(slices.count, frame.height)),
            urls.part(slice(len(runs) + frame.height, None)).page_if_any(),
            rules,
        ),
        hidden=hidden,
    )


def _parted(
    runs: Runs, site: Coded, human: Flags, rules: Mapping[str, Rules], events: int
) -> tuple[Runs, Hidden | None]:
    """The runs on pages that are shown, and those of human visits on pages that are not."""
    out = ruling.hidden(site.at(runs.slice), runs.page, rules) & human[runs.slice]
    if not out.any():
        return runs, None
    of_event = np.repeat(out, np.diff(np.append(runs.start, events)))
    return runs.take(~out), Hidden(runs.take(out), of_event)


def _without(visits: Facts, hidden: Runs) -> Facts:
    """The rows of visits without what was done on hidden pages. The visits themselves stay."""
    numbers = {field.name: visits.metrics[field.name] for field in visits.metrics.fields}
    for field in hidden.facts.metrics.fields:
        there = np.bincount(hidden.slice, hidden.facts.metrics[field.name], minlength=len(visits.place))
        numbers[field.name] = numbers[field.name] - there.astype(np.int64)
    return Facts(visits.place, visits.visitor, visits.counts, pack(**numbers))


def _in_order(frame: pl.DataFrame, moment: str) -> pl.DataFrame:
    """By site and visitor, as the sets of visitors are made, each one's rows by time; in one chunk."""
    site, visitor = pl.col("site"), pl.col("visitor")
    back = (site < site.shift()) | ((site == site.shift()) & (visitor < visitor.shift()))
    frame = frame.rechunk()  # gathering from many chunks is dozens of times slower
    if not frame.select(back.any()).item():
        return frame
    people, below = numbered(frame["site"], frame["visitor"])
    order = sketch.stable_order(people, below)
    at, people = frame[moment].to_numpy()[order], people[order]
    if ((people[1:] == people[:-1]) & (at[1:] < at[:-1])).any():
        order = order[np.lexsort((at, people))]
    return frame.select(pl.all().gather(pl.Series(order, dtype=pl.UInt32)))


def _sorted_sites(names: pl.Series) -> Coded:
    seen = code(names)
    return seen.shown_as(seen.values)


def _slices(events: pl.DataFrame, step_ms: int) -> _Slices:
    if events.is_empty():
        return _Slices(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    keys = (pl.col("visitor"), pl.col("visit_start"), pl.col("ts") // step_ms, pl.col("site"))
    new = events.select(pl.any_horizontal(key != key.shift() for key in keys).fill_null(True)).to_series()
    begins = new.to_numpy()
    return _Slices(np.flatnonzero(begins), np.cumsum(begins) - 1)


def _run_starts(events: pl.DataFrame, slices: _Slices) -> Ints:
    new = events.select(pl.col("url").ne_missing(pl.col("url").shift())).to_series().to_numpy().copy()
    new[slices.start] = True
    return np.flatnonzero(new)


def _depth(events: pl.DataFrame, slices: _Slices, runs: Ints, page: Coded, place: Ints) -> Ints:
    """How deep each run was scrolled, in percent, on the deepest run of each (visit, bucket, page); else
    ABSENT."""
    if not len(runs):
        return runs
    seen = pl.when(pl.col("kind") == "engagement").then(pl.col("scroll_percent")).cast(pl.Int64)
    depths = events.select(seen.fill_null(ABSENT).clip(ABSENT, _DEPTH_MAX)).to_series().to_numpy()
    depth = np.maximum.reduceat(depths, runs)
    rows = np.flatnonzero((depth >= 0) & (page.codes >= 0))
    visit = _visits_in_buckets(events, slices, place)
    keys = visit[slices.of_event[runs[rows]]] * page.size + page.codes[rows]
    deeper = (keys << _DEPTH_BITS) | depth[rows]
    order = sketch.stable_order(deeper, int(deeper.max(initial=0)) + 1)  # of equally deep runs the last
    keys = keys[order]
    kept = np.full(len(runs), ABSENT, dtype=np.int64)
    deepest = rows[order[np.append(keys[1:] != keys[:-1], len(keys) > 0)[: len(keys)]]]
    kept[deepest] = depth[deepest]
    return kept


def _visits_in_buckets(events: pl.DataFrame, slices: _Slices, place: Ints) -> Ints:
    """A number for the visit and bucket of each slice."""
    visitor, start = (events[name].to_numpy()[slices.start] for name in ("visitor", "visit_start"))
    of_slice = place[: slices.count]
    same = (visitor[1:] == visitor[:-1]) & (start[1:] == start[:-1]) & (of_slice[1:] == of_slice[:-1])
    return np.cumsum(np.append(False, ~same))


def depth_of_slices(depth: Ints, slice_of: Ints, slices: int) -> dict[str, Ints]:
    has = depth >= 0
    total = np.bincount(slice_of[has], weights=depth[has], minlength=slices)
    return {
        "scroll_sum": total.astype(np.int64),
        "scroll_count": np.bincount(slice_of[has], minlength=slices),
    }


def _acts(events: pl.DataFrame, starts: Ints) -> dict[str, Ints]:
    """Numbers of consecutive events, from each start to the next."""
    engaged = pl.when(pl.col("kind") == "engagement").then(pl.col("engaged_ms")).fill_null(0)
    numbers = events.select(
        pageviews=pl.col("kind") == "pageview", events=pl.col("kind") == "event", engaged_ms=engaged
    ).cast(pl.Int64)
    return {
        **{column.name: _sums(column, starts) for column in numbers},
        "accepted": np.diff(np.append(starts, events.height)),
    }


def _sums(column: pl.Series, starts: Ints) -> Ints:
    return np.add.reduceat(column.to_numpy(), starts) if len(starts) else np.empty(0, dtype=np.int64)


def _visit_facts(
    events: pl.DataFrame, ends: pl.DataFrame, slices: _Slices, place: Ints, depth: dict[str, Ints]
) -> Facts:
    acts = _acts(events, slices.start)
    begins = (
        (pl.col("kind") != "engagement") & (pl.col("pageviews_before") == 0) & (pl.col("events_before") == 0)
    )
    begun = _sums(events.select(begins.cast(pl.Int64)).to_series(), slices.start)
    of_slices = {"visits": begun, **acts, **depth}
    of_ends = _end_numbers(ends)
    before, after = np.zeros(slices.count, dtype=np.int64), np.zeros(ends.height, dtype=np.int64)
    metrics = pack(
        **{name: np.concatenate([numbers, after]) for name, numbers in of_slices.items()},
        **{name: np.concatenate([before, numbers]) for name, numbers in of_ends.items()},
    )
    acted = np.concatenate([(acts["pageviews"] + acts["events"]) > 0, after > 0])
    visitor = np.concatenate([events["visitor"].to_numpy()[slices.start], ends["visitor"].to_numpy()])
    return Facts(place, visitor, acted, metrics)


def _end_numbers(ends: pl.DataFrame) -> dict[str, Ints]:
    """Of visits that had more than engagement."""
    acted = (pl.col("pageviews") + pl.col("events")) > 0
    numbers = ends.select(
        ended_visits=acted,
        bounces=acted & (pl.col("pageviews") <= 1) & (pl.col("events") == 0),
        duration_ms=pl.when(acted).then(pl.col("last") - pl.col("start")).otherwise(0),
    ).cast(pl.Int64)
    return {column.name: column.to_numpy() for column in numbers}


def _runs(events: pl.DataFrame, slices: _Slices, starts: Ints, page: Coded, depth: Ints, place: Ints) -> Runs:
    acts = _acts(events, starts)
    of_run = slices.of_event[starts]
    metrics = pack(**acts, scroll_sum=np.maximum(depth, 0), scroll_count=depth >= 0)
    visitor = events["visitor"].to_numpy()[starts]
    return Runs(starts, of_run, page, Facts(place[of_run], visitor, acts["pageviews"] > 0, metrics))


def _amounts(money: pl.DataFrame) -> Amounts:
    """Decimal texts as micros, exactly; an amount that is no number is nothing."""
    micros = pl.col("revenue_amount").cast(pl.Decimal(38, MICROS_SCALE), strict=False) * 10**MICROS_SCALE
    exact = money.select(micros.cast(pl.Int64, strict=False).fill_null(0)).to_series()
    return Amounts(code(money["revenue_currency"]), exact.to_numpy())
