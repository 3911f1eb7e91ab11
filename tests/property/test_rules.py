"""Random rules: the fold counts what plain Python counts, each event in one column, batches add up."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.fold import Rollup, fold, merge
from recount.counting.visits import cut
from recount.interpret import Interpreter, bots
from recount.periods import HOUR_MS
from recount.rules import EVERY_SITE, BotRule, Exclusion, Rules, SourceRule
from recount.store.catalog import NO_COMMON, Site
from tests.property.test_fold import assert_same, without_scroll
from tests.property.test_visits import LONG_AFTER, cut_in_batches
from tests.sequences import FIREFOX, GOOGLEBOT, SAFARI, Row, Visit, frame, sequences, splits, visits_of

RULES: Final = ("empty_ua", "crawler", "hosting", "operator_list", "residential")
BUILTIN: Final = {FIREFOX: "human", SAFARI: "human", GOOGLEBOT: "crawler", None: "human"}


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter()


def exclusions() -> st.SearchStrategy[Exclusion]:
    patterns = {
        "page": ["/a", "/b", "/*b*", "/c", "/nowhere"],
        "hostname": ["demo.example", "*.example", "x"],
        "country": ["DE", "FR"],
        "referrer": ["google.com", "*oogle*", "demo.example"],
        "source": ["news", "Google", "Direct*"],
        "network": ["residential", "hosting"],
        "verdict": ["crawler", "hosting", "operator_list", "own_list"],
    }
    return st.one_of(
        *(st.builds(Exclusion, kind=st.just(k), pattern=st.sampled_from(v)) for k, v in patterns.items())
    )


def bot_rules() -> st.SearchStrategy[BotRule]:
    sides = st.sampled_from(["bot", "human"])
    return st.one_of(
        st.builds(
            BotRule,
            counts_as=sides,
            by=st.just("user_agent"),
            pattern=st.sampled_from(["*firefox*", "*GOOGLEBOT*", "*x*"]),
        ),
        st.builds(
            BotRule,
            counts_as=sides,
            by=st.just("network"),
            pattern=st.sampled_from(["hosting", "residential"]),
        ),
        st.builds(BotRule, counts_as=st.just("human"), by=st.just("verdict"), pattern=st.sampled_from(RULES)),
    )


def rulings() -> st.SearchStrategy[Rules]:
    renamed = st.builds(
        SourceRule,
        by=st.sampled_from(["referrer", "utm_source"]),
        pattern=st.sampled_from(["news", "*", "google.com"]),
        source=st.sampled_from(["Renamed", "Google"]),
        channel=st.sampled_from([None, "Email"]),
    )
    return st.builds(
        Rules,
        exclusions=st.lists(exclusions(), max_size=3).map(tuple),
        bots=st.lists(bot_rules(), max_size=3).map(tuple),
        sources=st.lists(renamed, max_size=2).map(tuple),
    )


def sites(rules: Rules, common: Rules) -> dict[str, Site]:
    demo = Site(id="demo", domain="demo.example").ruled(rules, 2)
    return {"demo": demo, EVERY_SITE: NO_COMMON.ruled(common, 2)}


@settings(max_examples=80, deadline=None)
@given(rows=sequences(), rules=rulings(), common=st.just(Rules()) | rulings())
def test_every_event_is_in_the_one_column_that_plain_python_finds(
    rows: list[Row], rules: Rules, common: Rules, interpreter: Interpreter
) -> None:
    done = cut(frame(rows), None, LONG_AFTER)
    found = fold(done.events, done.ends, sites(rules, common), interpreter)
    wanted, pages, begun = expected(rows, rules, common)
    assert by_value(found, "verdict", "accepted") == wanted
    human = {key: count for key, count in wanted.items() if key[1] == bots.HUMAN}
    assert by_value(found, "total", "accepted") == {(site, ""): n for (site, _), n in human.items()}
    assert by_value(found, "page", "pageviews") == pages
    assert by_value(found, "total", "visits") == begun
    for name in ("browser", "source", "country"):
        sums = Counter[str]()
        for (site, _), count in by_value(found, name, "pageviews").items():
            sums[site] += count
        assert sums == {site: n for (site, _), n in by_value(found, "total", "pageviews").items()}, name


@settings(max_examples=40, deadline=None)
@given(split=splits(), rules=rulings(), common=st.just(Rules()) | rulings())
def test_batches_add_up_under_any_rules(
    split: tuple[list[Row], list[int]], rules: Rules, common: Rules, interpreter: Interpreter
) -> None:
    rows, places = split
    until = rows[-1]["ts"] + 1 if rows else 0

    def folded(events: pl.DataFrame, ends: pl.DataFrame) -> Rollup:
        return fold(events, ends, sites(rules, common), interpreter, bucket_ms=HOUR_MS)

    parts = [folded(b.events, b.ends) for b in cut_in_batches(rows, places, until)]
    whole = cut(frame(rows), None, until)
    assert_same(without_scroll(merge(parts)), without_scroll(folded(whole.events, whole.ends)))


def by_value(rollup: Rollup, dimension: str, metric: str) -> dict[tuple[str, str], int]:
    rows = rollup.rows.filter(pl.col("dimension") == dimension).group_by("site", "value")
    found = {(site, value): n for site, value, n in rows.agg(pl.col(metric).sum()).iter_rows()}
    return {key: n for key, n in found.items() if n}


Counts = dict[tuple[str, str], int]


Layers = tuple[Rules, Rules]  # a site's own, and those for all


def expected(rows: list[Row], rules: Rules, common: Rules) -> tuple[Counts, Counts, Counts]:
    """Events by verdict, pageviews by page, visits; one event at a time."""
    columns, pages, begun = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (site, _), visits in visits_of(rows).items():
        of_site = (rules if site == "demo" else Rules(), common)
        for visit in visits:
            verdict = verdict_of(visit, of_site)
            for event in visit.events:
                page = None if event["url"] is None else page_of(event["url"])
                hidden = verdict == bots.HUMAN and page is not None and excludes(of_site, "page", page)
                columns[site, "excluded_page" if hidden else verdict] += 1
                if verdict == bots.HUMAN and not hidden and page and event["kind"] == "pageview":
                    pages[site, page] += 1
            acted = any(event["kind"] != "engagement" for event in visit.events)
            begun[site, ""] += int(acted and verdict == bots.HUMAN)
    return dict(columns), dict(pages), {key: n for key, n in begun.items() if n}


def verdict_of(visit: Visit, rules: Layers) -> str:
    entry, (own, common) = visit.events[0], rules
    judged = judge(entry, own, judge(entry, common, builtin(entry), "operator_list"), "own_list")
    url = entry["url"] or ""
    referrer = "google.com" if entry["referrer"] == "https://www.google.com/" else None
    if entry["referrer"] == "https://demo.example/b" and entry["site"] == "other":
        # no host of the site: its domain is unknown, and only an entry on that host makes it own
        referrer = None if url.startswith("https://demo.example") else "demo.example/b"
    facts = {
        "hostname": "demo.example" if url.startswith("https://demo.example") else "Unknown",
        "country": entry["country"],
        "network": entry["network"],
        "verdict": judged,
        "referrer": referrer,
        "source": source_of("news" if "utm_source=news" in url else None, referrer, rules),
    }
    for kind in ("hostname", "country", "network", "verdict", "referrer", "source"):
        value = facts[kind]
        if value is not None and excludes(rules, kind, value):
            return f"excluded_{kind}"
    return judged


def builtin(entry: Row) -> str:
    verdict = BUILTIN[entry["ua"]]
    return "hosting" if verdict == bots.HUMAN and entry["network"] == "hosting" else verdict


def judge(entry: Row, rules: Rules, verdict: str, of_bots: str) -> str:
    """A verdict found so far, lifted or not, then the bots of the rules, then their humans."""
    agent, network = (entry["ua"] or "").lower(), entry["network"] or ""
    named = {rule.pattern for rule in rules.bots if rule.counts_as == "human" and rule.by != "user_agent"}
    if verdict in named:
        verdict = bots.HUMAN
    for side, name in (("bot", of_bots), ("human", bots.HUMAN)):
        for rule in rules.bots:
            is_agent = rule.by == "user_agent" and entry["ua"] and fits(rule.pattern.lower(), agent)
            is_network = rule.by == "network" and side == "bot" and fits(rule.pattern, network)
            if rule.counts_as == side and (is_agent or is_network):
                verdict = name
    return verdict


def source_of(said: str | None, referrer: str | None, rules: Layers) -> str:
    for rule in (rule for layer in rules for rule in layer.sources):
        fact = said if rule.by == "utm_source" else None if said else referrer
        if fact is not None and fits(rule.pattern, fact):
            return rule.source
    return said or ("Google" if referrer == "google.com" else referrer) or "Direct / None"


def excludes(rules: Layers, kind: str, value: str) -> bool:
    return any(e.kind == kind and fits(e.pattern, value) for layer in rules for e in layer.exclusions)


def fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def page_of(url: str) -> str:
    return url.removeprefix("https://demo.example").partition("?")[0]
