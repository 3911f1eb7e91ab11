"""The steps of the fold, one per kind of dimension, over a batch in columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recount import grouping
from recount.coding import ABSENT, Coded, Ints, code, pairs
from recount.grouping import Amounts, Facts, Flags, Grid, Part
from recount.interpret import bots, goals, pages, properties
from recount.rollup import PROP_PREFIX, SERIES, TOTAL, VERDICT
from recount.store.catalog import Site

LINKS: Final = ("outbound", "download")
"""Custom events of these names are links: their property `url` is the value of the dimension of that name."""

LINK_PROP: Final = "url"
MICROS_SCALE: Final = 6
_SCROLL_BITS: Final = 7


@dataclass(frozen=True)
class PageRuns:
    """Runs of events of one visit, one step of time and one page.

    starts: first event; slice: the slice of a visit they lie in; page: its code (ABSENT: no url); scroll: the
    deepest percent of the visit on the page in this step, on one run of each; ABSENT elsewhere.
    """

    starts: Ints
    slice: Ints
    page: Coded
    scroll: Ints

    def scroll_of_slices(self, slices: int) -> dict[str, Ints]:
        has = self.scroll >= 0
        at, depth = self.slice[has], self.scroll[has]
        return {
            "scroll_sum": np.bincount(at, weights=depth, minlength=slices).astype(np.int64),
            "scroll_count": np.bincount(at, minlength=slices),
        }


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a fold is about, with everything that several of its steps need.

    `visits` has a row for each slice (a visit within one step of time), then one for each visit end; `site`,
    `dimensions` and `series` (places by the finer buckets) go with those rows. slice_of: the slice of each
    event.
    """

    events: pl.DataFrame
    ends: pl.DataFrame
    sites: Mapping[str, Site]
    grid: Grid
    site: Coded
    slice_of: Ints
    seen: PageRuns
    dimensions: dict[str, Coded]
    visits: Facts
    series: Ints

    @cached_property
    def human(self) -> Flags:
        """Of the rows of `visits`."""
        verdict = self.dimensions[VERDICT]
        return (verdict.values == bots.HUMAN).to_numpy()[verdict.codes]

    @cached_property
    def earning(self) -> Ints:
        """The events of human visits that carry revenue."""
        rows = np.flatnonzero((self.events["revenue_currency"].is_not_null() & self._acts).to_numpy())
        return rows[self.human[self.slice_of[rows]]]

    @cached_property
    def custom(self) -> Ints:
        """The custom events of human visits."""
        rows = np.flatnonzero((self.events["kind"] == "event").to_numpy())
        return rows[self.human[self.slice_of[rows]]]

    @property
    def _acts(self) -> pl.Series:
        return self.events["kind"] != "engagement"

    def amounts(self, rows: Ints) -> Amounts:
        return amounts(self.events.select(pl.col("revenue_amount", "revenue_currency").gather(rows)))


@dataclass(frozen=True)
class Counted:
    """Parts of the rows and of the revenue of a rollup."""

    rows: list[Part]
    revenue: list[Part]

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.rows + other.rows, self.revenue + other.revenue)


def engaged_ms() -> pl.Expr:
    """The time of engagement events, 0 for others."""
    is_engagement = pl.col("kind") == "engagement"
    return pl.when(is_engagement).then(pl.col("engaged_ms")).fill_null(0).alias("engaged_ms")


def sums(column: pl.Series, starts: Ints) -> Ints:
    """Sums of consecutive rows."""
    return np.add.reduceat(column.to_numpy(), starts) if len(starts) else np.empty(0, dtype=np.int64)


def amounts(money: pl.DataFrame) -> Amounts:
    """Decimal texts as micros, exactly; an amount that is no number is nothing."""
    micros = pl.col("revenue_amount").cast(pl.Decimal(38, MICROS_SCALE), strict=False) * 10**MICROS_SCALE
    exact = money.select(micros.cast(pl.Int64, strict=False).fill_null(0)).to_series()
    return Amounts(code(money["revenue_currency"]), exact.to_numpy())


def page_runs(events: pl.DataFrame, slice_of: Ints) -> PageRuns:
    url = code(events["url"])
    located = pages.locate(pl.DataFrame({"url": url.values}))
    page = url.shown_as(located.select(pl.when(pl.col("url").is_not_null()).then("page")).to_series())
    if events.is_empty():
        return PageRuns(slice_of, slice_of, page, slice_of)
    new = (slice_of[1:] != slice_of[:-1]) | (page.codes[1:] != page.codes[:-1])
    starts = np.flatnonzero(np.append(True, new))
    depth = (
        pl.when(pl.col("kind") == "engagement")
        .then(pl.col("scroll_percent"))
        .fill_null(ABSENT)
        .clip(ABSENT, 100)
    )
    scroll = np.maximum.reduceat(events.select(depth.cast(pl.Int64)).to_series().to_numpy(), starts)
    runs = PageRuns(starts, slice_of[starts], page.at(starts), scroll)
    return PageRuns(runs.starts, runs.slice, runs.page, _deepest(runs))


def _deepest(runs: PageRuns) -> Ints:
    """The scroll of the runs, kept on the deepest run of each slice and page."""
    rows = np.flatnonzero((runs.scroll >= 0) & (runs.page.codes >= 0))
    keys = runs.slice[rows] * runs.page.size + runs.page.codes[rows]
    order = np.argsort((keys << _SCROLL_BITS) | runs.scroll[rows])
    keys = keys[order]
    deepest = rows[order[np.append(keys[1:] != keys[:-1], True)]] if len(rows) else rows
    kept = np.full(len(runs.scroll), ABSENT, dtype=np.int64)
    kept[deepest] = runs.scroll[deepest]
    return kept


def visits(batch: Batch) -> Counted:
    """Totals, their series, verdicts and everything that is true of a visit as a whole."""
    facts, grid = batch.visits, batch.grid
    human = np.flatnonzero(batch.human)
    people, series = facts.take(human), facts.moved(batch.series).take(human)
    rows = [
        grouping.count(people, grouping.whole(people), TOTAL, grid),
        grouping.count(series, grouping.whole(series), SERIES, grid),
        grouping.count(facts, batch.dimensions[VERDICT], VERDICT, grid),
    ]
    shown = {name: value for name, value in batch.dimensions.items() if name != VERDICT}
    rows += [grouping.count(people, value.at(human), name, grid) for name, value in shown.items()]
    if not len(batch.earning):
        return Counted(rows, [])
    money, at = batch.amounts(batch.earning), batch.slice_of[batch.earning]
    whole = Coded(np.zeros(len(at), dtype=np.int64), pl.Series([""]))
    revenue = [
        grouping.earn(money, facts.place[at], whole, TOTAL, grid),
        grouping.earn(money, batch.series[at], whole, SERIES, grid),
        *(grouping.earn(money, facts.place[at], value.at(at), name, grid) for name, value in shown.items()),
    ]
    return Counted(rows, revenue)


def exits(batch: Batch) -> Counted:
    """Exit pages: visits ended, by the last page they viewed."""
    slices = len(batch.human) - batch.ends.height
    rows = np.flatnonzero(batch.human[slices:])
    url = code(batch.ends["exit_url"].gather(rows))
    located = pages.locate(pl.DataFrame({"url": url.values}))
    page = url.shown_as(located.select(pl.when(pl.col("url").is_not_null()).then("page")).to_series())
    ended = batch.visits.take(slices + rows)
    taken = [ended.names.index(name) for name in ("ended_visits", "bounces", "duration_ms", "ended_visits")]
    names = ("ended_visits", "bounces", "duration_ms", "exits")
    everyone = np.ones(len(rows), dtype=np.bool_)
    facts = Facts(ended.place, ended.visitor, everyone, names, ended.metrics[:, taken])
    return Counted([grouping.count(facts, page, "exit_page", batch.grid)], [])


def pages_seen(batch: Batch) -> Counted:
    """Pages: their visitors are those who viewed them; engagement and custom events count where they
    happened."""
    facts = _of_runs(batch)
    rows = np.flatnonzero(batch.human[batch.seen.slice])
    return Counted([grouping.count(facts.take(rows), batch.seen.page.at(rows), "page", batch.grid)], [])


def _of_runs(batch: Batch) -> Facts:
    seen, events = batch.seen, batch.events
    numbers = events.select(
        pageviews=pl.col("kind") == "pageview", events=pl.col("kind") == "event", engaged_ms=engaged_ms()
    ).cast(pl.Int64)
    has = seen.scroll >= 0
    names, metrics = grouping.columns(
        **{column.name: sums(column, seen.starts) for column in numbers},
        scroll_sum=np.where(has, seen.scroll, 0),
        scroll_count=has,
        accepted=np.diff(np.append(seen.starts, events.height)),
    )
    visitor = events["visitor"].to_numpy()[seen.starts]
    return Facts(batch.visits.place[seen.slice], visitor, metrics[:, 0] > 0, names, metrics)


def _of_custom(batch: Batch, rows: Ints) -> Facts:
    one = np.ones(len(rows), dtype=np.int64)
    names, metrics = grouping.columns(events=one, accepted=one)
    visitor = batch.events["visitor"].to_numpy()[rows]
    return Facts(batch.visits.place[batch.slice_of[rows]], visitor, one > 0, names, metrics)


def custom_events(batch: Batch) -> Counted:
    """Custom events by name, by property, and links by their address."""
    rows = batch.custom
    if not len(rows):
        return Counted([], [])
    named = code(batch.events["name"].gather(rows))
    name = named.shown_as(named.values)
    counted = _by_value(batch, rows, name, "event")
    held, key, value = _properties(batch.events["props"].gather(rows))
    is_link = np.isin(name.codes, [n for n, text in enumerate(name.values) if text in LINKS])[held]
    is_link &= (key.values == LINK_PROP).to_numpy()[key.codes]
    for link in LINKS:
        chosen = is_link & (name.values == link).to_numpy()[name.codes[held]]
        counted += _by_value(batch, rows[held[chosen]], value.at(chosen), link)
    for number, text in enumerate(key.values):
        chosen = ~is_link & (key.codes == number)
        counted += _by_value(batch, rows[held[chosen]], value.at(chosen), PROP_PREFIX + text)
    return counted


def _by_value(batch: Batch, rows: Ints, value: Coded, dimension: str) -> Counted:
    """Custom events (rows of the events) and their revenue by a value each."""
    facts = _of_custom(batch, rows)
    earning = np.flatnonzero(np.isin(rows, batch.earning))
    counted = [grouping.count(facts, value, dimension, batch.grid)]
    if not len(earning):
        return Counted(counted, [])
    money = batch.amounts(rows[earning])
    return Counted(
        counted, [grouping.earn(money, facts.place[earning], value.at(earning), dimension, batch.grid)]
    )


def _properties(props: pl.Series) -> tuple[Ints, Coded, Coded]:
    """One entry per property of each row: (row, key, value)."""
    objects = code(props)
    table = properties.interpret(objects.values)
    place = pl.DataFrame({"props": objects.values}).with_row_index("place").drop_nulls()
    of_entry = table.join(place, on="props", how="left", maintain_order="left")["place"].to_numpy()
    counts = np.bincount(of_entry, minlength=objects.size)
    held, entry = expanded(objects.codes, counts)
    key, value = code(table["key"]), code(table["value"])
    return held, key.shown_as(key.values).at(entry), value.shown_as(value.values).at(entry)


def expanded(places: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """(row, entry): each row once for each of the counts[place] entries of its place, where entries lie by
    place."""
    times = counts[places]
    held = np.repeat(np.arange(len(places)), times)
    first = np.cumsum(counts) - counts
    within = np.arange(len(held)) - np.repeat(np.cumsum(times) - times, times)
    return held, first[places[held]] + within


def goals_reached(batch: Batch) -> Counted:
    """Goals by the rules of each site: a conversion is a custom event of that name or a view of such a
    page."""
    rules = {name: site.goals for name, site in batch.sites.items() if site.goals}
    if not rules:
        return Counted([], [])
    custom, of_custom = _event_goals(batch, rules)
    viewed, of_viewed = _page_goals(batch, rules)
    if not len(custom) + len(viewed):
        return Counted([], [])
    goal = code(pl.concat([of_custom, of_viewed]))
    facts = _both(_of_custom(batch, custom), _of_runs(batch).take(viewed))
    first = np.concatenate([custom, batch.seen.starts[viewed]])
    order = np.argsort(first, kind="stable")
    counted = [grouping.count(facts.take(order), goal.shown_as(goal.values).at(order), "goal", batch.grid)]
    earning = np.flatnonzero(np.isin(custom, batch.earning))
    if not len(earning):
        return Counted(counted, [])
    money, value = batch.amounts(custom[earning]), goal.shown_as(goal.values).at(earning)
    return Counted(counted, [grouping.earn(money, facts.place[earning], value, "goal", batch.grid)])


def _event_goals(batch: Batch, rules: goals.Rules) -> tuple[Ints, pl.Series]:
    """(event, goal) for each custom event and goal that it reaches."""
    rows = batch.custom
    name = code(batch.events["name"].gather(rows))
    found = goals.match_events
    return _reached(
        rows, batch.site.at(batch.slice_of[rows]), name, "event", lambda asked: found(asked, rules)
    )


def _page_goals(batch: Batch, rules: goals.Rules) -> tuple[Ints, pl.Series]:
    """(page run, goal) for each run with pageviews and goal that it reaches."""
    concerned = {site for site, of_site in rules.items() if any(goal.page for goal in of_site)}
    has_rules = batch.site.values.is_in(concerned).to_numpy()[batch.site.codes]
    seen = batch.seen
    views = sums((batch.events["kind"] == "pageview").cast(pl.Int64), seen.starts) > 0
    rows = np.flatnonzero(views & (batch.human & has_rules)[seen.slice] & (seen.page.codes >= 0))
    found = goals.match_pages
    return _reached(
        rows, batch.site.at(seen.slice[rows]), seen.page.at(rows), "page", lambda asked: found(asked, rules)
    )


def _reached(
    rows: Ints, site: Coded, fact: Coded, name: str, match: Callable[[pl.DataFrame], pl.DataFrame]
) -> tuple[Ints, pl.Series]:
    """Each row with each goal of its (site, fact), which is looked up once."""
    distinct, places = pairs(site.codes, fact.codes, fact.size)
    asked = pl.DataFrame(
        {
            "site": site.values.gather(distinct // fact.size),
            name: fact.values.gather(distinct % fact.size),
            "place": np.arange(len(distinct)),
        }
    )
    goals_of = asked.join(match(asked.select("site", name)), on=["site", name]).sort("place", "goal")
    counts = np.bincount(goals_of["place"].to_numpy(), minlength=len(distinct))
    held, entry = expanded(places, counts)
    return rows[held], goals_of["goal"].gather(entry)


def _both(custom: Facts, viewed: Facts) -> Facts:
    """Conversions of either kind in one."""
    names = ("pageviews", "events", "accepted")
    metrics = np.zeros((len(custom.place) + len(viewed.place), len(names)), dtype=np.int64)
    metrics[: len(custom.place), 1:] = 1
    metrics[len(custom.place) :, 0] = viewed.metrics[:, viewed.names.index("pageviews")]
    metrics[len(custom.place) :, 2] = metrics[len(custom.place) :, 0]
    place = np.concatenate((custom.place, viewed.place))
    visitor = np.concatenate((custom.visitor, viewed.visitor))
    return Facts(place, visitor, np.ones(len(metrics), dtype=np.bool_), names, metrics)
