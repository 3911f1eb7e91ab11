"""The buckets of a series: where they begin, and what they can be counted from."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from recount.periods import HOUR_MS, day_of, day_span_ms
from recount.querying.query import Interval, Query, Span
from recount.store.catalog import Site

MONDAY: Final = 0


def starts(span: Span, zone: str, interval: Interval) -> list[int]:
    """The first moment of each bucket, ms UTC; the first and the last bucket may be cut by the span."""
    first, end = span.bounds_ms(zone)
    found: list[int] = []
    for day in span.days:
        begins, after = day_span_ms(day, zone)
        if interval == "hour":
            found += range(begins, after, HOUR_MS)
        elif day == span.first or _begins(day, interval):
            found.append(begins)
    inside = [at for at in dict.fromkeys(found) if first < at < end]  # a date left out begins with the next
    return [first, *inside] if first < end else []


def _begins(day: str, interval: Interval) -> bool:
    this = date.fromisoformat(day)
    return interval == "day" or (this.weekday() == MONDAY if interval == "week" else this.day == 1)


def label(at: int, zone: str, interval: Interval) -> str:
    """The local time (hours) or date that a bucket begins with."""
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    return local.strftime("%Y-%m-%dT%H:%M" if interval == "hour" else "%Y-%m-%d")


def needs_days(site: Site, query: Query) -> bool:
    """Whether a series is put together from single days, and none of the months can stand for theirs."""
    if query.interval is None:
        return False
    if query.interval == "hour" or query.filters:
        return True
    return is_of_sets(site, query) and not (query.interval == "month" and _has_same_days_all(site, query))


def is_of_sets(site: Site, query: Query) -> bool:
    """Whether the buckets need visitor sets of quarters of an hour, rather than numbers that are stored.

    Days of another zone are not those that are stored, nor are its hours where the clocks are apart by other
    than full hours; and visitors who are recognised on another day are to be counted once a week or month.
    """
    if query.interval is None:
        return False
    zone = query.zone(site)
    if query.interval == "hour":
        return not all(_has_same_hours(s.first, s.last, zone, site.timezone) for s in query.spans)
    is_known_again = query.interval != "day" and site.identity == "first_party"
    return is_known_again or not _has_same_days_all(site, query)


def _has_same_days_all(site: Site, query: Query) -> bool:
    zone = query.zone(site)
    return all(_has_same_days(span.first, span.last, zone, site.timezone) for span in query.spans)


@lru_cache(maxsize=1024)
def _has_same_days(first: str, last: str, zone: str, other: str) -> bool:
    days = Span(first, last).days
    return zone == other or all(day_span_ms(day, zone) == day_span_ms(day, other) for day in days)


@lru_cache(maxsize=1024)
def _has_same_hours(first: str, last: str, zone: str, other: str) -> bool:
    """Whether the hours counted from midnight in one zone are such of the other, too."""
    if zone == other:
        return True
    whole = Span(first, last)
    own = [(day_span_ms(day, zone)[0], other) for day in whole.days]
    start, end = whole.bounds_ms(zone)
    around = Span(day_of(start, other), day_of(end - 1, other)).days
    return all(
        (begins - day_span_ms(day_of(begins, there), there)[0]) % HOUR_MS == 0
        for begins, there in (*own, *((day_span_ms(day, other)[0], zone) for day in around))
    )
