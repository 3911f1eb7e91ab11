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
    schema = dict.fromkeys(("site", "pattern", "goal"), pl.String())
    asked = pages.join(
        pl.DataFrame(open_ended, schema=schema, orient="row"), on="site", maintain_order="left"
    )
    asked = asked.with_columns(pl.col("pattern").str.strip_suffix(WILDCARD).alias("start"))
    plain = pl.col("start").str.contains(WILDCARD, literal=True).not_()  # most patterns: "/docs/*"
    found = [
        _exact(pages, "page", fixed),
        asked.filter(plain & pl.col("page").str.starts_with(pl.col("start"))),
    ]
    for (pattern,), of_pattern in asked.filter(~plain).partition_by("pattern", as_dict=True).items():
        found.append(of_pattern.filter(pl.col("page").str.contains(_regex(pattern))))
    return pl.concat(part.select("site", "page", "goal") for part in found).unique(maintain_order=True)


def _each(rules: Rules) -> Iterator[tuple[str, GoalRule]]:
    return ((site, rule) for site, of_site in rules.items() for rule in of_site)


def _exact(facts: pl.DataFrame, column: str, wanted: Iterator[tuple[str, str | None, str]]) -> pl.DataFrame:
    schema = dict.fromkeys(("site", column, "goal"), pl.String())
    table = pl.DataFrame(list(wanted), schema=schema, orient="row").unique(maintain_order=True)
    return facts.join(table, on=["site", column], maintain_order="left_right")


def _regex(pattern: str) -> str:
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in pattern.split(WILDCARD)) + "$"
