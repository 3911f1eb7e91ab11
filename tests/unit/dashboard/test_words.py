"""Numbers, moments and codes in words."""

from __future__ import annotations

import pytest

from dashboard_svc import words

NOON = 1_795_435_200_000  # 2026-11-23 12:00 UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (12_345, "12,345"),
        (99_999, "99,999"),
        (100_000, "100k"),
        (123_456, "123k"),
        (999_700, "1.00M"),
        (1_234_567, "1.23M"),
        (45_600_000, "45.6M"),
        (2_000_000_000, "2.00B"),
    ],
)
def test_compact(value: float | None, text: str) -> None:
    assert words.compact(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.012, "1.2%"),
        (0.0996, "10%"),
        (0.436, "44%"),
        (1, "100%"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (187, "3m 07s"),
        (3600, "1h 00m"),
        (4321, "1h 12m"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_moments_are_as_long_as_they_must_be() -> None:
    assert words.moment(NOON, "UTC", NOON) == "12:00"
    assert words.moment(NOON, "Europe/Zurich", NOON) == "13:00"
    assert words.moment(NOON - 24 * 3_600_000, "UTC", NOON) == "22 Nov 12:00"
    assert words.moment(NOON - 366 * 24 * 3_600_000, "UTC", NOON) == "22 Nov 2025 12:00"


def test_codes_become_names_and_unknown_ones_stay() -> None:
    assert words.label("country", "DE") == "Germany"
    assert words.label("country", "XX") == "XX"
    assert words.label("country", "Unknown") == "Unknown"
    assert words.label("language", "de-CH") == "German (Switzerland)"
    assert words.label("language", "tlh") == "Klingon"
    assert words.label("device", "tv") == "TV"
    assert words.label("verdict", "ai_crawler") == "Ai crawler"
    assert words.label("page", "/") == "/"
    assert words.label("utm_term", "") == "(none)"


def test_money_is_exact() -> None:
    assert words.money("1234.50", "EUR") == "€1,234.50"
    assert words.money("1234", "JPY") == "¥1,234"
