"""Ranges: what a query string means, and what it is compared with."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from dashboard_svc import ranges
from recount.errors import InvalidInput
from recount.querying.query import Span

ZURICH = "Europe/Zurich"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-11-23T13:34")


def parse(zone: str = "UTC", now_ms: int = NOW, **args: str) -> ranges.Range:
    return of({name.rstrip("_"): value for name, value in args.items()}, zone, now_ms)


def of(args: dict[str, str], zone: str = "UTC", now_ms: int = NOW) -> ranges.Range:
    return ranges.parse(args, zone=zone, now_ms=now_ms, extent=lambda: date(2015, 5, 17))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("today", "2026-11-23", "2026-11-23"),
        ("yesterday", "2026-11-22", "2026-11-22"),
        ("7d", "2026-11-17", "2026-11-23"),
        ("30d", "2026-10-25", "2026-11-23"),
        ("month", "2026-11-01", "2026-11-23"),
        ("12mo", "2025-12-01", "2026-11-23"),
    ],
)
def test_named_ranges_end_today(name: str, first: str, last: str) -> None:
    assert parse(period=name).span == Span(first, last)


def test_without_a_choice_it_is_a_week() -> None:
    assert parse().name == "7d"


def test_today_is_the_sites_own() -> None:
    assert parse("Pacific/Auckland", period="today").span.first == "2026-11-24"
    assert parse("Pacific/Honolulu", ms("2026-11-23T05:00"), period="today").span.first == "2026-11-22"


def test_all_time_begins_with_the_data_but_is_bounded() -> None:
    assert parse(period="all").span.first == "2016-10-07"
    assert parse(now_ms=ms("2020-01-01T00:00"), period="all").span.first == "2015-05-17"
    assert parse(period="all").previous is None


def test_a_custom_range_in_either_order_and_never_beyond_today() -> None:
    assert parse(from_="2015-05-20", to="2015-05-17").span == Span("2015-05-17", "2015-05-20")
    assert parse(from_="2026-11-20", to="2030-01-01").span == Span("2026-11-20", "2026-11-23")
    assert parse(from_="2026-11-20").span == Span("2026-11-20", "2026-11-20")
    assert parse(to="2026-11-20").span == Span("2026-11-20", "2026-11-20")


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"period": "fortnight"}, "period"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "2026-11-01", "to": "soon"}, "to"),
        ({"from": "20261101"}, "from"),
        ({"from": "2030-01-01"}, "from"),
        ({"from": "1990-01-01", "to": "2026-01-01"}, "from"),
    ],
)
def test_what_cannot_be_shown_names_the_parameter(args: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        of(args)
    assert refused.value.field == field


def test_a_finished_range_is_compared_with_as_many_days() -> None:
    assert parse(from_="2026-11-10", to="2026-11-12").previous == Span("2026-11-07", "2026-11-09")
    assert parse(period="yesterday").previous == Span("2026-11-21", "2026-11-21")


def test_a_finished_month_is_compared_with_the_month_before() -> None:
    assert parse(from_="2026-10-01", to="2026-10-31").previous == Span("2026-09-01", "2026-09-30")


def test_a_running_range_is_compared_with_as_much_of_the_one_before() -> None:
    """Up to the same hour of the day, rounded up."""
    assert parse(period="today").previous == Span("2026-11-22", "2026-11-22", ms("2026-11-22T14:00"))
    assert parse(period="7d").previous == Span("2026-11-10", "2026-11-16", ms("2026-11-16T14:00"))
    assert parse(period="month").previous == Span("2026-10-01", "2026-10-23", ms("2026-10-23T14:00"))
    assert parse(period="12mo").previous == Span("2024-12-01", "2025-11-23", ms("2025-11-23T14:00"))


def test_the_31st_is_compared_with_the_whole_shorter_month() -> None:
    shown = parse(now_ms=ms("2026-03-31T10:00"), period="month")
    assert shown.previous is not None
    assert (shown.previous.first, shown.previous.last) == ("2026-02-01", "2026-02-28")


def test_the_day_after_a_change_of_clocks_is_compared_by_the_clock_of_the_day() -> None:
    shown = parse(ZURICH, ms("2026-10-26T10:20"), period="today")
    assert shown.previous == Span("2026-10-25", "2026-10-25", ms("2026-10-24T22:00") + 12 * 3_600_000)


def test_comparison_can_be_left_out() -> None:
    assert parse(period="7d", compare="none").previous is None


def test_steps_keep_the_length_and_stop_at_today() -> None:
    shown = parse(period="7d")
    assert shown.earlier() == {"from": "2026-11-10", "to": "2026-11-16"}
    assert shown.later() is None
    past = parse(from_="2026-11-10", to="2026-11-16")
    assert past.later() == {"from": "2026-11-17", "to": "2026-11-23"}
    assert parse(from_="2026-02-01", to="2026-02-28").later() == {"from": "2026-03-01", "to": "2026-03-31"}
    assert parse(from_="2026-01-01", to="2026-01-31").earlier() == {"from": "2025-12-01", "to": "2025-12-31"}


def test_hours_only_where_they_can_be_read() -> None:
    assert parse(period="today").hourly
    assert not parse(period="7d").hourly
    assert parse(period="7d", interval="hour").hourly
    assert not parse(period="12mo", interval="hour").hourly
    assert not parse(period="today").may_be_daily
    assert not parse(period="12mo").may_be_hourly


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2015-05-17", "2015-05-20", "17 – 20 May 2015"),
        ("2026-11-01", "2026-11-01", "1 Nov 2026"),
        ("2026-10-30", "2026-11-02", "30 Oct – 2 Nov 2026"),
        ("2025-12-30", "2026-01-02", "30 Dec 2025 – 2 Jan 2026"),
    ],
)
def test_ranges_in_words(first: str, last: str, words: str) -> None:
    assert ranges.words_of(Span(first, last)) == words
    assert parse(from_=first, to=last).label == words


def test_parameters_give_the_range_again() -> None:
    for args in ({"period": "30d"}, {"from": "2026-11-10", "to": "2026-11-12"}):
        shown = of(args)
        again = ranges.parse(shown.parameters(), zone="UTC", now_ms=NOW)
        assert again.span == shown.span
