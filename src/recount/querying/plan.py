"""Which segments answer a span: whole months, days, and days put together from hours and live numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from recount.counting.rebuild import days_of_hour, hours_of_day
from recount.periods import HOUR_MS, hour_start_ms, month_days
from recount.querying.query import Span
from recount.store.manifests import Entry
from recount.store.provenance import period_key


@dataclass(frozen=True)
class Composed:
    """A day made while answering: `periods` (the day itself or its hours) with their visitor sets, the live
    hours added; rows before `from_ms` and from `until_ms` on are left out."""

    day: str
    periods: tuple[str, ...]
    live: frozenset[str] = frozenset()
    until_ms: int | None = None
    from_ms: int | None = None

    @property
    def is_off_the_hour(self) -> bool:
        """Whether it is cut within an hour."""
        return any(edge is not None and edge % HOUR_MS for edge in (self.until_ms, self.from_ms))


@dataclass(frozen=True)
class Plan:
    """Period keys to read, and days to compose."""

    months: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    composed: tuple[Composed, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        return (*self.months, *self.days)

    @property
    def sets(self) -> tuple[str, ...]:
        return tuple(period for composed in self.composed for period in composed.periods)


@dataclass(frozen=True)
class Shown:
    """What is published of the periods that could matter, and the hours that live numbers stand in for."""

    entries: Mapping[str, Entry]
    live: frozenset[str] = frozenset()


def periods_of(span: Span, zone: str) -> list[str]:
    """Every period key that a plan for the span may look up."""
    months = sorted({day[:7] for day in span.days})
    cut = [(span.first, span.from_ms), (span.last, span.until_ms)]
    hours = {hour for day, edge in cut if edge is not None for hour in hours_of_day(day, zone)}
    return [
        *(period_key("month", month) for month in months),
        *(period_key("day", day) for day in span.days),
        *(period_key("hour", hour) for hour in sorted(hours)),
    ]


def plan(span: Span, zone: str, shown: Shown, *, in_days: bool = False) -> Plan:
    """The fewest segments that give the span; `in_days`: no months, which hold neither hours nor the values
    of each day."""
    composed: list[Composed] = []
    with_live = {day for hour in shown.live for day in days_of_hour(hour, zone)}
    for day in span.days:
        until_ms = span.until_ms if day == span.last else None
        from_ms = span.from_ms if day == span.first else None
        live = shown.live.intersection(hours_of_day(day, zone)) if day in with_live else frozenset[str]()
        if until_ms is not None or from_ms is not None or live:
            composed.append(_compose(day, zone, shown, live, (from_ms, until_ms)))
    taken = {one.day for one in composed}
    months: list[str] = []
    if not in_days:
        asked = frozenset(span.days)
        months = [m for m in sorted({day[:7] for day in span.days}) if _whole(m, asked, taken)]
        months = [m for m in months if _is_made(m, shown)]
    days = [day for day in span.days if day not in taken and day[:7] not in months]
    return Plan(
        months=tuple(period_key("month", m) for m in months),
        days=tuple(key for key in (period_key("day", d) for d in days) if key in shown.entries),
        composed=tuple(composed),
    )


def _whole(month: str, asked: Collection[str], composed: Collection[str]) -> bool:
    return all(day in asked and day not in composed for day in month_days(month))


def _is_made(month: str, shown: Shown) -> bool:
    """A month that still runs, or ran when its numbers were last published, is known by its days."""
    entry = shown.entries.get(period_key("month", month))
    return entry is not None and entry.has_data


def _compose(
    day: str, zone: str, shown: Shown, live: frozenset[str], cut: tuple[int | None, int | None]
) -> Composed:
    """The day itself does as long as it holds no hour that live stands in for and is not cut short."""
    hours = hours_of_day(day, zone)
    key = period_key("day", day)
    if cut == (None, None) and not any(period_key("hour", hour) in shown.entries for hour in live):
        return Composed(day, (key,) if key in shown.entries else (), live)
    wanted = (hour for hour in hours if hour not in live and _is_within(hour_start_ms(hour), cut))
    keys = (period_key("hour", hour) for hour in wanted)
    from_ms, until_ms = cut
    return Composed(day, tuple(key for key in keys if key in shown.entries), live, until_ms, from_ms)


def _is_within(hour_ms: int, cut: tuple[int | None, int | None]) -> bool:
    """Whether an hour overlaps what is left of its day."""
    from_ms, until_ms = cut
    return (until_ms is None or hour_ms < until_ms) and (from_ms is None or hour_ms + HOUR_MS > from_ms)
