"""Bot rules and verdicts: what each rule catches, the order of the rules, and whom they spare."""

from __future__ import annotations

import json
from importlib import resources

import polars as pl
import pytest

from recount.interpret import bots


def rule_of(ua: str | None) -> str | None:
    found: str | None = bots.ua_rules(pl.Series([ua], dtype=pl.String)).item()
    return found


@pytest.mark.parametrize(
    ("ua", "rule"),
    [
        ("", "empty_ua"),
        ("HeadlessChrome/1 curl/8", "headless"),
        ("curl/8.5.0", "library"),
        ("node", "library"),
        ("Scrapy/2.11 (+https://scrapy.org)", "library"),
        ("Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "ai_crawler"),
        ("Feedbin - 1 subscribers", "feed_reader"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "crawler"),
        ("Mozilla/5.0 (compatible; NewThing/0.1; +https://newthing.example)", "self_declared"),
        ("Mozilla/5.0 (compatible; Ezooms/1.0; help@moz.com)", "self_declared"),
        ("Mozilla/5.0", "not_a_browser"),
        ("MobileSafari/9537.53 CFNetwork/672.0.8 Darwin/14.0.0", "not_a_browser"),
        (None, None),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36", None),
        ("Mozilla/5.0 (Linux; Android 11; CUBOT_NOTE_20) Chrome/90.0.0.0 Mobile Safari/537.36", None),
    ],
)
def test_rules(ua: str | None, rule: str | None) -> None:
    assert rule_of(ua) == rule


def test_every_listed_sample_of_a_crawler_is_found() -> None:
    listed = json.loads(
        (resources.files("crawleruseragents") / "crawler-user-agents.json").read_text("utf-8")
    )
    agents = pl.Series(sorted({agent for entry in listed for agent in entry.get("instances", [])}))
    assert agents.filter(bots.ua_rules(agents).is_null()).to_list() == []


def test_names_of_rules_are_distinct() -> None:
    names = [rule.name for rule in bots.verdict_rules()]
    assert len(set(names)) == len(names)
    assert bots.HUMAN not in names


def test_verdicts() -> None:
    facts = pl.DataFrame(
        [(None, None), (None, "residential"), (None, "hosting"), ("library", "hosting"), ("crawler", None)],
        schema={"ua_rule": pl.String, "network": pl.String},
        orient="row",
    )
    assert facts.select(bots.verdict()).to_series().to_list() == [
        "human",
        "human",
        "hosting",
        "library",
        "crawler",
    ]
    lenient = facts.select(bots.verdict(excluded_networks=())).to_series().to_list()
    assert lenient == ["human", "human", "human", "library", "crawler"]
