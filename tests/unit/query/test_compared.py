"""Comparisons, orders, goals and what is said of how far the numbers can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recount.counting.rollup import Rollup
from recount.periods import hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.measures import Row
from recount.querying.query import Filter, Order, Query, Span
from tests.publishing import SITES, SLOTS, Press
from tests.rollups import rollup, row

SITE = SITES["utc"]
NOW = hour_start_ms("2026-11-20T00")
BEFORE, DAY = Span("2026-11-01", "2026-11-01"), Span("2026-11-02", "2026-11-02")


def hour(name: str, pages: dict[str, int], goals: dict[str, int] | None = None) -> Rollup:
    """A page or goal is seen by so many visitors, each once."""
    at = hour_start_ms(name)
    counts: dict[str, Any] = {"pageviews": sum(pages.values()), "accepted": 9, "visits": 4}
    rows = [
        row("utc", at, dimension, "", range(100), **counts, ended_visits=4, bounces=1)
        for dimension in ("total", "series")
    ]
    rows += [row("utc", at, "page", page, range(n), pageviews=n, accepted=n) for page, n in pages.items()]
    rows += [
        row("utc", at, "goal", goal, range(n), events=n, accepted=2 * n) for goal, n in (goals or {}).items()
    ]
    key = {"site": "utc", "at": at, "dimension": "page", "currency": "EUR"}
    return rollup(rows, [{**key, "value": page, "micros": n * 10**6} for page, n in pages.items()])


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    press = Press(tmp_path_factory.mktemp("compared"))
    press.publish(
        {
            "2026-11-01T10": hour("2026-11-01T10", {"/a": 10, "/b": 20}, {"signup": 5}),
            "2026-11-02T10": hour("2026-11-02T10", {"/a": 15, "/c": 3}, {"signup": 10, "play": 20}),
            "2026-11-02T11": hour("2026-11-02T11", {"/c": 1}),
        }
    )
    return Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: NOW)


def rows(answerer: Answerer, query: Query) -> list[Row]:
    return answerer.answer(SITE, query).tables[0]


def test_values_say_what_they_were(answerer: Answerer) -> None:
    query = Query(DAY, ("pageviews", "visits", "revenue"), ("page",), compared=BEFORE, limit=1)
    [top] = rows(answerer, query)
    assert (top["page"], top["pageviews"]) == ("/a", 15)
    assert top["comparison"] == {
        **{"pageviews": 10, "visits": None, "revenue": {"EUR": "10.00"}, "origin": "published"},
    }
    assert top["change"] == {"pageviews": 0.5, "visits": None, "revenue": 0.5}
    fresh = rows(answerer, Query(DAY, ("pageviews",), ("page",), compared=BEFORE))[1]
    assert (fresh["page"], fresh["comparison"]["pageviews"], fresh["change"]) == (
        "/c",
        0,
        {"pageviews": None},
    )


def test_totals_and_series_say_what_they_were(answerer: Answerer) -> None:
    [total] = rows(answerer, Query(DAY, ("pageviews", "bounce_rate"), compared=BEFORE))
    assert total["comparison"] == {"pageviews": 30, "bounce_rate": 0.25, "origin": "published"}
    assert total["change"] == {"pageviews": -0.3667, "bounce_rate": 0.0}
    series = rows(answerer, Query(DAY, ("pageviews",), interval="hour", compared=BEFORE))
    assert len(series) == 24
    tenth = series[10]
    assert tenth["comparison"] | {"origin": None} == {
        "at": hour_start_ms("2026-11-01T10"),
        "date": "2026-11-01T10:00",
        "pageviews": 30,
        "origin": None,
    }
    assert tenth["change"] == {"pageviews": -0.4}
    longer = Query(Span("2026-11-01", "2026-11-02"), ("pageviews",), interval="day", compared=BEFORE)
    assert [row["comparison"]["pageviews"] for row in rows(answerer, longer)] == [30, 0]


def test_rows_in_other_orders(answerer: Answerer) -> None:
    def pages(*order: Order) -> list[str]:
        query = Query(Span("2026-11-01", "2026-11-02"), ("pageviews", "revenue"), ("page",), order=order)
        return [row["page"] for row in rows(answerer, query)]

    assert pages() == ["/a", "/b", "/c"]
    assert pages(Order("pageviews", descending=False)) == ["/c", "/b", "/a"]
    assert pages(Order("page")) == ["/c", "/b", "/a"]
    assert pages(Order("revenue", descending=False), Order("page")) == ["/c", "/b", "/a"]


def test_goals_say_how_many_came_and_which_share_that_is(answerer: Answerer) -> None:
    metrics = ("visitors", "conversions", "conversion_rate")
    found = {row["goal"]: row for row in rows(answerer, Query(DAY, metrics, ("goal",)))}
    assert found["signup"] | {"origin": None} == {
        **{"goal": "signup", "visitors": 10, "conversions": 20, "conversion_rate": 0.1, "origin": None},
    }
    assert found["play"]["conversion_rate"] == 0.2
    only = (Filter("goal", "equals", ("signup",)),)
    [total] = rows(answerer, Query(DAY, metrics, filters=only, compared=BEFORE))
    assert (total["conversion_rate"], total["change"]["conversion_rate"]) == (0.1, 1.0)
    both = Query(Span("2026-11-01", "2026-11-02"), metrics, filters=only, interval="day")
    assert [row["conversion_rate"] for row in rows(answerer, both)] == [0.05, 0.1]
    assert [row["conversions"] for row in rows(answerer, both)] == [10, 20]


def test_confidence_of_what_is_counted_whole(answerer: Answerer) -> None:
    [about] = answerer.answer(SITE, Query(DAY, ("visitors", "bounce_rate"))).about
    assert about.confidence == {"visitors": {"kind": "exact"}, "bounce_rate": {"kind": "exact"}}
    assert about.total == 1


def test_confidence_of_estimates(tmp_path: Path) -> None:
    press = Press(tmp_path)
    at = hour_start_ms("2026-11-02T10")
    many = [n * 2**50 for n in range(4097)]
    press.publish({"2026-11-02T10": rollup([row("utc", at, "total", "", many, pageviews=1, accepted=1)])})
    ask = Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: NOW)
    [about] = ask.answer(SITE, Query(DAY, ("visitors", "pageviews"))).about
    assert about.confidence == {
        "visitors": {"kind": "estimate", "standard_error": 0.0156},
        "pageviews": {"kind": "exact"},
    }


def test_many_days_of_few_visitors_are_exact(tmp_path: Path) -> None:
    press = Press(tmp_path)
    made = {}
    for name in ("2026-11-01T10", "2026-11-02T10", "2026-11-03T10"):
        at = hour_start_ms(name)
        made[name] = rollup([row("utc", at, d, "", range(2000), pageviews=1) for d in ("total", "series")])
    press.publish(made)
    ask = Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: NOW)
    answers = ask.answer(SITE, Query(Span("2026-11-01", "2026-11-03"), ("visitors",)))
    assert answers.tables[0][0]["visitors"] == 6000
    assert answers.about[0].confidence == {"visitors": {"kind": "exact"}}
    assert not [note for note in answers.notes if "estimates" in note]


def test_confidence_of_values_that_may_have_been_folded(tmp_path: Path) -> None:
    press = Press(tmp_path, top_values=1)
    press.publish(
        {
            "2026-11-01T10": hour("2026-11-01T10", {"/a": 10, "/b": 7}),
            "2026-11-02T10": hour("2026-11-02T10", {"/b": 9, "/a": 4}),
        }
    )
    ask = Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: NOW)
    both = ask.answer(SITE, Query(Span("2026-11-01", "2026-11-02"), ("visitors", "pageviews"), ("page",)))
    assert both.about[0].confidence["visitors"] == {"kind": "lower_bound", "missing_at_most": 11}
    assert both.about[0].confidence["pageviews"] == {"kind": "lower_bound"}
    alone = ask.answer(SITE, Query(DAY, ("visitors",), ("page",)))
    assert alone.about[0].confidence["visitors"] == {"kind": "exact"}
