"""What rows of the archive have as the value of a dimension, by the same interpretation as the fold's.

Everything is looked up once for each distinct combination of the facts that a dimension depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from recount.counting import facts
from recount.counting.coding import Coded, code, named
from recount.counting.matching import goals_by_site, rules_of
from recount.counting.rollup import PROP_PREFIX, VERDICT
from recount.counting.ruling import without_hidden
from recount.counting.steps import LINK_PROP, LINKS
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter, bots, goals, properties, sources
from recount.store.catalog import NO_COMMON, Site

VALUE: Final = "value"
EXIT_PAGE: Final = "exit_page"
PAGE: Final = "page"
GOAL: Final = "goal"

_OF_UA: Final = ("device", "browser", "browser_version", "os", "os_version")
_OF_VISITS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("entry_page", "hostname"), ("entry_url",)),
    **dict.fromkeys(sources.DIMENSIONS, ("entry_url", "entry_referrer")),
    **dict.fromkeys(_OF_UA, ("entry_ua",)),
    **{name: (f"entry_{name}",) for name in ("country", "region")},
    "language": ("entry_lang",),
    "screen": ("entry_screen",),
    VERDICT: ("entry_ua", "entry_network"),
}
_OF_EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    PAGE: ("url",),
    "event": ("kind", "name"),
    **dict.fromkeys(LINKS, ("kind", "name", "props")),
    GOAL: ("kind", "name", "url"),
}

_RULED_VERDICT: Final = (*_OF_VISITS[VERDICT], "entry_country", "entry_url", "entry_referrer")


def is_ruled(*sites: Site) -> bool:
    """Whether a site, or what holds on all, has or had rules about bots, exclusions or sources."""
    return any(site.exclusions or site.bots or site.sources or site.timeline for site in sites)


def facts_of(dimension: str, *, ruled: bool = False) -> tuple[str, ...]:
    """The columns that a dimension depends on: of events, of visit ends, or (`entry_...`) of both. `ruled`:
    where there are rules."""
    if dimension == VERDICT and ruled:
        return _RULED_VERDICT
    if dimension == EXIT_PAGE:
        return ("exit_url",)
    if dimension.startswith(PROP_PREFIX):
        return ("kind", "name", "props")
    return _OF_VISITS.get(dimension) or _OF_EVENTS[dimension]


def is_of_visits(dimension: str) -> bool:
    """Whether a dimension is true of a visit as a whole: of all its events, and of its end."""
    return dimension in _OF_VISITS


class Lookup:
    """Values of dimensions for rows of one site, given what holds on all. Safe to share between threads."""

    def __init__(self, site: Site, interpreter: Interpreter, common: Site = NO_COMMON) -> None:
        self._site = site
        self._sites = {site.id: site, common.id: common}
        self._interpreter = interpreter
        self._ruled = is_ruled(site, common)
        self._rules = rules_of(_no_rows(site), self._sites)

    def values(self, rows: pl.DataFrame, dimension: str) -> pl.DataFrame:
        """[*facts_of(dimension), value] for each distinct facts of `rows` that have a value.

        Several rows where they have several values (goals); `value` is never null.
        """
        found = rows.select(self.facts_of(dimension)).unique()
        if is_of_visits(dimension):
            return self._of_visits(found, dimension)
        if dimension in (PAGE, EXIT_PAGE):
            return self._pages(found)
        if dimension == GOAL:
            return self._goals(found)
        custom = found.filter(pl.col("kind") == "event")
        if dimension == "event":
            return custom.filter(pl.col("name").is_not_null()).with_columns(pl.col("name").alias(VALUE))
        return _properties(custom, dimension)

    def facts_of(self, dimension: str) -> tuple[str, ...]:
        return facts_of(dimension, ruled=self._ruled)

    def shown(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Without the events of pages that the site excludes."""
        exclusions = (exclusion for site in self._sites.values() for exclusion in site.exclusions)
        if not any(exclusion.kind == PAGE for exclusion in exclusions):
            return rows
        hidden = rows.select("url").unique().drop_nulls().join(self.values(rows, PAGE), on="url", how="anti")
        return rows.join(hidden, on="url", how="anti", maintain_order="left")

    def _of_visits(self, found: pl.DataFrame, dimension: str) -> pl.DataFrame:
        nothing = [pl.lit(None, kind).alias(n) for n, kind in ENTRY_SCHEMA.items() if n not in found.columns]
        said = facts.said(found.with_columns(nothing))
        site = named(self._site.id, found.height)
        entry = facts.locate(said["entry_url"])
        agents, sites = facts.agents(said, self._interpreter), self._sites
        if dimension == VERDICT:
            if self._rules:
                excluding = facts.excluding(said, site, entry, sites, self._interpreter, self._rules)
                agents = agents.ruled(said["entry_network"], excluding, site, self._rules)
            coded = agents.verdict
        else:
            coded = facts.visit_dimensions(said, site, entry, agents, sites, self._interpreter, self._rules)[
                dimension
            ]
        return _having_value(found, coded)

    def _pages(self, found: pl.DataFrame) -> pl.DataFrame:
        """Of a frame with one column, a url."""
        page = facts.locate(code(found.to_series())).page_if_any()
        site = named(self._site.id, found.height)
        return _having_value(found, without_hidden(site, page, self._rules))

    def _goals(self, found: pl.DataFrame) -> pl.DataFrame:
        rules = goals_by_site([self._site.id], self._sites)
        kind = pl.col("kind")
        site = pl.lit(self._site.id).alias("site")
        custom = found.filter((kind == "event") & pl.col("name").is_not_null())
        by_name = goals.match_events(custom.select(site, pl.col("name").alias("event")), rules)
        viewed = found.filter((kind == "pageview") & pl.col("url").is_not_null())
        pages = self._pages(viewed.select("url").unique())
        by_page = goals.match_pages(pages.select(site, pl.col(VALUE).alias("page")), rules)
        reached = pages.join(by_page, left_on=VALUE, right_on="page").select(
            "url", pl.col("goal").alias(VALUE)
        )
        return pl.concat(
            [
                custom.join(by_name.select("event", "goal"), left_on="name", right_on="event").select(
                    *found.columns, pl.col("goal").alias(VALUE)
                ),
                viewed.join(reached, on="url").select(*found.columns, VALUE),
            ]
        )


def is_human(lookup: Lookup, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of visits whose verdict is human."""
    return having(rows, lookup.values(rows, VERDICT).filter(pl.col(VALUE) == bots.HUMAN))


def having(rows: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The rows whose facts are among those found."""
    on = [name for name in found.columns if name != VALUE]
    return rows.join(found.select(on).unique(), on=on, how="semi", nulls_equal=True, maintain_order="left")


def with_value(rows: pl.DataFrame, found: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows that have a value, with it under `name`; once for each where there are several."""
    on = [column for column in found.columns if column != VALUE]
    return rows.join(found.rename({VALUE: name}), on=on, how="inner", nulls_equal=True, maintain_order="left")


def _no_rows(site: Site) -> Coded:
    """No rows of a site."""
    return Coded(np.empty(0, dtype=np.int64), pl.Series([site.id]))


def _having_value(found: pl.DataFrame, coded: Coded) -> pl.DataFrame:
    present = coded.codes >= 0
    value = coded.values.gather(coded.codes[present]).alias(VALUE)
    return found.filter(pl.Series(present)).hstack([value])


def _properties(custom: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """A property of custom events; the address of a link is no property."""
    name = pl.col("name")
    if dimension in LINKS:
        key, asked = LINK_PROP, name == dimension
    else:
        key = dimension.removeprefix(PROP_PREFIX)
        asked = ~name.is_in(LINKS).fill_null(False) if key == LINK_PROP else pl.lit(True)
    kept = custom.filter(asked)
    table = properties.interpret(kept["props"]).filter(pl.col("key") == key)
    return kept.join(table.select("props", VALUE), on="props", how="inner", maintain_order="left")
