"""Rules: what is a site's own, who is a bot, what is left out, what a source and what a goal is.

A site has rules of its own, and there are rules for all sites (EVERY_SITE). Rules are interpretations, so
they work on history: hours are folded again by other rules (`docs/rules.md`). In every pattern `*` stands for
any text, also none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

ExclusionKind = Literal["page", "hostname", "country", "referrer", "source", "network", "verdict"]
Judged = Literal["user_agent", "verdict", "network"]
LinkFact = Literal["referrer", "utm_source"]

EXCLUSION_KINDS: Final[tuple[ExclusionKind, ...]] = get_args(ExclusionKind)
PAGE: Final = "page"
EXCLUDED_PREFIX: Final = "excluded_"
"""The verdict of what an exclusion leaves out: `excluded_country`, `excluded_page`, ..."""

OWN_BOT: Final = "own_list"
"""The verdict of a visit that one of the site's own rules calls a bot."""

OPERATOR_BOT: Final = "operator_list"
"""The verdict of a visit that a rule for all sites calls a bot; to a site's own rules it is built in."""

EVERY_SITE: Final = "*"
"""Whose rules hold on every site; no site has this id."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Reached by an event of a name, or by a pageview whose path matches a pattern (`*` any text)."""

    name: str
    event: str | None = None
    page: str | None = None

    def __str__(self) -> str:
        return f"goal {self.name}: " + (f"event {self.event}" if self.event else f"page {self.page}")


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """Leaves out events of pages (`page`), or whole visits by what their first event says (all others).

    A `referrer` pattern is a host, or a host and path; a `source` is what the numbers show as such.
    """

    kind: ExclusionKind
    pattern: str

    def __str__(self) -> str:
        return f"exclude {self.kind} {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class BotRule:
    """Visits that count as bots, or as human after all. A rule for humans goes before one for bots, and both
    before the built-in list; a `network` or a `verdict` is the name of one."""

    counts_as: Literal["bot", "human"]
    by: Judged
    pattern: str

    def __str__(self) -> str:
        return f"{self.counts_as} {self.by} {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class SourceRule:
    """What a visit's source is called, and its channel (None: as it would be). The first that fits holds;
    a referrer says nothing where the link has an `utm_source`."""

    by: LinkFact
    pattern: str
    source: str
    channel: str | None = None

    def __str__(self) -> str:
        return f"source {self.by} {self.pattern} -> {self.source}" + (
            f" ({self.channel})" if self.channel else ""
        )


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All that is versioned of a site, or for all of them. `hostnames` are its own besides its domain."""

    hostnames: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    bots: tuple[BotRule, ...] = ()
    sources: tuple[SourceRule, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Each rule in words; no two are the same."""
        rules = (*self.goals, *self.exclusions, *self.bots, *self.sources)
        return [*(f"hostname {name}" for name in self.hostnames), *map(str, rules)]


def difference(before: Rules, after: Rules) -> list[str]:
    """`- rule` for each that went, `+ rule` for each that came."""
    old, new = before.lines, after.lines
    gone = [f"- {line}" for line in old if line not in new]
    return gone + [f"+ {line}" for line in new if line not in old]


def goals_of(own: Sequence[Goal], common: Sequence[Goal]) -> tuple[Goal, ...]:
    """The goals of a site with those for all sites; where both have a name, the site's own holds."""
    names = {goal.name for goal in own}
    return (*own, *(goal for goal in common if goal.name not in names))


def whose(owner: str) -> str:
    """`of demo`, or `for all sites`: as in `rules 2 of demo`."""
    return "for all sites" if owner == EVERY_SITE else f"of {owner}"


def without(rules: Rules, line: str) -> Rules | None:
    """The rules but for the one of these words; None where there is none."""
    if line not in rules.lines:
        return None
    kept: dict[str, tuple[object, ...]] = {
        name: tuple(rule for rule in getattr(rules, name) if _words(name, rule) != line)
        for name in rules.__dataclass_fields__
    }
    return msgspec.convert(msgspec.to_builtins(kept), Rules)


def _words(field: str, rule: object) -> str:
    return f"hostname {rule}" if field == "hostnames" else str(rule)
