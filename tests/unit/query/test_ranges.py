from __future__ import annotations

import pytest

from recount.errors import InvalidInput
from recount.periods import day_span_ms, hour_start_ms
from recount.querying import buckets
from recount.querying.query import Interval, Span, span_of
from recount.querying.ranges import parse_compare, parse_range

TODAY = "2026-11-23"
NOW = hour_start_ms("2026-11-23T10") + 20 * 60_000


def test_times_cut_the_first_and_the_last_day() -> None:
    span = parse_range(["2026-11-20T10:00", "2026-11-21T18:15"], TODAY, "UTC")
    assert (span.first, span.last) == ("2026-11-20", "2026-11-21")
    assert span.bounds_ms("UTC") == (
        hour_start_ms("2026-11-20T10"),
        hour_start_ms("2026-11-21T18") + 15 * 60_000,
    )


def test_times_at_midnight_are_whole_days() -> None:
    found = parse_range(["2026-11-20T00:00", "2026-11-22T00:00"], TODAY, "Europe/Berlin")
    assert found == Span("2026-11-20", "2026-11-21")


def test_times_are_local() -> None:
    span = parse_range(["2026-11-20T10:00", "2026-11-20T11:00"], TODAY, "Asia/Kathmandu")
    assert span.bounds_ms("Asia/Kathmandu")[0] == hour_start_ms("2026-11-20T04") + 15 * 60_000


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (["2026-11-20T10:07", "2026-11-20T11:00"], "quarters"),
        (["2026-11-20T11:00", "2026-11-20T10:00"], "before it begins"),
        (["2026-11-20T10:00", "2026-11-20T10:00"], "before it begins"),
        (["2026-11-20T25:00", "2026-11-21T10:00"], "no time"),
        (["2026-11-20T10:00", "2026-11-21"], "no date"),
        (["1969-12-31", "1970-01-02"], "years are from"),
        (["2026-11-20", "9999-12-31"], "at most"),
        (["9998-11-20", "9999-12-31"], "years are from"),
    ],
)
def test_impossible_ranges_say_what_is_possible(given: list[str], detail: str) -> None:
    with pytest.raises(InvalidInput, match=detail) as caught:
        parse_range(given, TODAY, "UTC")
    assert caught.value.field == "date_range"


def test_the_same_moments_by_the_dates_of_another_zone() -> None:
    span = Span("2026-11-20", "2026-11-20").in_zone("Asia/Tokyo", "Europe/Berlin")
    assert (span.first, span.last) == ("2026-11-19", "2026-11-20")
    assert span.bounds_ms("Europe/Berlin") == day_span_ms("2026-11-20", "Asia/Tokyo")
    same = Span("2026-11-20", "2026-11-21")
    assert same.in_zone("Europe/Paris", "Europe/Berlin") == same


def test_a_date_that_a_zone_left_out_is_empty() -> None:
    span = Span("2011-12-30", "2011-12-30")  # Samoa moved across the date line
    start, end = span.bounds_ms("Pacific/Apia")
    assert start == end
    local = span.in_zone("Pacific/Apia", "UTC")
    assert local.bounds_ms("UTC") == (start, end)
    assert buckets.starts(span, "Pacific/Apia", "day") == []
    around = buckets.starts(Span("2011-12-29", "2011-12-31"), "Pacific/Apia", "day")
    labels = [buckets.label(at, "Pacific/Apia", "day") for at in around]
    assert labels == ["2011-12-29", "2011-12-31"]


@pytest.mark.parametrize(
    ("interval", "dates"),
    [
        ("week", ["2026-10-21", "2026-10-26", "2026-11-02"]),
        ("month", ["2026-10-21", "2026-11-01"]),
    ],
)
def test_the_first_bucket_begins_with_the_range(interval: Interval, dates: list[str]) -> None:
    zone = "Europe/Berlin"
    starts = buckets.starts(Span("2026-10-21", "2026-11-05"), zone, interval)
    assert [buckets.label(at, zone, interval) for at in starts] == dates


def test_hours_of_the_night_when_clocks_go_back() -> None:
    zone = "Europe/Berlin"
    starts = buckets.starts(Span("2026-10-25", "2026-10-25"), zone, "hour")
    assert len(starts) == 25
    labels = [buckets.label(at, zone, "hour")[11:] for at in starts]
    assert labels[1:5] == ["01:00", "02:00", "02:00", "03:00"]


@pytest.mark.parametrize(
    ("given", "span", "compared"),
    [
        (None, Span("2026-11-01", "2026-11-07"), None),
        ("previous_period", Span("2026-11-01", "2026-11-07"), Span("2026-10-25", "2026-10-31")),
        ("previous_year", Span("2024-02-28", "2024-02-29"), Span("2023-02-28", "2023-02-28")),
        (["2026-01-01", "2026-01-31"], Span("2026-11-01", "2026-11-07"), Span("2026-01-01", "2026-01-31")),
        (
            "previous_period",
            span_of(hour_start_ms("2026-11-20T10"), hour_start_ms("2026-11-20T18"), "UTC"),
            span_of(hour_start_ms("2026-11-20T02"), hour_start_ms("2026-11-20T10"), "UTC"),
        ),
        (
            "previous_year",
            span_of(hour_start_ms("2026-11-20T10"), hour_start_ms("2026-11-20T18"), "UTC"),
            span_of(hour_start_ms("2025-11-20T10"), hour_start_ms("2025-11-20T18"), "UTC"),
        ),
        (
            "previous_period",  # runs: as far as it has come, up to the hour
            Span("2026-11-17", "2026-11-23"),
            Span("2026-11-10", "2026-11-16", hour_start_ms("2026-11-16T11")),
        ),
        (
            "previous_year",
            Span("2026-11-01", "2026-11-30"),
            Span("2025-11-01", "2025-11-23", hour_start_ms("2025-11-23T11")),
        ),
    ],
)
def test_what_a_range_is_compared_with(given: object, span: Span, compared: Span | None) -> None:
    assert parse_compare(given, span, "UTC", NOW) == compared


@pytest.mark.parametrize("given", ["last_week", 7, {}, ["2026-11-01"], ["x", "y"]])
def test_a_comparison_that_is_none(given: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_compare(given, Span(TODAY, TODAY), "UTC", NOW)
    assert caught.value.field == "compare"
