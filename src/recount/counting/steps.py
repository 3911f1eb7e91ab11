"""The steps of the fold, one per kind of dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from recount.counting.batch import Batch
from recount.counting.coding import Coded, Ints, code, distinct, expanded, named, pairs, whole
from recount.counting.grouping import Facts, pack
from recount.counting.matching import goals_by_site
from recount.counting.rollup import PROP_PREFIX, SERIES, TOTAL, VERDICT
from recount.counting.ruling import EXCLUDED_PAGE
from recount.counting.tally import Tally
from recount.interpret import goals, properties

LINKS: Final = ("outbound", "download")
"""Custom events of these names are links: their property `url` is the value of the dimension of that name."""

LINK_PROP: Final = "url"


def visits(batch: Batch, tally: Tally) -> None:
    """Totals, their series, verdicts and everything that is true of a visit as a whole."""
    people = batch.people
    tally.count(people, TOTAL, whole(len(people.place)))
    tally.count(batch.series, SERIES, whole(len(batch.series.place)))
    tally.count(batch.visits, VERDICT, batch.verdict)
    if batch.hidden is not None:
        left_out = batch.hidden.runs.facts
        tally.count(left_out, VERDICT, named(EXCLUDED_PAGE, len(left_out.place)))
    for name, value in batch.dimensions.items():
        tally.count(people, name, value)
    if len(batch.earning):
        _earned_by_visits(batch, tally)


def _earned_by_visits(batch: Batch, tally: Tally) -> None:
    money, at = batch.amounts(batch.earning), batch.person_of[batch.visit_of[batch.earning]]
    place = batch.people.place[at]
    tally.earn(money, place, TOTAL, whole(len(at)))
    tally.earn(money, batch.series_place(batch.earning), SERIES, whole(len(at)))
    for name, value in batch.dimensions.items():
        tally.earn(money, place, name, value.at(at))


def exits(batch: Batch, tally: Tally) -> None:
    """Exit pages: visits ended, by the last page they viewed."""
    numbers = {name: batch.ended.metrics[name] for name in ("ended_visits", "bounces", "duration_ms")}
    metrics = pack(**numbers, exits=numbers["ended_visits"])
    everyone = np.ones(len(batch.ended.place), dtype=np.bool_)
    ended = Facts(batch.ended.place, batch.ended.visitor, everyone, metrics)
    tally.count(ended, "exit_page", batch.exit_page)


def pages_seen(batch: Batch, tally: Tally) -> None:
    """Pages: their visitors are those who viewed them; engagement and custom events count where they were."""
    human = batch.human[batch.runs.visit]
    tally.count(batch.runs.facts.take(human), "page", batch.runs.page.at(human))


def custom_events(batch: Batch, tally: Tally) -> None:
    """Custom events by name, by property, and links by their address."""
    rows = batch.custom
    if not len(rows):
        return
    named = distinct(batch.events.text("name", rows))
    name = named.shown_as(named.values)
    _by_value(batch, tally, rows, "event", name)
    held, key, value = _properties(batch.events.text("props", rows))
    is_url = (key.values == PROP_PREFIX + LINK_PROP).to_numpy()[key.codes]
    is_link = name.values.is_in(LINKS).to_numpy()[name.codes[held]] & is_url
    for link in LINKS:
        of_link = is_link & (name.values == link).to_numpy()[name.codes[held]]
        _by_value(batch, tally, rows[held[of_link]], link, value.at(of_link))
    plain = ~is_link
    _by_value(batch, tally, rows[held[plain]], key.at(plain), value.at(plain))


def _by_value(batch: Batch, tally: Tally, rows: Ints, dimension: str | Coded, value: Coded) -> None:
    """Counts custom events (rows of the events) and their revenue by a value of each."""
    facts = _of_custom(batch, rows)
    tally.count(facts, dimension, value)
    earning = np.flatnonzero(np.isin(rows, batch.earning))
    if len(earning):
        name = dimension if isinstance(dimension, str) else dimension.at(earning)
        tally.earn(batch.amounts(rows[earning]), facts.place[earning], name, value.at(earning))


def _of_custom(batch: Batch, rows: Ints) -> Facts:
    one = np.ones(len(rows), dtype=np.int64)
    visitor = batch.events.number("visitor")[rows]
    return Facts(batch.visits.place[batch.visit_of[rows]], visitor, one > 0, pack(events=one, accepted=one))


def _properties(props: Coded) -> tuple[Ints, Coded, Coded]:
    """(row, dimension, value) of each property of each row."""
    objects = distinct(props)
    table = properties.interpret(objects.values)
    place = pl.DataFrame({"props": objects.values}).with_row_index("place").drop_nulls()
    of_entry = table.join(place, on="props", how="left", maintain_order="left")["place"].to_numpy()
    held, entry = expanded(objects.codes, np.bincount(of_entry, minlength=objects.size))
    key, value = code(table["key"]), code(table["value"])
    key = key.shown_as(key.values)
    named = Coded(key.codes, (PROP_PREFIX + key.values).alias("dimension"))
    return held, named.at(entry), value.shown_as(value.values).at(entry)


def goals_reached(batch: Batch, tally: Tally) -> None:
    """Goals by the rules of each site: a conversion is a custom event of that name or a view of such a
    page."""
    rules = goals_by_site(batch.site.values, batch.sites)
    if not rules:
        return
    custom, of_custom = _event_goals(batch, rules)
    viewed, of_viewed = _page_goals(batch, rules)
    reached = code(pl.concat([of_custom, of_viewed]))
    goal = reached.shown_as(reached.values)
    facts = _conversions(_of_custom(batch, custom), batch.runs.facts.take(viewed))
    order = np.argsort(np.concatenate([custom, batch.runs.start[viewed]]), kind="stable")
    tally.count(facts.take(order), "goal", goal.at(order))
    earning = np.flatnonzero(np.isin(custom, batch.earning))
    if len(earning):
        tally.earn(batch.amounts(custom[earning]), facts.place[earning], "goal", goal.at(earning))


def _event_goals(batch: Batch, rules: goals.Rules) -> tuple[Ints, pl.Series]:
    """(event, goal) for each custom event and goal that it reaches."""
    rows = batch.custom
    name, site = distinct(batch.events.text("name", rows)), batch.site.at(batch.visit_of[rows])
    return _reached(rows, site, name, "event", lambda asked: goals.match_events(asked, rules))


def _page_goals(batch: Batch, rules: goals.Rules) -> tuple[Ints, pl.Series]:
    """(run, goal) for each run with pageviews and goal that it reaches."""
    concerned = [any(goal.page for goal in rules.get(site, ())) for site in batch.site.values]
    in_question = batch.human & np.array(concerned)[batch.site.codes]
    runs = batch.runs
    rows = np.flatnonzero(runs.facts.counts & in_question[runs.visit] & (runs.page.codes >= 0))
    site, page = batch.site.at(runs.visit[rows]), runs.page.at(rows)
    return _reached(rows, site, page, "page", lambda asked: goals.match_pages(asked, rules))


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
    held, entry = expanded(places, np.bincount(goals_of["place"].to_numpy(), minlength=len(distinct)))
    return rows[held], goals_of["goal"].gather(entry)


def _conversions(custom: Facts, viewed: Facts) -> Facts:
    """Conversions of either kind in one."""
    one, none = np.ones(len(custom.place), dtype=np.int64), np.zeros(len(viewed.place), dtype=np.int64)
    views = viewed.metrics["pageviews"]
    metrics = pack(
        pageviews=np.concatenate([one - one, views]),
        events=np.concatenate([one, none]),
        accepted=np.concatenate([one, views]),
    )
    place = np.concatenate([custom.place, viewed.place])
    visitor = np.concatenate([custom.visitor, viewed.visitor])
    return Facts(place, visitor, np.ones(len(place), dtype=np.bool_), metrics)
