"""Rows and the rules of their sites: which rule is the first whose pattern a fact of the row matches.

Rules for all sites are looked up once for each fact, whatever sites it occurs on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recount.counting.coding import ABSENT, Coded, Ints, pairs
from recount.interpret import patterns
from recount.rules import EVERY_SITE, Goal, Rules, goals_of
from recount.store.catalog import Site


@dataclass(frozen=True)
class Wanted:
    """A pattern of one site, or of EVERY_SITE; of several that match, the one with the lowest number
    counts."""

    site: str
    pattern: str
    number: int


def rules_of(site: Coded, sites: Mapping[str, Site]) -> dict[str, Rules]:
    """The rules of those sites that have any which the fold has to look at, besides goals; at last those for
    all sites."""
    found = {}
    for name in (*site.values, EVERY_SITE):
        known = sites.get(name)
        if known is not None and (known.exclusions or known.bots or known.sources):
            found[name] = known.rules
    return found


def goals_by_site(names: Iterable[str], sites: Mapping[str, Site]) -> dict[str, tuple[Goal, ...]]:
    """The goals of those sites that have any, with those for all sites."""
    common = sites[EVERY_SITE].goals if EVERY_SITE in sites else ()
    found = {name: goals_of(sites[name].goals if name in sites else (), common) for name in names}
    return {name: goals for name, goals in found.items() if goals}


def first_match(site: Coded, fact: Coded, asked: Sequence[Wanted]) -> Ints:
    """The number of the first pattern that each row's fact matches, ABSENT for none."""
    of_site = _match_of_sites(site, fact, [want for want in asked if want.site != EVERY_SITE])
    of_all = _match_of_all(fact, [want for want in asked if want.site == EVERY_SITE])
    return _first(of_site, of_all)


def _first(one: Ints, other: Ints) -> Ints:
    """The lower of the numbers that two searches found."""
    return np.where((one < 0) | ((other >= 0) & (other < one)), other, one)


def _match_of_all(fact: Coded, asked: Sequence[Wanted]) -> Ints:
    found = np.full(len(fact.codes), ABSENT, dtype=np.int64)
    rows = np.flatnonzero(fact.codes >= 0)
    if asked and len(rows):
        seen, places = np.unique(fact.codes[rows], return_inverse=True)
        found[rows] = _numbers(pl.repeat(EVERY_SITE, len(seen), eager=True), fact.values.gather(seen), asked)[
            places
        ]
    return found


def _match_of_sites(site: Coded, fact: Coded, asked: Sequence[Wanted]) -> Ints:
    found = np.full(len(site.codes), ABSENT, dtype=np.int64)
    if not asked:
        return found
    concerned = site.values.is_in(sorted({want.site for want in asked})).to_numpy()
    rows = np.flatnonzero(concerned[site.codes] & (fact.codes >= 0))
    distinct, places = pairs(site.codes[rows], fact.codes[rows], fact.size)
    sites, facts = site.values.gather(distinct // fact.size), fact.values.gather(distinct % fact.size)
    found[rows] = _numbers(sites, facts, asked)[places]
    return found


def _numbers(sites: pl.Series, facts: pl.Series, asked: Sequence[Wanted]) -> Ints:
    """The lowest number of a pattern that each (site, fact) matches, ABSENT for none."""
    table = pl.DataFrame({"site": sites, "value": facts})
    hits = patterns.match(table, [(want.site, want.pattern, str(want.number)) for want in asked])
    least = hits.group_by("site", "value").agg(pl.col("name").cast(pl.Int64).min())
    numbers = table.join(least, on=["site", "value"], how="left", maintain_order="left")["name"]
    return numbers.fill_null(ABSENT).to_numpy()


def first_referrer_match(site: Coded, referrer: Coded, asked: Sequence[Wanted]) -> Ints:
    """The same of referrers (host and path): a pattern without a slash is one of the host alone."""
    host = Coded(referrer.codes, referrer.values.str.splitn("/", 2).struct[0])
    of_host = first_match(site, host, [want for want in asked if "/" not in want.pattern])
    of_whole = first_match(site, referrer, [want for want in asked if "/" in want.pattern])
    return _first(of_whole, of_host)


def reclassified(
    dimensions: Mapping[str, Coded], site: Coded, rules: Mapping[str, Rules]
) -> dict[str, Coded]:
    """Visits' `source` and `channel` by the source rules of their sites, then by those for all sites;
    `dimensions` are those of `sources`."""
    in_turn = sorted(rules, key=lambda name: name == EVERY_SITE)
    listed = [(name, rule) for name in in_turn for rule in rules[name].sources]
    if not listed:
        return dict(dimensions)
    asked = {
        by: [Wanted(name, rule.pattern, n) for n, (name, rule) in enumerate(listed) if rule.by == by]
        for by in ("referrer", "utm_source")
    }
    link, said = dimensions["referrer"], dimensions["utm_source"]
    quiet = Coded(np.where(said.codes >= 0, ABSENT, link.codes), link.values)
    by_word = first_match(site, said, asked["utm_source"])
    first = np.where(by_word >= 0, by_word, first_referrer_match(site, quiet, asked["referrer"]))
    texts: dict[str, list[str | None]] = {
        "source": [rule.source for _, rule in listed],
        "channel": [rule.channel for _, rule in listed],
    }
    return {**dimensions, **{name: _renamed(dimensions[name], first, new) for name, new in texts.items()}}


def _renamed(coded: Coded, chosen: Ints, texts: Sequence[str | None]) -> Coded:
    """Rows that chose a text are shown as that; a text of None leaves them as they are."""
    says = np.array([text is not None for text in texts])
    codes = np.where((chosen >= 0) & says[chosen], coded.size + chosen, coded.codes)
    values = pl.concat([coded.values, pl.Series(coded.values.name, texts, dtype=pl.String)])
    return Coded(codes, values).shown_as(values)
