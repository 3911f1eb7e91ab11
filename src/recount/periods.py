"""Hours, days and months by name, and the moments (ms UTC) they span.

An hour is always a UTC hour, `2026-11-22T23`. A day `2026-11-22` and a month `2026-11` are those of a site's
time zone, so the same name spans different moments for different zones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

HOUR_MS: Final = 3_600_000
QUARTER_MS: Final = 900_000
MINUTE_MS: Final = 60_000
DAY_S: Final = 86_400
HOUR_FORMAT: Final = "%Y-%m-%dT%H"
FIRST_HOUR: Final = "2015-05-01T00"  # where the archive begins: no hour before it is ever published
LAST_ZONE: Final = "Etc/GMT+12"  # where every day ends last
RANGE_MAX_HOURS: Final = 24 * 366
HOURS_KEPT: Final = 10_000  # names parsed already: of many sites the same hours are asked for

HourRange = tuple[str, str]  # first and last hour, both included


def hour_of(ts_ms: int) -> str:
    """The UTC hour that holds a moment."""
    return datetime.fromtimestamp(ts_ms // 1000, UTC).strftime(HOUR_FORMAT)


@lru_cache(maxsize=HOURS_KEPT)
def hour_start_ms(hour: str) -> int:
    """The first moment of a UTC hour."""
    return int(datetime.strptime(hour, HOUR_FORMAT).replace(tzinfo=UTC).timestamp()) * 1000


def hours_between(start_ms: int, end_ms: int) -> Iterator[str]:
    """Every UTC hour that overlaps [start, end)."""
    for ms in range(start_ms - start_ms % HOUR_MS, end_ms, HOUR_MS):
        yield hour_of(ms)


def previous_hour(hour: str) -> str:
    return hour_of(hour_start_ms(hour) - HOUR_MS)


def next_hour(hour: str) -> str:
    return hour_of(hour_start_ms(hour) + HOUR_MS)


def hour_ranges(
    hours: Iterable[str], *, gap_max_hours: int = 0, span_max_hours: int = RANGE_MAX_HOURS
) -> list[HourRange]:
    """Hours as runs of neighbours; a gap of up to `gap_max_hours` does not separate."""
    found: list[HourRange] = []
    for hour in sorted(set(hours)):
        near = found and _apart(found[-1][1], hour) <= gap_max_hours + 1
        if near and _apart(found[-1][0], hour) < span_max_hours:
            found[-1] = (found[-1][0], hour)
        else:
            found.append((hour, hour))
    return found


def hours_in(span: HourRange) -> list[str]:
    """Every hour of a range."""
    return [hour_of(ms) for ms in range(hour_start_ms(span[0]), hour_start_ms(span[1]) + 1, HOUR_MS)]


def day_of(ts_ms: int, zone: str) -> str:
    """The local date of a moment."""
    return datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).date().isoformat()


def day_span_ms(day: str, zone: str) -> tuple[int, int]:
    """[first moment, first moment of the next day) of a local date; 23, 24 or 25 hours long."""
    first = date.fromisoformat(day)
    return _midnight_ms(first, zone), _midnight_ms(first + timedelta(days=1), zone)


def month_of(ts_ms: int, zone: str) -> str:
    return day_of(ts_ms, zone)[:7]


def ended_month(now_ms: int) -> str:
    """The last month that is over in every time zone."""
    running = date.fromisoformat(month_of(now_ms, LAST_ZONE) + "-01")
    return (running - timedelta(days=1)).isoformat()[:7]


def month_days(month: str) -> list[str]:
    """The dates of a month."""
    first = date.fromisoformat(month + "-01")
    days = (first + timedelta(days=n) for n in range(31))
    return [d.isoformat() for d in days if d.month == first.month]


def days_between(first: str, last: str) -> list[str]:
    """The dates from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def days_in_words(first: str, last: str) -> str:
    """`17 – 20 May 2015`; years and months are named once where they are the same."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    if start == end:
        return f"{end.day} {end:%b %Y}"
    if start.year != end.year:
        return f"{start.day} {start:%b %Y} – {end.day} {end:%b %Y}"
    begin = f"{start.day}" if start.month == end.month else f"{start.day} {start:%b}"
    return f"{begin} – {end.day} {end:%b %Y}"


def moment_in_words(ts_ms: int) -> str:
    """`2026-11-22 13:05 UTC`."""
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _apart(hour: str, later: str) -> int:
    return (hour_start_ms(later) - hour_start_ms(hour)) // HOUR_MS


def _midnight_ms(day: date, zone: str) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)
