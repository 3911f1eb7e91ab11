"""Ranges as they are asked for: names, dates, times; and what a range is compared with."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from recount.errors import InvalidInput
from recount.periods import HOUR_MS, QUARTER_MS, day_of, day_span_ms
from recount.querying.query import COMPARISONS, DAYS_MAX, RANGES, YEAR_MAX, YEAR_MIN, Span, span_of

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
_NUMBERED: Final = re.compile(r"(\d{1,4})(d|mo)")


def parse_range(given: object, today: str, zone: str) -> Span:
    """A named range that ends today (or yesterday), or `[from, to]`: local dates, both included, or local
    times, the second one not included."""
    if isinstance(given, list):
        return _custom_range(given, zone, "date_range")
    if given == "today":
        return Span(today, today)
    this = date.fromisoformat(today)
    if given == "yesterday":
        day = (this - timedelta(days=1)).isoformat()
        return Span(day, day)
    if given == "month":
        return Span(this.replace(day=1).isoformat(), today)
    numbered = _NUMBERED.fullmatch(given) if isinstance(given, str) else None
    if numbered is None or int(numbered[1]) < 1:
        known = ", ".join(RANGES)
        detail = f"no such range; known: {known}, [from, to] as YYYY-MM-DD or YYYY-MM-DDTHH:MM"
        raise InvalidInput(detail, field="date_range")
    count = int(numbered[1])
    if numbered[2] == "d":
        return _bounded(Span((this - timedelta(days=count - 1)).isoformat(), today), "date_range")
    month = this.year * 12 + this.month - count
    if month < 12:
        raise InvalidInput(f"a range has at most {DAYS_MAX} days", field="date_range")
    return _bounded(Span(date(month // 12, month % 12 + 1, 1).isoformat(), today), "date_range")


def parse_compare(given: object, span: Span, zone: str, now_ms: int) -> Span | None:
    """What a range is compared with. One that still runs is compared with as much of the other, up to the
    hour."""
    if given is None:
        return None
    if isinstance(given, list):
        return _custom_range(given, zone, "compare")
    if given not in COMPARISONS:
        known = ", ".join(COMPARISONS)
        raise InvalidInput(f"compare is one of {known}, or [from, to]", field="compare")
    if span.from_ms is not None or span.until_ms is not None:
        return _times_before(span, zone, yearly=given == "previous_year")
    return _as_far(span, _year_before(span) if given == "previous_year" else span.before(), zone, now_ms)


def _times_before(span: Span, zone: str, *, yearly: bool) -> Span:
    start, end = span.bounds_ms(zone)
    if not yearly:
        return span_of(2 * start - end, start, zone)
    begins, ends = (_local_ms(_same_time_last_year(at, zone), zone) for at in (start, end))
    return span_of(begins, ends, zone)


def _same_time_last_year(at: int, zone: str) -> datetime:
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).replace(tzinfo=None)
    return datetime.combine(_last_year(local.date()), local.time())


def _year_before(span: Span) -> Span:
    first, last = (_last_year(date.fromisoformat(day)) for day in (span.first, span.last))
    return Span(first.isoformat(), last.isoformat())


def _last_year(day: date) -> date:
    """29 February becomes the 28th."""
    return day.replace(year=day.year - 1, day=min(day.day, 28) if day.month == 2 else day.day)


def _as_far(span: Span, before: Span, zone: str, now_ms: int) -> Span:
    """The range before, cut where the range itself has come to."""
    start, end = span.bounds_ms(zone)
    if not start <= now_ms < end:
        return before
    today = day_of(now_ms, zone)
    passed = (date.fromisoformat(today) - date.fromisoformat(span.first)).days
    last = (date.fromisoformat(before.first) + timedelta(days=passed)).isoformat()
    elapsed_ms = now_ms - day_span_ms(today, zone)[0]
    begins, ends = day_span_ms(last, zone)
    until_ms = begins + -(-elapsed_ms // HOUR_MS) * HOUR_MS
    return Span(before.first, last, until_ms if until_ms < ends else None)


def _custom_range(given: list[Any], zone: str, field: str) -> Span:
    if len(given) != 2:
        raise InvalidInput("a range is two dates or two times, [from, to]", field=field)
    if all(isinstance(text, str) and _TIME.fullmatch(text) for text in given):
        return _bounded(_times(given, zone, field), field)
    first, last = (_date(text, field) for text in given)
    if last < first:
        raise InvalidInput("the range ends before it begins", field=field)
    return _bounded(Span(first, last), field)


def _times(given: list[str], zone: str, field: str) -> Span:
    start, end = (_time(text, zone, field) for text in given)
    if end <= start:
        raise InvalidInput("the range ends before it begins; the second time is not included", field=field)
    return span_of(start, end, zone)


def _time(text: str, zone: str, field: str) -> int:
    try:
        at = _local_ms(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{text!r} is no time such as 2026-11-23T10:00", field=field) from None
    if at % QUARTER_MS:
        raise InvalidInput(f"{text!r}: times are full quarters of an hour", field=field)
    return at


def _local_ms(local: datetime, zone: str) -> int:
    return int(local.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def _date(text: object, field: str) -> str:
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InvalidInput(f"{text!r} is no date such as 2026-11-23", field=field)


def _bounded(span: Span, field: str) -> Span:
    first, last = date.fromisoformat(span.first), date.fromisoformat(span.last)
    if (last - first).days >= DAYS_MAX:
        raise InvalidInput(f"a range has at most {DAYS_MAX} days", field=field)
    if first.year < YEAR_MIN or last.year > YEAR_MAX:
        raise InvalidInput(f"years are from {YEAR_MIN} to {YEAR_MAX}", field=field)
    return span
