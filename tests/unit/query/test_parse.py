from __future__ import annotations

from typing import Any

import pytest

from recount.errors import InvalidInput
from recount.periods import hour_start_ms
from recount.querying.parse import parse
from recount.querying.query import DEFAULT_METRICS, Filter, Query, Span
from recount.querying.ranges import parse_range
from recount.querying.reach import needs_archive
from recount.store.catalog import Site

SITE = Site(id="demo", domain="demo.example", timezone="Pacific/Auckland")
NOW = hour_start_ms("2026-11-22T20")  # the 23rd in Auckland


def asked(**body: Any) -> Query:
    return parse({"site": "demo", **body}, {"demo": SITE}.get, NOW)[1]


def test_defaults_are_the_last_week_of_the_site() -> None:
    assert asked() == Query(Span("2026-11-17", "2026-11-23"), DEFAULT_METRICS)


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ("today", "2026-11-23", "2026-11-23"),
        ("yesterday", "2026-11-22", "2026-11-22"),
        ("1d", "2026-11-23", "2026-11-23"),
        ("30d", "2026-10-25", "2026-11-23"),
        ("month", "2026-11-01", "2026-11-23"),
        ("12mo", "2025-12-01", "2026-11-23"),
        ("1mo", "2026-11-01", "2026-11-23"),
        (["2015-05-17", "2015-05-20"], "2015-05-17", "2015-05-20"),
        (["2024-02-29", "2024-02-29"], "2024-02-29", "2024-02-29"),
    ],
)
def test_ranges(given: object, first: str, last: str) -> None:
    assert parse_range(given, "2026-11-23", "UTC") == Span(first, last)


@pytest.mark.parametrize(
    "given",
    [
        *("week", "0d", "-1d", "d", "99999d", "9999mo", "", None, 7, {}),
        *(
            ["2026-11-01"],
            ["2026-11-02", "2026-11-01"],
            ["2026-02-30", "2026-03-01"],
            ["20261101", "2026-11-02"],
        ),
        *([1, 2], ["1900-01-01", "2026-01-01"]),
    ],
)
def test_bad_ranges_say_what_is_possible(given: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_range(given, "2026-11-23", "UTC")
    assert caught.value.field == "date_range"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"site": "nope"}, "site"),
        ({"site": 7}, "site"),
        ({"metric": ["visitors"]}, "metric"),
        ({"metrics": []}, "metrics"),
        ({"metrics": "visitors"}, "metrics"),
        ({"metrics": ["visitors", "clicks"]}, "metrics"),
        ({"dimensions": ["page", "page"]}, "dimensions"),
        ({"dimensions": ["page", "source", "os", "device", "region"]}, "dimensions"),
        ({"dimensions": "page"}, "dimensions"),
        ({"dimensions": ["hours"]}, "dimensions"),
        ({"dimensions": ["prop:"]}, "dimensions"),
        ({"interval": "minute"}, "interval"),
        ({"interval": "day", "dimensions": ["page"]}, "interval"),
        ({"interval": "hour", "date_range": "32d"}, "interval"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"filters": {}}, "filters"),
        ({"filters": ["page"]}, "filters[0]"),
        ({"filters": [{"dimension": "page", "operator": "like", "values": ["/"]}]}, "filters[0].operator"),
        ({"filters": [{"dimension": "nope", "operator": "equals", "values": ["/"]}]}, "filters[0].dimension"),
    ],
)
def test_errors_name_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(**body)
    assert caught.value.field == field
    assert caught.value.detail


@pytest.mark.parametrize("values", [[], "x", [1], ["a"] * 101])
def test_filter_values_are_a_bounded_list_of_texts(values: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(dimensions=["page"], filters=[{"dimension": "page", "operator": "equals", "values": values}])
    assert caught.value.field == "filters[0].values"


def only(dimension: str, *values: str, operator: str = "equals") -> dict[str, Any]:
    return {"dimension": dimension, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    "body",
    [
        {"dimensions": ["page"], "filters": [only("page", "/a", "/b"), only("page", "/c", operator="not")]},
        {"filters": [only("country", "DE")], "metrics": ["visits", "bounce_rate"]},
        {"filters": [only("page", "/")], "metrics": ["visitors", "pageviews"]},
        {"interval": "day"},
        {"interval": "day", "filters": [only("country", "DE")]},
        {"interval": "week", "date_range": "12mo"},
        {"interval": "day", "timezone": "Europe/Berlin", "date_range": "92d"},
        {"dimensions": ["page"], "timezone": "Europe/Berlin", "date_range": "12mo"},
        {"timezone": "Asia/Kolkata", "date_range": "12mo"},
        {"dimensions": ["goal"], "metrics": ["conversions", "conversion_rate"]},
        {"filters": [only("goal", "Signup")], "metrics": ["conversion_rate"], "interval": "week"},
    ],
)
def test_what_the_rollups_know(body: dict[str, Any]) -> None:
    assert needs_archive(SITE, asked(**body)) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dimensions": ["page", "country"]}, "dimensions"),
        ({"dimensions": ["page"], "filters": [only("country", "DE")]}, "filters[0].dimension"),
        (
            {"dimensions": ["page"], "filters": [only("page", "/"), only("country", "DE")]},
            "filters[1].dimension",
        ),
        ({"filters": [only("country", "DE", "FR")]}, "filters[0].dimension"),
        ({"filters": [only("country", "DE", operator="not")]}, "filters[0].dimension"),
        ({"filters": [only("country", "DE"), only("os", "Linux")]}, "filters[0].dimension"),
        ({"filters": [only("page", "/")], "metrics": ["visits"]}, "filters[0].dimension"),
        ({"filters": [only("country", "DE")], "interval": "hour"}, "interval"),
        ({"filters": [only("country", "DE")], "interval": "day", "timezone": "UTC"}, "interval"),
        ({"filters": [only("country", "DE")], "interval": "day", "date_range": "93d"}, "date_range"),
        ({"interval": "day", "timezone": "Europe/Berlin", "date_range": "93d"}, "date_range"),
        ({"dimensions": ["page"], "timezone": "Asia/Kolkata"}, "timezone"),
        (
            {"dimensions": ["page"], "date_range": ["2026-11-01T00:15", "2026-11-01T01:00"]},
            "date_range",
        ),
        ({"metrics": ["conversion_rate"]}, "metrics"),
        ({"metrics": ["conversions"], "dimensions": ["source"]}, "metrics"),
    ],
)
def test_what_the_rollups_do_not_know_names_the_field(body: dict[str, Any], field: str) -> None:
    beyond = needs_archive(SITE, asked(**body))
    assert beyond is not None
    assert beyond.field == field


def test_a_whole_query() -> None:
    query = asked(
        metrics=["pageviews", "visitors", "pageviews"],
        dimensions=["prop:plan"],
        date_range=["2026-11-01", "2026-11-02"],
        filters=[{"dimension": "prop:plan", "operator": "matches", "values": ["pro*"]}],
        limit=5,
    )
    assert query == Query(
        Span("2026-11-01", "2026-11-02"),
        ("pageviews", "visitors"),
        ("prop:plan",),
        filters=(Filter("prop:plan", "matches", ("pro*",)),),
        limit=5,
    )


@pytest.mark.parametrize("body", [None, [], "demo", 7])
def test_a_query_is_an_object(body: object) -> None:
    with pytest.raises(InvalidInput):
        parse(body, {"demo": SITE}.get, NOW)


def test_the_period_before_has_the_same_length() -> None:
    assert Span("2026-03-01", "2026-03-07").before() == Span("2026-02-22", "2026-02-28")
