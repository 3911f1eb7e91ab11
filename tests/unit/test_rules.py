"""What each kind of rule does to the numbers, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from recount.counting.fold import Rollup, fold
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, MINUTE_MS
from recount.rules import (
    EVERY_SITE,
    OPERATOR_BOT,
    BotRule,
    Exclusion,
    ExclusionKind,
    Goal,
    Rules,
    SourceRule,
    difference,
    without,
)
from recount.store.catalog import NO_COMMON, Site
from tests.sequences import FIREFOX, GOOGLEBOT, SAFARI, START, Row, event, frame

INTERPRETER = Interpreter()  # loads nothing before it is used
PARTNER = "https://www.partner.example/links?x=1"
HOME = "https://demo.example/"


def folded(rules: Rules, *rows: Row) -> Rollup:
    done = cut(frame(rows), None, START + 10 * HOUR_MS)
    site = Site(id="demo", domain="demo.example").ruled(rules, 2)
    return fold(done.events, done.ends, {"demo": site}, INTERPRETER)


def shown(rollup: Rollup, dimension: str, metric: str = "pageviews", site: str = "demo") -> dict[str, int]:
    """Each value of a dimension with a metric, over all hours; what is 0 is left out."""
    rows = rollup.rows.filter(pl.col("dimension") == dimension, pl.col("site") == site)
    number = pl.col("visitors").list.len() if metric == "visitors" else pl.col(metric)
    found: dict[str, int] = dict(rows.group_by("value").agg(number.sum()).rows())
    return {value: count for value, count in sorted(found.items()) if count}


def exclude(kind: ExclusionKind, pattern: str) -> Rules:
    return Rules(exclusions=(Exclusion(kind=kind, pattern=pattern),))


@pytest.mark.parametrize(
    ("kind", "pattern", "facts"),
    [
        ("hostname", "staging.demo.example", {"url": "https://staging.demo.example/x"}),
        ("hostname", "*.demo.example", {"url": "https://Staging.demo.example/x"}),
        ("country", "DE", {"country": "DE"}),
        ("referrer", "partner.example", {"referrer": PARTNER}),
        ("referrer", "partner.example/li*", {"referrer": PARTNER}),
        ("source", "news", {"url": HOME + "?utm_source=news"}),
        ("source", "Google", {"referrer": "https://www.google.com/"}),
        ("network", "business", {"network": "business"}),
        ("verdict", "crawler", {"ua": GOOGLEBOT}),
        ("verdict", "hosting", {"network": "hosting"}),
    ],
)
def test_an_exclusion_leaves_whole_visits_out(
    kind: ExclusionKind, pattern: str, facts: dict[str, Any]
) -> None:
    """The second event of the visit is of another page and source; its entry decides."""
    rows = [
        event(visitor=1, **facts),
        event(visitor=1, at=MINUTE_MS, url="https://demo.example/b", kind="event", name="signup"),
        event(visitor=2, at=2 * MINUTE_MS, ua=SAFARI),
    ]
    found = folded(exclude(kind, pattern), *rows)
    assert shown(found, "verdict", "accepted") == {f"excluded_{kind}": 2, "human": 1}
    assert shown(found, "verdict", "visits") == {f"excluded_{kind}": 1, "human": 1}
    assert shown(found, "verdict", "ended_visits") == {f"excluded_{kind}": 1, "human": 1}
    for metric in ("visits", "pageviews", "visitors", "accepted", "ended_visits", "bounces"):
        assert shown(found, "total", metric) == {"": 1}, metric
    assert shown(found, "event", "events") == {}
    assert shown(found, "page") == {"/": 1}
    assert shown(found, "exit_page", "exits") == {"/": 1}


def test_a_pattern_that_fits_nothing_changes_nothing() -> None:
    rows = [event(visitor=1, referrer=PARTNER, country="DE"), event(visitor=2)]
    plain = folded(Rules(), *rows)
    for kind in ("page", "hostname", "country", "referrer", "source", "network", "verdict"):
        found = folded(exclude(kind, "XX"), *rows)
        assert found.rows.equals(plain.rows), kind


def test_rules_of_one_site_do_not_touch_another() -> None:
    rows = [event(visitor=1, country="DE"), event(visitor=1, site="other", country="DE")]
    found = folded(exclude("country", "DE"), *rows)
    assert shown(found, "total") == {}
    assert shown(found, "total", site="other") == {"": 1}


def test_an_excluded_page_is_hidden_and_its_visit_stays() -> None:
    rows = [
        event(visitor=1, url="https://demo.example/admin/a"),
        event(visitor=1, at=1_000, kind="engagement", url="https://demo.example/admin/a",
              engaged_ms=9_000, scroll_percent=80),
        event(visitor=1, at=2_000, kind="event", name="buy", url="https://demo.example/admin/a",
              revenue_amount="5", revenue_currency="EUR"),
        event(visitor=1, at=MINUTE_MS, url="https://demo.example/b"),
        event(visitor=1, at=2 * MINUTE_MS, kind="event", name="buy", url="https://demo.example/b",
              revenue_amount="7", revenue_currency="EUR"),
        event(visitor=1, at=3 * MINUTE_MS, kind="engagement", url="https://demo.example/b",
              engaged_ms=500, scroll_percent=40),
        event(visitor=1, at=4 * MINUTE_MS, url="https://demo.example/admin/b"),
        event(visitor=2, url="https://demo.example/admin/a", ua=GOOGLEBOT),
    ]  # fmt: skip
    goals = (Goal(name="seen", page="/admin/*"), Goal(name="bought", event="buy"))
    found = folded(replace(exclude("page", "/admin/*"), goals=goals), *rows)
    assert shown(found, "total") == {"": 1}
    assert shown(found, "total", "visits") == {"": 1}
    assert shown(found, "total", "visitors") == {"": 1}
    assert shown(found, "total", "ended_visits") == {"": 1}
    assert shown(found, "total", "events") == {"": 1}
    assert shown(found, "total", "engaged_ms") == {"": 500}
    assert (shown(found, "total", "scroll_sum"), shown(found, "total", "scroll_count")) == ({"": 40}, {"": 1})
    assert shown(found, "page") == {"/b": 1}
    assert shown(found, "event", "events") == {"buy": 1}
    assert shown(found, "goal", "accepted") == {"bought": 1}
    assert shown(found, "entry_page", "visits") == {}, "it began on a page that is not shown"
    assert shown(found, "exit_page", "exits") == {}
    assert shown(found, "browser", "visits") == {"Firefox": 1}
    assert shown(found, "verdict", "accepted") == {"crawler": 1, "excluded_page": 4, "human": 3}
    revenue = found.revenue.filter(pl.col("dimension") == "total")
    assert revenue["micros"].to_list() == [7_000_000]


def test_own_bots_and_humans() -> None:
    rows = [
        event(visitor=1, ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=2, network="hosting"),
        event(visitor=3, ua=GOOGLEBOT),
        event(visitor=4, ua=FIREFOX, network="school"),
    ]
    before = folded(Rules(), *rows)
    assert shown(before, "verdict") == {"crawler": 1, "hosting": 1, "human": 2}
    rules = Rules(
        bots=(
            BotRule(counts_as="bot", by="user_agent", pattern="*acmeprobe*"),
            BotRule(counts_as="bot", by="network", pattern="school"),
            BotRule(counts_as="human", by="network", pattern="hosting"),
            BotRule(counts_as="human", by="user_agent", pattern="*Googlebot*"),
        )
    )
    found = folded(rules, *rows)
    assert shown(found, "verdict") == {"human": 2, "own_list": 2}
    assert shown(found, "total") == {"": 2}
    lifted = Rules(bots=(BotRule(counts_as="human", by="verdict", pattern="crawler"),))
    assert shown(folded(lifted, *rows), "verdict") == {"hosting": 1, "human": 3}


def test_a_lifted_verdict_does_not_spare_an_own_bot() -> None:
    rules = Rules(
        bots=(
            BotRule(counts_as="human", by="network", pattern="hosting"),
            BotRule(counts_as="bot", by="user_agent", pattern="*firefox*"),
        )
    )
    assert shown(folded(rules, event(network="hosting")), "verdict") == {"own_list": 1}


def test_sources_by_referrer_and_by_word() -> None:
    rules = Rules(
        sources=(
            SourceRule(by="utm_source", pattern="nl-*", source="Newsletter", channel="Email"),
            SourceRule(by="referrer", pattern="partner.example/links", source="Links"),
            SourceRule(by="referrer", pattern="*.example", source="Partner", channel="Affiliates"),
        )
    )
    rows = [
        event(visitor=1, url=HOME + "?utm_source=nl-may", referrer=PARTNER),
        event(visitor=2, url=HOME + "?utm_source=other", referrer=PARTNER),
        event(visitor=3, referrer=PARTNER),
        event(visitor=4, referrer="https://blog.partner.example/"),
        event(visitor=5, referrer="https://demo.example/own"),
        event(visitor=6),
    ]
    found = folded(rules, *rows)
    assert shown(found, "source") == {
        **{"Newsletter": 1, "other": 1, "Links": 1, "Partner": 1},
        "Direct / None": 2,
    }
    assert shown(found, "channel") == {"Affiliates": 1, "Direct": 2, "Email": 1, "Referral": 2}
    assert shown(found, "referrer") == {"blog.partner.example": 1, "partner.example/links": 3}
    left_out = replace(rules, exclusions=(Exclusion(kind="source", pattern="Newsletter"),))
    assert shown(folded(left_out, *rows), "verdict") == {"excluded_source": 1, "human": 5}


def test_the_words_of_rules_tell_them_apart() -> None:
    rules = Rules(
        hostnames=("a.example",),
        goals=(Goal(name="signup", event="Signup"),),
        exclusions=(Exclusion(kind="page", pattern="/admin/*"),),
        bots=(BotRule(counts_as="human", by="network", pattern="hosting"),),
        sources=(SourceRule(by="referrer", pattern="p.example", source="P", channel="Affiliates"),),
    )
    assert rules.lines == [
        "hostname a.example",
        "goal signup: event Signup",
        "exclude page /admin/*",
        "human network hosting",
        "source referrer p.example -> P (Affiliates)",
    ]
    rest: Rules | None = rules
    for line in rules.lines:
        assert rest is not None
        assert difference(rest, rules) == [f"+ {gone}" for gone in rules.lines if gone not in rest.lines]
        rest = without(rest, line)
    assert rest == Rules()
    assert without(Rules(), "exclude page /x") is None


def folded_with(common: Rules, own: Rules, *rows: Row) -> Rollup:
    """By the rules for all sites, and `demo` by its own too."""
    done = cut(frame(rows), None, START + 10 * HOUR_MS)
    sites = {
        "demo": Site(id="demo", domain="demo.example").ruled(own, 2),
        EVERY_SITE: NO_COMMON.ruled(common, 2),
    }
    return fold(done.events, done.ends, sites, INTERPRETER)


def test_a_rule_for_all_sites_counts_on_each_also_where_the_catalog_knows_none() -> None:
    rows = [
        event(visitor=1, ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=1, site="unknown", ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=2),
        event(visitor=2, site="unknown"),
    ]
    probe = BotRule(counts_as="bot", by="user_agent", pattern="*AcmeProbe*")
    found = folded_with(Rules(bots=(probe,)), Rules(), *rows)
    for site in ("demo", "unknown"):
        assert shown(found, "verdict", site=site) == {"human": 1, "operator_list": 1}
        assert shown(found, "total", site=site) == {"": 1}


def test_a_sites_own_rules_have_the_last_word_on_who_is_a_bot() -> None:
    rows = [
        event(visitor=1, ua="Mozilla/5.0 AcmeProbe/1.0"),
        event(visitor=2, ua="Mozilla/5.0 OtherProbe/1.0"),
        event(visitor=3, ua=GOOGLEBOT),
        event(visitor=4, network="hosting"),
    ]
    common = Rules(
        bots=(
            BotRule(counts_as="bot", by="user_agent", pattern="*probe*"),
            BotRule(counts_as="human", by="network", pattern="hosting"),
        )
    )
    assert shown(folded_with(common, Rules(), *rows), "verdict") == {
        **{"crawler": 1, "human": 1},
        "operator_list": 2,
    }
    one = BotRule(counts_as="human", by="user_agent", pattern="*acmeprobe*")
    assert shown(folded_with(common, Rules(bots=(one,)), *rows), "verdict") == {
        **{"crawler": 1, "human": 2},
        "operator_list": 1,
    }
    every = BotRule(counts_as="human", by="verdict", pattern="operator_list")
    assert shown(folded_with(common, Rules(bots=(every,)), *rows), "verdict") == {"crawler": 1, "human": 3}
    own = BotRule(counts_as="bot", by="user_agent", pattern="*OtherProbe*")
    assert shown(folded_with(common, Rules(bots=(own,)), *rows), "verdict") == {
        **{"crawler": 1, "human": 1},
        **{"operator_list": 1, "own_list": 1},
    }


def test_what_either_excludes_is_left_out() -> None:
    rows = [
        event(visitor=1, country="DE"),
        event(visitor=2, country="FR"),
        event(visitor=3, url=HOME + "admin"),
        event(visitor=4, ua="Mozilla/5.0 AcmeProbe/1.0"),
    ]
    common = Rules(
        exclusions=(Exclusion(kind="country", pattern="DE"), Exclusion(kind="page", pattern="/admin")),
        bots=(BotRule(counts_as="bot", by="user_agent", pattern="*acmeprobe*"),),
    )
    own = Rules(
        exclusions=(Exclusion(kind="country", pattern="FR"), Exclusion(kind="verdict", pattern=OPERATOR_BOT))
    )
    assert shown(folded_with(common, own, *rows), "verdict", "accepted") == {
        "excluded_country": 2,
        "excluded_page": 1,
        "excluded_verdict": 1,
    }


def test_a_sites_own_name_of_a_source_goes_before_the_one_for_all() -> None:
    rows = [
        event(visitor=1, referrer=PARTNER),
        event(visitor=1, site="other", referrer=PARTNER),
        event(visitor=2, url=HOME + "?utm_source=news", referrer=PARTNER),
    ]
    common = Rules(
        sources=(
            SourceRule(by="referrer", pattern="partner.example", source="Partners", channel="Affiliates"),
            SourceRule(by="utm_source", pattern="news", source="The News"),
        )
    )
    own = Rules(sources=(SourceRule(by="referrer", pattern="*.example", source="Friends"),))
    found = folded_with(common, own, *rows)
    assert shown(found, "source", site="other") == {"Partners": 1}
    assert shown(found, "channel", site="other") == {"Affiliates": 1}
    assert shown(found, "source") == {"Friends": 1, "The News": 1}


def test_goals_and_hostnames_for_all_sites_join_a_sites_own() -> None:
    rows = [
        event(visitor=1, kind="event", name="Signup"),
        event(visitor=1, at=MINUTE_MS, kind="event", name="Bought"),
        event(visitor=1, site="other", kind="event", name="Signup"),
        event(visitor=2, referrer="https://www.checkout.example/paid"),
    ]
    common = Rules(
        hostnames=("checkout.example",),
        goals=(Goal(name="signed up", event="Signup"), Goal(name="bought", event="Signup")),
    )
    found = folded_with(common, Rules(goals=(Goal(name="bought", event="Bought"),)), *rows)
    assert shown(found, "goal", "events") == {"bought": 1, "signed up": 1}, "its own `bought` holds"
    assert shown(found, "goal", "events", site="other") == {"bought": 1, "signed up": 1}
    assert shown(found, "source") == {"Direct / None": 1}
