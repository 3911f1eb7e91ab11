"""Rows and the rules of their sites: which rule is the first whose pattern a fact of the row matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recount.counting.coding import ABSENT, Coded, Ints, pairs
from recount.interpret import patterns
from recount.rules import Rules
from recount.store.catalog import Site


@dataclass(frozen=True)
class Wanted:
    """A pattern of one site; of several that match, the one with the lowest number counts."""

    site: str
    pattern: str
    number: int


def rules_of(site: Coded, sites: Mapping[str, Site]) -> dict[str, Rules]:
    """The rules of those sites that have any which the fold has to look at, besides goals."""
    found = {}
    for name in site.values:
        known = sites.get(name)
        if known is not None and (known.exclusions or known.bots or known.sources):
            found[name] = known.rules
    return found


def first_match(site: Coded, fact: Coded, asked: Sequence[Wanted]) -> Ints:
    """The number of the first pattern that each row's fact matches, ABSENT for none."""
    found = np.full(len(site.codes), ABSENT, dtype=np.int64)
    if not asked:
        return found
    concerned = site.values.is_in(sorted({want.site for want in asked})).to_numpy()
    rows = np.flatnonzero(concerned[site.codes] & (fact.codes >= 0))
    distinct, places = pairs(site.codes[rows], fact.codes[rows], fact.size)
    facts = pl.DataFrame(
        {"site": site.values.gather(distinct // fact.size), "value": fact.values.gather(distinct % fact.size)}
    )
    hits = patterns.match(facts, [(want.site, want.pattern, str(want.number)) for want in asked])
    least = hits.group_by("site", "value").agg(pl.col("name").cast(pl.Int64).min())
    numbers = facts.join(least, on=["site", "value"], how="left", maintain_order="left")["name"]
    found[rows] = numbers.fill_null(ABSENT).to_numpy()[places]
    return found


def first_referrer_match(site: Coded, referrer: Coded, asked: Sequence[Wanted]) -> Ints:
    """The same of referrers (host and path): a pattern without a slash is one of the host alone."""
    host = Coded(referrer.codes, referrer.values.str.splitn("/", 2).struct[0])
    of_host = first_match(site, host, [want for want in asked if "/" not in want.pattern])
    of_whole = first_match(site, referrer, [want for want in asked if "/" in want.pattern])
    return np.where((of_whole < 0) | ((of_host >= 0) & (of_host < of_whole)), of_host, of_whole)


def reclassified(
    dimensions: Mapping[str, Coded], site: Coded, rules: Mapping[str, Rules]
) -> dict[str, Coded]:
    """Visits' `source` and `channel` by the source rules of their sites; `dimensions` are those of
    `sources`."""
    listed = [(name, rule) for name, of_site in rules.items() for rule in of_site.sources]
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
