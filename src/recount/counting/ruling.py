"""What the rules of sites do to the verdicts on visits, and which pages they hide.

A verdict that lifts a built-in one comes first, then what a site calls a bot, then the user agents that it
calls human. What is excluded gets a verdict of its own, whoever it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting.coding import ABSENT, Coded, Ints, code
from recount.counting.matching import Wanted, first_match, first_referrer_match
from recount.interpret.bots import HUMAN
from recount.rules import EXCLUDED_PREFIX, OWN_BOT, PAGE, BotRule, ExclusionKind, Rules

Flags = NDArray[np.bool_]
SitesRules = Mapping[str, Rules]
FactOf = Mapping[ExclusionKind, Callable[[Flags], Coded]]
"""A fact of the given rows, by the kind of exclusion that looks at it; made only where one does."""

EXCLUDED_PAGE: Final = EXCLUDED_PREFIX + PAGE
_OF_VISITS: Final[tuple[ExclusionKind, ...]] = (
    *("hostname", "country", "network", "verdict", "referrer", "source"),
)


def verdicts(
    builtin: Coded, ua: Coded, network: pl.Series, facts: FactOf, site: Coded, rules: SitesRules
) -> Coded:
    """The verdict on each visit by the rules of its site. `builtin`: by the built-in list; `ua`, `network`:
    the visit's."""
    found = _excluded(_judged(builtin, ua, code(network), site, rules), facts, site, rules)
    return found.shown_as(found.values)


def hidden(site: Coded, page: Coded, rules: SitesRules) -> Flags:
    """Rows whose page a site excludes."""
    asked = [
        Wanted(name, exclusion.pattern, 0)
        for name, of_site in rules.items()
        for exclusion in of_site.exclusions
        if exclusion.kind == PAGE
    ]
    return first_match(site, page, asked) >= 0


def without_hidden(site: Coded, page: Coded, rules: SitesRules) -> Coded:
    """The pages, ABSENT where excluded."""
    return Coded(np.where(hidden(site, page, rules), ABSENT, page.codes), page.values) if rules else page


def _judged(builtin: Coded, ua: Coded, network: Coded, site: Coded, rules: SitesRules) -> Coded:
    agent = Coded(ua.codes, ua.values.str.to_lowercase())

    def matches(fact: Coded, which: Callable[[BotRule], bool]) -> Flags:
        return first_match(site, fact, list(_bots(rules, which))) >= 0

    lifted = matches(builtin, lambda rule: rule.counts_as == "human" and rule.by != "user_agent")
    bots = matches(agent, lambda rule: rule.counts_as == "bot" and rule.by == "user_agent")
    bots |= matches(network, lambda rule: rule.counts_as == "bot" and rule.by == "network")
    human = matches(agent, lambda rule: rule.counts_as == "human" and rule.by == "user_agent")
    values, size = pl.concat([builtin.values, pl.Series("verdict", [HUMAN, OWN_BOT])]), builtin.size
    codes = np.where(lifted, size, builtin.codes)
    codes = np.where(bots, size + 1, codes)
    return Coded(np.where(human, size, codes), values)


def _bots(rules: SitesRules, which: Callable[[BotRule], bool]) -> Iterator[Wanted]:
    for name, of_site in rules.items():
        for rule in filter(which, of_site.bots):
            lower = rule.pattern.lower() if rule.by == "user_agent" else rule.pattern
            yield Wanted(name, lower, 0)


def _excluded(verdict: Coded, facts: FactOf, site: Coded, rules: SitesRules) -> Coded:
    codes, values = verdict.codes, verdict.values
    for kind in _OF_VISITS:
        asked = [
            Wanted(name, exclusion.pattern, 0)
            for name, of_site in rules.items()
            for exclusion in of_site.exclusions
            if exclusion.kind == kind
        ]
        if asked:
            out = _matching(verdict, facts, kind, site, asked)
            codes = np.where(out & (codes < verdict.size), len(values), codes)
            values = pl.concat([values, pl.Series("verdict", [EXCLUDED_PREFIX + kind])])
    return Coded(codes, values)


def _matching(verdict: Coded, facts: FactOf, kind: ExclusionKind, site: Coded, asked: list[Wanted]) -> Flags:
    """The rows that one of the patterns asked for excludes."""
    if kind == "verdict":
        return first_match(site, verdict, asked) >= 0
    rows = site.values.is_in(sorted({want.site for want in asked})).to_numpy()[site.codes]
    match = first_referrer_match if kind == "referrer" else first_match
    found: Ints = match(site.at(rows), facts[kind](rows), asked)
    out = np.zeros(len(site.codes), dtype=np.bool_)
    out[rows] = found >= 0
    return out
