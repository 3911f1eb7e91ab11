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
from recount.interpret import Interpreter, goals, properties, sources
from recount.store.catalog import NO_COMMON, Site

VALUE: Final = "value"
VALUES: Final = "values"
KNOWN_MAX: Final = 100_000
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
    """Values of dimensions for facts of one site, given what holds on all; remembers those that it has been
    asked for.

    Safe to share between threads: what is remembered is replaced, never changed.
    """

    def __init__(self, site: Site, interpreter: Interpreter, common: Site = NO_COMMON) -> None:
        self.site = site
        self.common = common
        self.interpreter = interpreter
        self._sites = {site.id: site, common.id: common}
        self._ruled = is_ruled(site, common)
        self._rules = rules_of(_no_rows(site), self._sites)
        self._known: dict[str, pl.DataFrame] = {}

    def values(self, facts: pl.DataFrame, dimension: str) -> pl.Series:
        """The values of each row of distinct facts (the columns facts_of(dimension)): a list of texts, of
        several where they have several values (goals); null for none."""
        on = facts.columns
        known = self._known.get(dimension)
        missing = facts if known is None else facts.join(known, on=on, how="anti", nulls_equal=True)
        if known is None or not missing.is_empty():
            fresh = self._looked_up(missing, dimension)
            both = fresh if known is None else pl.concat([known, fresh])
            if fresh.height <= KNOWN_MAX:
                self._known[dimension] = both if both.height <= KNOWN_MAX else fresh
            known = both
        return facts.join(known, on=on, how="left", nulls_equal=True, maintain_order="left")[VALUES]

    def facts_of(self, dimension: str) -> tuple[str, ...]:
        return facts_of(dimension, ruled=self._ruled)

    @property
    def hides_pages(self) -> bool:
        """Whether the site excludes pages, or all do."""
        exclusions = (exclusion for site in self._sites.values() for exclusion in site.exclusions)
        return any(exclusion.kind == PAGE for exclusion in exclusions)

    def _looked_up(self, facts: pl.DataFrame, dimension: str) -> pl.DataFrame:
        """Distinct facts with their VALUES."""
        on = facts.columns
        found = self._interpreted(facts, dimension)
        listed = found.group_by(on, maintain_order=True).agg(pl.col(VALUE).alias(VALUES))
        return facts.join(listed, on=on, how="left", nulls_equal=True, maintain_order="left")

    def _interpreted(self, found: pl.DataFrame, dimension: str) -> pl.DataFrame:
        """[*facts, value] of those that have a value: several rows where there are several."""
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

    def _of_visits(self, found: pl.DataFrame, dimension: str) -> pl.DataFrame:
        nothing = [pl.lit(None, kind).alias(n) for n, kind in ENTRY_SCHEMA.items() if n not in found.columns]
        said = facts.said(found.with_columns(nothing))
        return _having_value(found, self._coded(said, dimension, found.height))

    def _coded(self, said: facts.Said, dimension: str, visits: int) -> Coded:
        site, sites = named(self.site.id, visits), self._sites
        entry = facts.locate(said["entry_url"])
        if dimension == "entry_page":
            return without_hidden(site, entry.page, self._rules)
        if dimension == "hostname":
            return entry.hostname
        agents = facts.agents(said, self.interpreter)
        if dimension != VERDICT:
            by_name = facts.visit_dimensions(said, site, entry, agents, sites, self.interpreter, self._rules)
            return by_name[dimension]
        if self._rules:
            excluding = facts.excluding(said, site, entry, sites, self.interpreter, self._rules)
            agents = agents.ruled(said["entry_network"], excluding, site, self._rules)
        return agents.verdict

    def _pages(self, found: pl.DataFrame) -> pl.DataFrame:
        """Of a frame with one column, a url."""
        page = facts.locate(code(found.to_series())).page_if_any()
        site = named(self.site.id, found.height)
        return _having_value(found, without_hidden(site, page, self._rules))

    def _goals(self, found: pl.DataFrame) -> pl.DataFrame:
        rules = goals_by_site([self.site.id], self._sites)
        kind = pl.col("kind")
        site = pl.lit(self.site.id).alias("site")
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
