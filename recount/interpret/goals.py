"""Pages and event names -> the goals they reach, by the rules of each site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import polars as pl

WILDCARD: Final = "*"


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
    return _exact(events.select("site", "event"), "event", named).unique(maintain_order=True)


def match_pages(pages: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """[site, page, goal] for each distinct (site, page) and goal it reaches; none, no row."""
    pages = pages.select("site", "page").unique(maintain_order=True)
    fixed = ((s, r.page, r.name) for s, r in _each(rules) if r.page and WILDCARD not in r.page)
    open_ended = [(s, r.page, r.name) for s, r in _each(rules) if r.page and WILDCARD in r.page]
    found = [_exact(pages, "page", fixed)]
    with_patterns = pages.filter(pl.col("site").is_in({site for site, _, _ in open_ended}))
    by_site = with_patterns.partition_by("site", as_dict=True)
    for site, pattern, goal in open_ended:
        own = by_site.get((site,))
        if own is not None:
            hits = own.filter(pl.col("page").str.contains(_regex(pattern)))
            found.append(hits.with_columns(pl.lit(goal).alias("goal")))
    return pl.concat(found).unique(maintain_order=True)


def _each(rules: Rules) -> Iterator[tuple[str, GoalRule]]:
    return ((site, rule) for site, of_site in rules.items() for rule in of_site)


def _exact(facts: pl.DataFrame, column: str, wanted: Iterator[tuple[str, str | None, str]]) -> pl.DataFrame:
    schema = dict.fromkeys(("site", column, "goal"), pl.String())
    table = pl.DataFrame(list(wanted), schema=schema, orient="row").unique(maintain_order=True)
    return facts.join(table, on=["site", column], maintain_order="left_right")


def _regex(pattern: str) -> str:
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in pattern.split(WILDCARD)) + "$"
