"""What the rules of sites do to the verdicts on visits, and which pages they hide.

A verdict that lifts a built-in one comes first, then what a site calls a bot, then the user agents that it
calls human. Rules for all sites go before, and to a site's own they are as the built-in list is. What is
excluded, by either, gets a verdict of its own, whoever it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import polars as pl

from recount.counting.coding import ABSENT, Coded, Flags, Ints
from recount.counting.matching import Wanted, first_match, first_referrer_match
from recount.interpret.bots import HUMAN
from recount.rules import (
    EVERY_SITE,
    EXCLUDED_PREFIX,
    OPERATOR_BOT,
    OWN_BOT,
    PAGE,
    BotRule,
    ExclusionKind,
    Rules,
)

SitesRules = Mapping[str, Rules]
FactOf = Mapping[ExclusionKind, Callable[[Flags], Coded]]
"""A fact of the given rows, by the kind of exclusion that looks at it; made only where one does."""

EXCLUDED_PAGE: Final = EXCLUDED_PREFIX + PAGE
_OF_VISITS: Final[tuple[ExclusionKind, ...]] = (
    *("hostname", "country", "network", "verdict", "referrer", "source"),
)


def verdicts(
    builtin: Coded, ua: Coded, network: Coded, facts: FactOf, site: Coded, rules: SitesRules
) -> Coded:
    """The verdict on each visit by the rules of its site. `builtin`: by the built-in list; `ua`, `network`:
    the visit's."""
    agent = Coded(ua.codes, ua.values.str.to_lowercase())
    common = {name: of_all for name, of_all in rules.items() if name == EVERY_SITE}
    own = {name: of_site for name, of_site in rules.items() if name != EVERY_SITE}
    judged = builtin
    for layer, verdict in ((common, OPERATOR_BOT), (own, OWN_BOT)):
        if any(some.bots for some in layer.values()):
            judged = _judged(judged, agent, network, site, layer, verdict)
    found = _excluded(judged, facts, site, rules)
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


def _judged(
    builtin: Coded, agent: Coded, network: Coded, site: Coded, rules: SitesRules, verdict: str
) -> Coded:
    """`agent`: user agents in lower case; `verdict`: of what these rules call a bot."""

    def matches(fact: Coded, which: Callable[[BotRule], bool]) -> Flags:
        return first_match(site, fact, list(_bots(rules, which))) >= 0

    lifted = matches(builtin, lambda rule: rule.counts_as == "human" and rule.by != "user_agent")
    bots = matches(agent, lambda rule: rule.counts_as == "bot" and rule.by == "user_agent")
    bots |= matches(network, lambda rule: rule.counts_as == "bot" and rule.by == "network")
    human = matches(agent, lambda rule: rule.counts_as == "human" and rule.by == "user_agent")
    values, size = pl.concat([builtin.values, pl.Series("verdict", [HUMAN, verdict])]), builtin.size
    codes = np.where(lifted, size, builtin.codes)
    codes = np.where(bots, size + 1, codes)
    return Coded(np.where(human, size, codes), values).shown_as(values)


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
    concerned = {want.site for want in asked}
    of_all = pl.repeat(EVERY_SITE in concerned, len(site.values), eager=True)
    rows = (of_all | site.values.is_in(sorted(concerned))).to_numpy()[site.codes]
    match = first_referrer_match if kind == "referrer" else first_match
    found: Ints = match(site.at(rows), facts[kind](rows), asked)
    out = np.zeros(len(site.codes), dtype=np.bool_)
    out[rows] = found >= 0
    return out
