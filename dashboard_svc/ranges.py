"""The range a page shows: from a query string to local dates, and the period it is compared with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from recount.errors import InvalidInput
from recount.periods import HOUR_MS, day_of, day_span_ms, days_in_words
from recount.querying.query import DAYS_MAX, HOURLY_DAYS_MAX, Span

DEFAULT: Final = "7d"
CUSTOM: Final = "custom"
PARAMETERS: Final = ("period", "from", "to")
ALL: Final = "all"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Choice:
    """One entry of the range picker: its name in the URL, what it is called, the key that chooses it."""

    name: str
    label: str
    key: str


CHOICES: Final = (
    Choice("today", "Today", "d"),
    Choice("yesterday", "Yesterday", "e"),
    Choice("7d", "Last 7 days", "w"),
    Choice("30d", "Last 30 days", "t"),
    Choice("month", "Month to date", "m"),
    Choice("12mo", "Last 12 months", "l"),
    Choice(ALL, "All time", "a"),
)
_LABELS: Final = {choice.name: choice.label for choice in CHOICES}


@dataclass(frozen=True)
class Range:
    """What a page shows. `hourly` is the chart's interval; `previous` is what it is compared with."""

    name: str
    span: Span
    hourly: bool
    previous: Span | None
    today: date

    @property
    def label(self) -> str:
        return _LABELS.get(self.name) or words_of(self.span)

    @property
    def is_running(self) -> bool:
        return date.fromisoformat(self.span.last) >= self.today

    @property
    def may_be_hourly(self) -> bool:
        return len(self.span.days) <= HOURLY_DAYS_MAX

    @property
    def may_be_daily(self) -> bool:
        return len(self.span.days) > 1

    def earlier(self) -> dict[str, str]:
        """The query parameters of the range before, of the same length."""
        return _custom(_before(self.name, _dates(self.span)))

    def later(self) -> dict[str, str] | None:
        """The query parameters of the range after; None where it would lie in the future."""
        after = _after(self.name, _dates(self.span))
        return None if after.first > self.today else _custom(after)

    def parameters(self) -> dict[str, str]:
        """The query parameters that give this range again."""
        return _custom(_dates(self.span)) if self.name == CUSTOM else {"period": self.name}


@dataclass(frozen=True)
class _Dates:
    """A span to reckon with."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def is_whole_months(self) -> bool:
        return self.first.day == 1 and (self.last + timedelta(days=1)).day == 1

    @property
    def months(self) -> int:
        """How many months it touches."""
        return (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1

    def moved(self, days: int) -> _Dates:
        return _Dates(self.first + timedelta(days=days), self.last + timedelta(days=days))

    def span(self, until_ms: int | None = None) -> Span:
        return Span(self.first.isoformat(), self.last.isoformat(), until_ms)


def parse(
    args: Mapping[str, str], *, zone: str, now_ms: int, extent: Callable[[], date | None] = lambda: None
) -> Range:
    """The range of a query string; `extent` gives the first date with data, asked for only by `all`.

    Raises InvalidInput naming the parameter at fault.
    """
    today = date.fromisoformat(day_of(now_ms, zone))
    name = args.get("period") or (CUSTOM if args.get("from") or args.get("to") else DEFAULT)
    dates = _custom_dates(args, today) if name == CUSTOM else _named_dates(name, today, extent)
    if dates.days > DAYS_MAX:
        raise InvalidInput(f"a range has at most {DAYS_MAX} days", field="from")
    if dates.first > today:
        raise InvalidInput("the range lies in the future", field="from")
    compares = args.get("compare", "previous") != "none" and name != ALL
    previous = _previous(name, dates, today, zone, now_ms) if compares else None
    return Range(name, dates.span(), _hourly(args, dates.days), previous, today)


def words_of(span: Span) -> str:
    """`17 – 20 May 2015`."""
    return days_in_words(span.first, span.last)


def _named_dates(name: str, today: date, extent: Callable[[], date | None]) -> _Dates:
    match name:
        case "today":
            return _Dates(today, today)
        case "yesterday":
            return _Dates(today - timedelta(days=1), today - timedelta(days=1))
        case "7d":
            return _Dates(today - timedelta(days=6), today)
        case "30d":
            return _Dates(today - timedelta(days=29), today)
        case "month":
            return _Dates(today.replace(day=1), today)
        case "12mo":
            return _Dates(_months_before(today.replace(day=1), 11), today)
        case "all":
            first = extent() or today
            return _Dates(max(first, today - timedelta(days=DAYS_MAX - 1)), today)
    known = ", ".join([*_LABELS, CUSTOM])
    raise InvalidInput(f"{name!r} is no period; known: {known}", field="period")


def _custom_dates(args: Mapping[str, str], today: date) -> _Dates:
    first = _date(args.get("from") or args.get("to") or today.isoformat(), "from")
    last = _date(args.get("to") or first.isoformat(), "to")
    first, last = min(first, last), max(first, last)
    return _Dates(first, min(last, max(first, today)))


def _date(text: str, field: str) -> date:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no date such as 2026-11-23", field=field) from None


def _hourly(args: Mapping[str, str], days: int) -> bool:
    return days == 1 or (args.get("interval") == "hour" and days <= HOURLY_DAYS_MAX)


def _previous(name: str, dates: _Dates, today: date, zone: str, now_ms: int) -> Span:
    """The period before. One that is still running is compared with as much of the one before."""
    before = _before(name, dates)
    if dates.last < today:
        return before.span()
    last = min(before.first + timedelta(days=dates.days - 1), dates.first - timedelta(days=1))
    elapsed_ms = now_ms - day_span_ms(today.isoformat(), zone)[0]
    until_ms = day_span_ms(last.isoformat(), zone)[0] + -(-elapsed_ms // HOUR_MS) * HOUR_MS
    return _Dates(before.first, last).span(until_ms)


def _before(name: str, dates: _Dates) -> _Dates:
    if name in ("month", "12mo") or dates.is_whole_months:
        return _Dates(_months_before(dates.first, dates.months), dates.first - timedelta(days=1))
    return dates.moved(-dates.days)


def _after(name: str, dates: _Dates) -> _Dates:
    if name in ("month", "12mo") or dates.is_whole_months:
        first = _months_before(dates.first, -dates.months)
        return _Dates(first, _months_before(first, -dates.months) - timedelta(days=1))
    return dates.moved(dates.days)


def _months_before(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def _dates(span: Span) -> _Dates:
    return _Dates(date.fromisoformat(span.first), date.fromisoformat(span.last))


def _custom(dates: _Dates) -> dict[str, str]:
    return {"from": dates.first.isoformat(), "to": dates.last.isoformat()}
