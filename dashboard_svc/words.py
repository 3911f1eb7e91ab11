"""Numbers, moments and codes as people read them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.numbers import format_currency

EMPTY: Final = "–"
COMPACT_FROM: Final = 100_000
MINUTE_S: Final = 60


def number(value: float | None) -> str:
    """`12,345`; whole numbers only."""
    return EMPTY if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """`12,345`, `123k`, `1.23M`: at most six characters wide."""
    if value is None or abs(value) < COMPACT_FROM:
        return number(value)
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            digits = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
            return f"{scaled:.{digits}f}{unit}"
    raise AssertionError(value)


def decimal(value: float | None) -> str:
    return EMPTY if value is None else f"{value:,.2f}"


def percent(share: float | None) -> str:
    """Of a share from 0 to 1: `43%`, `4.3%`, `<0.1%`."""
    if share is None:
        return EMPTY
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{share:.1%}"


def duration(seconds: float | None) -> str:
    """`42s`, `3m 07s`, `1h 12m`."""
    if seconds is None:
        return EMPTY
    whole = round(seconds)
    minutes, rest = divmod(whole, MINUTE_S)
    if whole < MINUTE_S:
        return f"{whole}s"
    return f"{minutes}m {rest:02d}s" if minutes < MINUTE_S else f"{minutes // 60}h {minutes % 60:02d}m"


def money(amount: str, currency: str) -> str:
    """Of an exact decimal such as `1234.50`."""
    return str(format_currency(Decimal(amount), currency, locale="en"))


def moment(ms: int, zone: str, now_ms: int) -> str:
    """`14:00` on the same local day, else `22 Nov 14:00`, with the year where it is another one."""
    tz = ZoneInfo(zone)
    at, now = datetime.fromtimestamp(ms / 1000, tz), datetime.fromtimestamp(now_ms / 1000, tz)
    if at.date() == now.date():
        return f"{at:%H:%M}"
    return f"{at.day} {at:%b %H:%M}" if at.year == now.year else f"{at.day} {at:%b %Y %H:%M}"


def label(dimension: str, value: str) -> str:
    """A dimension's value in words: names for codes, the value itself otherwise."""
    if dimension == "country":
        return country(value)
    if dimension == "language":
        return language(value)
    if dimension == "device":
        return _DEVICES.get(value, value.capitalize())
    if dimension == "verdict":
        return value.replace("_", " ").capitalize()
    return value or "(none)"


def country(code: str) -> str:
    return str(_english().territories.get(code.upper(), code))


def language(tag: str) -> str:
    """`German (Switzerland)` of `de-CH`."""
    tongue, _, place = tag.partition("-")
    name = str(_english().languages.get(tongue.lower(), tongue))
    return f"{name} ({country(place)})" if place else name


@cache
def _english() -> Locale:
    return Locale("en")


_DEVICES: Final = {"tv": "TV"}
