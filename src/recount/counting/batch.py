"""What one fold is about, in columns: visits, ends of visits, runs of events on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount.counting import facts, grid, ruling, sketch
from recount.counting.coding import ABSENT, Coded, Flags, Ints, Numbers, changes, distinct
from recount.counting.grid import Grid
from recount.counting.grouping import Amounts, Facts, Metrics, pack
from recount.counting.matching import rules_of
from recount.counting.pieces import Pieces, Slices, pieces_of, slices_of, stays_of
from recount.counting.rows import Rows, Table, in_order
from recount.interpret import Interpreter
from recount.rules import Rules
from recount.store.catalog import Site

MICROS_SCALE: Final = 6
_DEPTH_BITS: Final = 7
_DEPTH_MAX: Final = 100


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of visits are visits within one bucket (`Stays`); people are those with a human verdict.

    visit_of: the row of visits of each event; human, verdict, site, visits: of the rows of visits; people,
    dimensions: of people; series: of the pieces of people, their places by the finer buckets; ended,
    exit_page: of the ends of people's visits. Events of human visits on pages that their site excludes are in
    `hidden` (None: there are none), and neither in `visits`, `people`, `series` and `runs` nor in what is
    taken from the events.
    """

    events: Rows
    sites: Mapping[str, Site]
    grid: Grid
    series_ms: int
    visit_of: Ints
    site: Coded
    verdict: Coded
    human: Flags
    visits: Facts
    people: Facts
    series: Facts
    dimensions: dict[str, Coded]
    runs: Runs
    ended: Facts
    exit_page: Coded
    hidden: Hidden | None

    @cached_property
    def person_of(self) -> Ints:
        """The row among people of each row of visits, ABSENT for bots."""
        return np.where(self.human, np.cumsum(self.human) - 1, ABSENT)

    @cached_property
    def earning(self) -> Ints:
        """The events of human visits that carry revenue."""
        carries = self.events.present("revenue_currency")
        return self._of_people(carries & ~self.events.having("kind", "engagement"))

    @cached_property
    def custom(self) -> Ints:
        """The custom events of human visits."""
        return self._of_people(self.events.having("kind", "event"))

    def amounts(self, rows: Ints) -> Amounts:
        """The revenue of events."""
        amount, currency = (self.events.text(f"revenue_{name}", rows) for name in ("amount", "currency"))
        return Amounts(distinct(currency), _micros(amount.compact()))

    def series_place(self, rows: Ints) -> Ints:
        """The places of events by the finer buckets."""
        at = self.events.number("ts")[rows]
        return self.grid.place(self.site.codes[self.visit_of[rows]], at - at % self.series_ms)

    def _of_people(self, chosen: Flags) -> Ints:
        rows = np.flatnonzero(chosen if self.hidden is None else chosen & ~self.hidden.events)
        return rows[self.human[self.visit_of[rows]]]


@dataclass(frozen=True)
class Runs:
    """Consecutive events of one slice and one url. start: first event; visit: their row of visits; page:
    ABSENT without url; facts: pageviews (whose visitors count), custom events, engagement, and on one run of
    each (visit, bucket, page) how deep it was scrolled."""

    start: Ints
    visit: Ints
    page: Coded
    facts: Facts

    def take(self, rows: Flags) -> Runs:
        return Runs(self.start[rows], self.visit[rows], self.page.at(rows), self.facts.take(rows))


@dataclass(frozen=True)
class Hidden:
    """Events of excluded pages: the runs of them, and which of all events they are."""

    runs: Runs
    events: Flags


def batch_of(
    events: Table,
    ends: Table,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    series_ms: int,
    bucket_ms: int,
) -> Batch:
    rows, ended = in_order({"ts": events, "start": ends})
    slices = slices_of(rows, grid.step_of(series_ms, bucket_ms))
    pieces = pieces_of(rows, ended, slices)
    places = grid.grid(pieces.site.values, pieces.at, series_ms, bucket_ms)
    starts = grid.bucket_starts(pieces.at, pieces.site, sites, bucket_ms)
    place = places.place(pieces.site.codes, starts)
    stays = stays_of(pieces, place)
    site = pieces.site.at(stays.first)
    said = {name: fact.at(stays.first) for name, fact in pieces.entry.items()}
    urls = facts.locate(pieces.url)
    entry, agents, rules = urls.of(said["entry_url"]), facts.agents(said, interpreter), rules_of(site, sites)
    if rules:
        excluding = facts.excluding(said, site, entry, sites, interpreter, rules)
        agents = agents.ruled(said["entry_network"], excluding, site, rules)
    human, hidden = agents.human, None
    visit_of = stays.of_piece[slices.of_event]
    acts, runs = _acts_and_runs(rows, slices, urls, visit_of, place[stays.first])
    counted = _pieces_counted(acts, ended, slices, pieces, place)
    if rules:
        runs, hidden = _parted(runs, site, human, rules, len(rows))
        counted = counted if hidden is None else _without(counted, hidden.runs, slices)
    visits, lived = stays.summed(counted), human[stays.of_piece]
    finer = places.place(pieces.site.codes, pieces.at - pieces.at % series_ms)
    over = np.flatnonzero(lived[slices.count :])
    people = agents.at(human)
    dimensions = facts.visit_dimensions(
        {name: fact.at(human) for name, fact in said.items()},
        site.at(human),
        entry.at(human),
        people,
        sites,
        interpreter,
        rules,
    )
    exit_page = urls.of(pieces.exit_url.at(over)).page_if_any()
    return Batch(
        events=rows,
        sites=sites,
        grid=places,
        series_ms=series_ms,
        visit_of=visit_of,
        site=site,
        verdict=agents.verdict,
        human=human,
        visits=visits,
        people=visits.take(human),
        series=counted.moved(finer).take(lived),
        dimensions=dimensions,
        runs=runs,
        ended=counted.take(slices.count + over),
        exit_page=ruling.without_hidden(ended.site.at(over), exit_page, rules),
        hidden=hidden,
    )


def _parted(
    runs: Runs, site: Coded, human: Flags, rules: Mapping[str, Rules], events: int
) -> tuple[Runs, Hidden | None]:
    """The runs on pages that are shown, and those of human visits on pages that are not."""
    out = ruling.hidden(site.at(runs.visit), runs.page, rules) & human[runs.visit]
    if not out.any():
        return runs, None
    of_event = np.repeat(out, np.diff(np.append(runs.start, events)))
    return runs.take(~out), Hidden(runs.take(out), of_event)


def _without(pieces: Facts, hidden: Runs, slices: Slices) -> Facts:
    """The pieces without what was done on hidden pages. The visits themselves stay."""
    numbers = dict(pieces.metrics.numbers)
    of_run = slices.of_event[hidden.start]
    for field in hidden.facts.metrics.fields:
        there = np.bincount(of_run, hidden.facts.metrics[field.name], minlength=len(pieces.place))
        numbers[field.name] = numbers[field.name] - there.astype(np.int64)
    return Facts(pieces.place, pieces.visitor, pieces.counts, pack(**numbers))


def _run_starts(url: Coded, slices: Slices) -> Ints:
    begins = changes(url.codes)
    begins[slices.start] = True
    return np.flatnonzero(begins)


def _acts_and_runs(
    events: Rows, slices: Slices, urls: facts.Urls, visit_of: Ints, place: Ints
) -> tuple[Metrics, Runs]:
    """What is done in each event, and the runs of events. `place`: of each row of visits."""
    starts = _run_starts(urls.url, slices)
    page, visit = urls.at(starts).page_if_any(), visit_of[starts]
    acts = _acts(events, _depth(events, starts, page, visit))
    metrics = acts.added(starts).without("visits")
    visitor = events.number("visitor")[starts]
    return acts, Runs(starts, visit, page, Facts(place[visit], visitor, metrics["pageviews"] > 0, metrics))


def _depth(events: Rows, runs: Ints, page: Coded, visit: Ints) -> Ints:
    """How deep each visit scrolled a page in a bucket, in percent, at the first event of its deepest run
    there; ABSENT at every other event. page, visit: of each run."""
    kept = np.full(len(events), ABSENT)
    if not len(runs):
        return kept
    is_engagement, percent = events.having("kind", "engagement"), events.number("scroll_percent", ABSENT)
    depth = np.maximum.reduceat(np.where(is_engagement, percent, ABSENT), runs).clip(ABSENT, _DEPTH_MAX)
    rows = np.flatnonzero((depth >= 0) & (page.codes >= 0))
    keys = visit[rows] * page.size + page.codes[rows]
    deeper = (keys << _DEPTH_BITS) | depth[rows]
    order = sketch.stable_order(deeper, int(deeper.max(initial=0)) + 1)  # of equally deep runs the last
    deepest = rows[order[np.append(changes(keys[order])[1:], len(keys) > 0)[: len(keys)]]]
    kept[runs[deepest]] = depth[deepest]
    return kept


def _acts(events: Rows, depth: Ints) -> Metrics:
    engaged, custom = (events.having("kind", kind) for kind in ("engagement", "event"))
    is_first = (events.number("pageviews_before") == 0) & (events.number("events_before") == 0)
    return pack(
        visits=is_first & ~engaged,
        pageviews=events.having("kind", "pageview"),
        events=custom,
        engaged_ms=np.where(engaged, events.number("engaged_ms"), 0),
        scroll_sum=np.maximum(depth, 0),
        scroll_count=depth >= 0,
        accepted=np.ones(len(events), dtype=np.bool_),
    )


def _pieces_counted(acts: Metrics, ends: Rows, slices: Slices, pieces: Pieces, place: Ints) -> Facts:
    of_slices, of_ends = acts.added(slices.start).numbers, _end_numbers(ends)
    before, after = np.zeros(slices.count, dtype=np.int64), np.zeros(len(ends), dtype=np.int64)
    metrics = pack(
        **{name: np.concatenate([numbers, after]) for name, numbers in of_slices.items()},
        **{name: np.concatenate([before, numbers]) for name, numbers in of_ends.items()},
    )
    acted = np.concatenate([(of_slices["pageviews"] + of_slices["events"]) > 0, after > 0])
    return Facts(place, pieces.visitor, acted, metrics)


def _end_numbers(ends: Rows) -> dict[str, Numbers]:
    """Of visits that had more than engagement."""
    pageviews, events = ends.number("pageviews"), ends.number("events")
    acted = (pageviews > 0) | (events > 0)
    return {
        "ended_visits": acted,
        "bounces": acted & (pageviews <= 1) & (events == 0),
        "duration_ms": np.where(acted, ends.number("last") - ends.number("start"), 0),
    }


def _micros(amounts: Coded) -> Ints:
    """Decimal texts as micros, exactly; an amount that is no number is nothing."""
    micros = pl.col("amount").cast(pl.Decimal(38, MICROS_SCALE), strict=False) * 10**MICROS_SCALE
    exact = amounts.values.alias("amount").to_frame().select(micros.cast(pl.Int64, strict=False).fill_null(0))
    return exact.to_series().to_numpy()[amounts.codes]
