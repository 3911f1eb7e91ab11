"""How many events each rule fits, counted rule by rule."""

from __future__ import annotations

import polars as pl

from recount.counting.matched import COLUMNS, matched
from recount.counting.visits import ARCHIVE_SCHEMA, cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, MINUTE_MS
from recount.rules import BotRule, Exclusion, Goal, Rules, SourceRule
from recount.store.catalog import Site
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
    assert list(matched(events, site, Interpreter()).items()) == [
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
    assert set(matched(nothing, site, Interpreter()).values()) == {0}
