"""Pages and event names -> the goals they reach, by the rules of each site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl

from recount.interpret import patterns


class GoalRule(Protocol):
    """A goal is reached by an event of the name `event`, or by a pageview whose page matches `page`.

    In `page`, `*` stands for any text, also none; without it the page must be the same.
    """

    @property
    def name(self) -> str: ...
    @property
    def event(self) -> str | None: ...
    @property
    def page(self) -> str | None: ...


Rules = Mapping[str, Sequence[GoalRule]]
"""The goals of each site, by its id."""


def match_events(events: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """[site, event, goal] for each distinct (site, event) and goal it reaches; none, no row."""
    named = ((site, rule.event, rule.name) for site, rule in _each(rules) if rule.event)
    facts = events.select("site", pl.col("event").alias("value")).unique(maintain_order=True)
    return patterns.exact(facts, named).rename({"value": "event", "name": "goal"})


def match_pages(pages: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """[site, page, goal] for each distinct (site, page) and goal it reaches; none, no row."""
    wanted = ((site, rule.page, rule.name) for site, rule in _each(rules) if rule.page)
    facts = pages.select("site", pl.col("page").alias("value"))
    return patterns.match(facts, wanted).rename({"value": "page", "name": "goal"})


def _each(rules: Rules) -> Iterator[tuple[str, GoalRule]]:
    return ((site, rule) for site, of_site in rules.items() for rule in of_site)
