"""Hours, days and months, with zones that jump or lie between the hours."""

from __future__ import annotations

import pytest

from recount.periods import (
    HOUR_MS,
    day_of,
    day_span_ms,
    days_between,
    hour_of,
    hour_ranges,
    hour_start_ms,
    hours_between,
    hours_in,
    month_days,
    next_hour,
    previous_hour,
)


def test_an_hour_and_its_start_are_inverse() -> None:
    assert hour_of(hour_start_ms("2015-05-17T10")) == "2015-05-17T10"
    assert hour_of(hour_start_ms("2015-05-17T10") + HOUR_MS - 1) == "2015-05-17T10"
    assert next_hour("2015-12-31T23") == "2016-01-01T00"
    assert previous_hour("2016-01-01T00") == "2015-12-31T23"


def test_hours_between_are_those_that_overlap() -> None:
    start = hour_start_ms("2015-05-17T10")
    assert list(hours_between(start + 1, start + HOUR_MS + 1)) == ["2015-05-17T10", "2015-05-17T11"]
    assert list(hours_between(start, start + HOUR_MS)) == ["2015-05-17T10"]


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-10-26", "Europe/Berlin", 24),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
    ],
)
def test_a_local_day_is_as_long_as_the_clocks_say(day: str, zone: str, hours: float) -> None:
    start, end = day_span_ms(day, zone)
    assert (end - start) / HOUR_MS == hours
    assert day_of(start, zone) == day == day_of(end - 1, zone)


def test_days_of_zones_between_the_hours() -> None:
    assert day_span_ms("2026-01-01", "Asia/Kathmandu")[0] % HOUR_MS == 15 * 60_000
    assert day_of(hour_start_ms("2025-12-31T18") + 15 * 60_000, "Asia/Kathmandu") == "2026-01-01"


def test_days_of_months_and_ranges() -> None:
    assert month_days("2024-02")[-1] == "2024-02-29"
    assert days_between("2015-04-30", "2015-05-02") == ["2015-04-30", "2015-05-01", "2015-05-02"]


def test_hours_are_joined_to_ranges_across_small_gaps() -> None:
    hours = ["2024-01-01T03", "2024-01-01T00", "2024-01-01T01", "2024-01-01T09"]
    assert hour_ranges(hours) == [
        ("2024-01-01T00", "2024-01-01T01"),
        ("2024-01-01T03", "2024-01-01T03"),
        ("2024-01-01T09", "2024-01-01T09"),
    ]
    assert hour_ranges(hours, gap_max_hours=1)[0] == ("2024-01-01T00", "2024-01-01T03")
    assert hour_ranges(hours, gap_max_hours=9, span_max_hours=4) == [
        ("2024-01-01T00", "2024-01-01T03"),
        ("2024-01-01T09", "2024-01-01T09"),
    ]
    assert hours_in(("2023-12-31T23", "2024-01-01T01")) == ["2023-12-31T23", "2024-01-01T00", "2024-01-01T01"]
