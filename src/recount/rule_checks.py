"""What a rule may say, checked when it is made; each error says what would be right."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Final

from recount.errors import InvalidInput
from recount.interpret import bots, channels
from recount.rules import OPERATOR_BOT, OWN_BOT, BotRule, Exclusion, Goal, Rules, SourceRule

RULES_MAX: Final = 200
PATTERN_MAX_CHARS: Final = 500
NETWORKS: Final = (
    *("business", "cafe", "cellular", "college", "consumer_privacy_network", "content_delivery_network"),
    *("government", "hosting", "library", "military", "residential", "router", "school"),
    *("search_engine_spider", "traveler"),
)
"""The kinds of network that addresses are told apart by (GeoIP2 `user_type`)."""

_HOSTNAME: Final = re.compile(
    r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
)
_LINK: Final = re.compile(r"^(?:https?://)?(?:www\.)?", re.IGNORECASE)


def checked(rules: Rules) -> Rules:
    """The rules as they are kept: hosts in lower case, countries in capitals.

    Raises InvalidInput for what cannot match anything, is not known, or would match everything.
    """
    found = Rules(
        hostnames=tuple(map(_hostname, rules.hostnames)),
        goals=tuple(map(_goal, rules.goals)),
        exclusions=tuple(map(_exclusion, rules.exclusions)),
        bots=tuple(map(_bot, rules.bots)),
        sources=tuple(map(_source, rules.sources)),
    )
    twice = next((line for line in found.lines if found.lines.count(line) > 1), None)
    if twice is not None:
        raise InvalidInput(f"the rule is there already: {twice}", field="rules")
    if len(found.lines) > RULES_MAX:
        raise InvalidInput(f"there are {RULES_MAX} rules at most, not {len(found.lines)}", field="rules")
    return found


def verdicts() -> tuple[str, ...]:
    """What a visit can be judged to be, other than human."""
    return (*(rule.name for rule in bots.verdict_rules()), OPERATOR_BOT, OWN_BOT)


@cache
def countries() -> frozenset[str]:
    """ISO 3166 alpha-2 codes, and Kosovo's, which addresses are given too."""
    table = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in table.splitlines() if not line.startswith("#")) | {"XK"}


def channel_names() -> tuple[str, ...]:
    return (*(name for name, _ in channels.rules()), "Unassigned")


def _exclusion(rule: Exclusion) -> Exclusion:
    pattern = _pattern(rule.pattern, f"--{rule.kind}")
    if rule.kind == "country":
        pattern = pattern.upper()
        if pattern not in countries():
            detail = f"{pattern!r} is no country code; they have two letters, such as DE (ISO 3166)"
            raise InvalidInput(detail, field="country")
    elif rule.kind == "verdict":
        _known(pattern, verdicts(), "verdict")
    elif rule.kind == "network":
        _known(pattern, NETWORKS, "network")
    elif rule.kind == "page":
        _page(pattern)
    elif rule.kind == "hostname":
        pattern = pattern.lower()
    elif rule.kind == "referrer":
        pattern = _link(pattern)
    return replace(rule, pattern=pattern)


def _bot(rule: BotRule) -> BotRule:
    pattern = _pattern(rule.pattern, f"--{rule.by.replace('_', '-')}")
    if rule.by == "network":
        _known(pattern, NETWORKS, "network")
    elif rule.by == "verdict":
        if rule.counts_as == "bot":
            detail = "a visit with such a verdict is a bot already; give --user-agent or --network"
            raise InvalidInput(detail, field="verdict")
        _known(pattern, [name for name in verdicts() if name != OWN_BOT], "verdict")
    return replace(rule, pattern=pattern)


def _source(rule: SourceRule) -> SourceRule:
    pattern = _pattern(rule.pattern, f"--{rule.by.replace('_', '-')}")
    if not rule.source.strip():
        raise InvalidInput("say what the source is called: --as NAME", field="source")
    if rule.channel is not None:
        _known(rule.channel, channel_names(), "channel")
    return replace(rule, pattern=_link(pattern) if rule.by == "referrer" else pattern)


def _goal(rule: Goal) -> Goal:
    if not rule.name.strip():
        raise InvalidInput("a goal has a name", field="goal")
    if bool(rule.event) == bool(rule.page):
        raise InvalidInput(f"goal {rule.name!r}: give either --event or --page", field="goal")
    if rule.page:
        _page(rule.page)
    return rule


def _hostname(name: str) -> str:
    if not _HOSTNAME.match(name.lower()):
        detail = f"{name!r} is no hostname; give one such as example.com, without https://"
        raise InvalidInput(detail, field="hostname")
    return name.lower()


def _pattern(pattern: str, option: str) -> str:
    text = pattern.strip()
    if not text or len(text) > PATTERN_MAX_CHARS:
        raise InvalidInput(f"{option}: a pattern has 1 to {PATTERN_MAX_CHARS} characters", field=option)
    if not text.strip("*./"):
        detail = f"{option} {text!r} would match everything, and leave nothing to count; say more of it"
        raise InvalidInput(detail, field=option)
    return text


def _page(pattern: str) -> None:
    if pattern[0] not in "/*":
        detail = f"{pattern!r} can match no page: a pattern begins with / or *, such as /admin/*"
        raise InvalidInput(detail, field="page")


def _link(pattern: str) -> str:
    """As referrers are shown: without scheme and `www.`, the host in lower case."""
    host, slash, path = _LINK.sub("", pattern).partition("/")
    return (host.lower() + slash + path).removesuffix("/")


def _known(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        raise InvalidInput(f"there is no {what} {name!r} (known: {', '.join(known)})", field=what)
