"""How many events each rule fits, counted rule by rule."""

from __future__ import annotations

import polars as pl

from recount.counting.matched import COLUMNS, matched
from recount.counting.visits import ARCHIVE_SCHEMA, cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, MINUTE_MS
from recount.rules import EVERY_SITE, BotRule, Exclusion, Goal, Rules, SourceRule
from recount.store.catalog import NO_COMMON, Site
from tests.sequences import GOOGLEBOT, START, event, frame

PARTNER = "https://www.partner.example/links?x=1"
RULES = Rules(
    hostnames=("partner.example", "unused.example"),
    goals=(Goal(name="read", page="/b*"), Goal(name="signup", event="signup")),
    exclusions=(
        Exclusion(kind="page", pattern="/b"),
        Exclusion(kind="page", pattern="/nowhere"),
        Exclusion(kind="country", pattern="DE"),
        Exclusion(kind="hostname", pattern="demo.*"),
        Exclusion(kind="network", pattern="hosting"),
        Exclusion(kind="verdict", pattern="crawler"),
        Exclusion(kind="verdict", pattern="hosting"),
        Exclusion(kind="source", pattern="Partner"),
        Exclusion(kind="referrer", pattern="elsewhere.example"),
    ),
    bots=(
        BotRule(counts_as="bot", by="user_agent", pattern="*firefox*"),
        BotRule(counts_as="human", by="verdict", pattern="hosting"),
    ),
    sources=(SourceRule(by="referrer", pattern="elsewhere.example/x*", source="Partner"),),
)


def test_every_rule_is_counted_for_itself() -> None:
    rows = [
        event(visitor=1, url="https://demo.example/b", referrer=PARTNER, country="DE"),
        event(visitor=1, at=MINUTE_MS, kind="event", name="signup", url="https://demo.example/b"),
        event(visitor=2, ua=GOOGLEBOT),
        event(visitor=3, url="https://other.example/", referrer="https://elsewhere.example/xy"),
        event(visitor=4, network="hosting"),
    ]
    events = cut(frame(rows), None, START + HOUR_MS).events.select(COLUMNS)
    site = Site(id="demo", domain="demo.example").ruled(RULES, 2)
    assert list(matched(events, "demo", {"demo": site}, Interpreter()).items()) == [
        ("hostname partner.example", 2),
        ("hostname unused.example", 0),
        ("goal read: page /b*", 1),
        ("goal signup: event signup", 1),
        ("exclude page /b", 2),
        ("exclude page /nowhere", 0),
        ("exclude country DE", 2),
        ("exclude hostname demo.*", 4),
        ("exclude network hosting", 1),
        ("exclude verdict crawler", 1),
        ("exclude verdict hosting", 0),
        ("exclude source Partner", 1),
        ("exclude referrer elsewhere.example", 1),
        ("bot user_agent *firefox*", 4),
        ("human verdict hosting", 1),
        ("source referrer elsewhere.example/x* -> Partner", 1),
    ]


def test_no_event_no_match() -> None:
    nothing = pl.DataFrame(schema=dict(ARCHIVE_SCHEMA)).select(COLUMNS)
    site = Site(id="demo", domain="demo.example").ruled(RULES, 2)
    assert set(matched(nothing, "demo", {"demo": site}, Interpreter()).values()) == {0}


def test_rules_for_all_sites_are_counted_over_all() -> None:
    rows = [
        event(visitor=1, ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=2, site="other", ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=3, network="hosting"),
    ]
    events = cut(frame(rows), None, START + HOUR_MS).events.select(COLUMNS)
    probe = BotRule(counts_as="bot", by="user_agent", pattern="*acmeprobe*")
    lifted = BotRule(counts_as="human", by="verdict", pattern="hosting")
    ours = BotRule(counts_as="human", by="verdict", pattern="operator_list")
    sites = {
        "demo": Site(id="demo", domain="demo.example").ruled(Rules(bots=(ours,)), 2),
        EVERY_SITE: NO_COMMON.ruled(
            Rules(bots=(probe, lifted), exclusions=(Exclusion(kind="verdict", pattern="operator_list"),)), 2
        ),
    }
    assert matched(events, EVERY_SITE, sites, Interpreter()) == {
        "exclude verdict operator_list": 1,  # on the other site: `demo` calls it human
        "bot user_agent *acmeprobe*": 2,
        "human verdict hosting": 1,
    }
    assert matched(events.filter(site="demo"), "demo", sites, Interpreter()) == {
        "human verdict operator_list": 1
    }
