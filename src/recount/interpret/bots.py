"""Who is not a human visitor: the user agent's rule, then the verdict on the visit.

Two visible lists, both in order, first match wins: `UA_RULES` names what a user agent gives away about
itself, `verdict_rules` what the facts of a visit say. No bot is dropped: it is counted under its verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import polars as pl

HUMAN: Final = "human"


@dataclass(frozen=True, slots=True)
class UaRule:
    """A user agent falls under `name` if it has one of `patterns` or a crawler pattern with one of `tags`.

    `tags` are those of the crawler-user-agents list ("*": all of its patterns); a user agent that also
    matches one of `unless` is spared.
    """

    name: str
    patterns: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()


UA_RULES: Final = (
    UaRule("empty_ua", patterns=(r"^[\s\-_.?*'\x22()]*$", r"^(?i:null|undefined|none|unknown|user-agent)$")),
    UaRule(
        "headless",
        patterns=(
            r"Headless",
            r"PhantomJS",
            r"SlimerJS",
            r"[Pp]uppeteer",
            r"[Pp]laywright",
            r"[Ss]elenium",
            r"Cypress/",
        ),
        tags=("browser-automation",),
    ),
    UaRule(
        "library",
        patterns=(
            r"^(?i:curl|wget|libcurl|httpie|aria2|axios|got|undici|node|deno|bun|ruby|java|perl|php|reqwest|ureq)\b",
            r"(?i:^python|python-|aiohttp|httpx/|urllib|libwww|lwp::|guzzle|okhttp|go-http|http_?client|http_request|libfetch)",
            r"(?i:^node-fetch|^postman|^insomnia|winhttp|^restsharp|^faraday|^dart[/:]|^hackney|^req/|^unirest)",
        ),
        tags=("http-library",),
    ),
    UaRule("ai_crawler", tags=("ai-crawler",)),
    UaRule("monitoring", tags=("monitoring",)),
    UaRule(
        "feed_reader",
        patterns=(r"(?i)feed ?(?:parser|fetcher|burner)|[0-9] (?:subscriber|reader)s?|liferea",),
        tags=("feed-reader",),
    ),
    UaRule("crawler", tags=("*",)),
    UaRule(
        "self_declared",
        patterns=(
            r"\+\s?https?://",
            r"(?i)(?:^|[^a-z])\w*(?:bot|crawler|spider|scraper|fetcher)(?:[/\s;:)_-]|$)",
            r"[\w.+-]+@[\w-]+\.[a-z]{2,}",
        ),
        unless=(r"(?i)cubot",),
    ),
    UaRule(
        "not_a_browser",
        patterns=(r"^Mozilla/[0-9.]+(?:\s*\(compatible;?\))?$", r"(?i)\bohai-|^chef client|CFNetwork/"),
        unless=(r"^Mozilla/5\.0 \([^)]+\) AppleWebKit",),
    ),
)

SPIDER_RULE: Final = "crawler"
"""The rule of a user agent that no pattern above knows, but that ua-parser calls a spider."""

UNNAMED_RULE: Final = "not_a_browser"
"""The rule of a user agent that does not open like a browser's and in which no browser is recognised."""

BROWSER_OPENING: Final = (
    r"(?i)^(?:Mozilla|Opera|Nokia|SonyEricsson|SAMSUNG|BlackBerry|LG|MOT|UCWEB|"
    r"Lynx|E?Links|w3m|Dillo|NetSurf|.*(?:MIDP|MAUI))"
)


@dataclass(frozen=True, slots=True)
class _Matcher:
    """One rule made ready: one Aho-Corasick pass for the literals, one regular expression for the rest."""

    name: str
    literals: tuple[str, ...]
    regex: str
    unless: str

    def matches(self, ua: pl.Expr) -> pl.Expr:
        hit = pl.lit(False)
        if self.literals:
            hit = ua.str.contains_any(list(self.literals))
        if self.regex:
            hit = hit | ua.str.contains(self.regex)
        return hit & ~ua.str.contains(self.unless) if self.unless else hit


def ua_rules(ua: pl.Series) -> pl.Series:
    """The name of the first rule of `UA_RULES` that each user agent falls under, null for none.

    A null user agent was never observed (a log without that column) and falls under no rule.
    """
    expr = pl.col("ua")
    hits = pl.coalesce(pl.when(m.matches(expr)).then(pl.lit(m.name)) for m in _matchers())
    return ua.cast(pl.String).alias("ua").to_frame().select(hits.alias("ua_rule")).to_series()


@dataclass(frozen=True, slots=True)
class VerdictRule:
    """A visit gets this verdict if `holds` is true of its facts."""

    name: str
    holds: pl.Expr


def verdict_rules(excluded_networks: Sequence[str] = ("hosting",)) -> tuple[VerdictRule, ...]:
    """The rules of a visit's verdict, in order. Columns: `ua_rule`, `network`; a null fact accuses nobody."""
    return (
        *(VerdictRule(name, pl.col("ua_rule") == name) for name in _rule_names()),
        *(VerdictRule(network, pl.col("network") == network) for network in excluded_networks),
    )


def verdict(excluded_networks: Sequence[str] = ("hosting",)) -> pl.Expr:
    """`human`, or the name of the first rule that holds, over the columns `ua_rule` and `network`."""
    rules = verdict_rules(excluded_networks)
    hits = pl.coalesce(pl.when(rule.holds).then(pl.lit(rule.name)) for rule in rules)
    return hits.fill_null(HUMAN).alias("verdict")


def _rule_names() -> tuple[str, ...]:
    return tuple(rule.name for rule in UA_RULES)


@cache
def _matchers() -> tuple[_Matcher, ...]:
    crawlers = json.loads(
        resources.files("crawleruseragents").joinpath("crawler-user-agents.json").read_text(encoding="utf-8")
    )
    return tuple(_matcher(rule, _tagged(crawlers, rule.tags)) for rule in UA_RULES)


def _tagged(crawlers: Iterable[dict[str, object]], tags: tuple[str, ...]) -> list[str]:
    def wanted(entry: dict[str, object]) -> bool:
        own = entry.get("tags") or []
        return "*" in tags or (isinstance(own, list) and not set(tags).isdisjoint(own))

    return [str(entry["pattern"]) for entry in crawlers if wanted(entry)]


def _matcher(rule: UaRule, listed: list[str]) -> _Matcher:
    literals, regexes = [], list(rule.patterns)
    for pattern in listed:
        literal = _literal(pattern)
        if literal is None:
            regexes.append(pattern)
        else:
            literals.append(literal)
    return _Matcher(rule.name, tuple(literals), _any_of(regexes), _any_of(rule.unless))


def _literal(pattern: str) -> str | None:
    """The plain text that a pattern stands for, or null if it says more than plain text can."""
    if not re.fullmatch(r"(?:[^\\^$.|?*+()\[\]{}]|\\[^0-9A-Za-z])+", pattern):
        return None
    return re.sub(r"\\(.)", r"\1", pattern)


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(f"(?:{pattern})" for pattern in patterns)
