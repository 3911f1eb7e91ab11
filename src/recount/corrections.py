"""A correction: published numbers of closed hours of a site that were changed, and what to say of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

import msgspec

from recount.periods import HOUR_MS, HourRange, day_of, days_in_words, hour_ranges, hour_start_ms

Kind = Literal["late", "added", "reprocessing", "rollback", "erasure"]
Numbers = dict[str, tuple[int, int]]  # metric -> as it was, as it is

METRICS: Final = ("visitors", "visits", "pageviews", "events", "ended_visits", "bounces")
REVENUE_PREFIX: Final = "revenue:"  # and the currency; in millionths of it
MICROS: Final = 1_000_000
SPANS_MAX: Final = 100
DAYS_MAX: Final = 400  # told apart; of a longer correction only the whole is kept
SAID_MAX: Final = 3  # metrics in a sentence


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What one publication changed of one site.

    `kind` is `added` where the days had shown nothing of the site before. `spans`: the hours changed (UTC,
    both ends included), possibly with unchanged ones between; `first_day`, `last_day` those days in the
    site's `zone`. `moved`: totals over these days that are not what they were (visitors: the sum of daily
    visitors); `days`: the same by day. `dimensions`: those in which some value moved. `late_events`: how many
    more events the hours count since. `logic`: the newest version of the logic before and since. `whole`:
    False where the numbers before were no longer kept, so that nothing is known of what moved.
    """

    site: str
    publication: str
    at_ms: int
    kind: Kind
    spans: list[HourRange]
    zone: str
    first_day: str
    last_day: str
    reason: str = ""
    cause: str = ""
    run_id: str = ""
    moved: Numbers = {}
    days: dict[str, Numbers] = {}
    dimensions: list[str] = []
    late_events: int = 0
    logic: tuple[int, int] | None = None
    whole: bool = True

    @property
    def is_mark(self) -> bool:
        """Whether numbers that somebody may have seen are others now."""
        return self.kind != "added"

    def touches(self, first_day: str, last_day: str) -> bool:
        """Whether it changed a day of a range of local dates, both included."""
        if self.last_day < first_day or self.first_day > last_day:
            return False
        return any(first_day <= day <= last_day for day in self.local_days())

    def local_days(self) -> Iterator[str]:
        """The local dates of its hours, in order and each once."""
        seen = ""
        for first, last in self.spans:
            start, end = hour_start_ms(first), hour_start_ms(last) + HOUR_MS - 1
            day, until = date.fromisoformat(day_of(start, self.zone)), day_of(end, self.zone)
            while (name := day.isoformat()) <= until:
                if name > seen:
                    seen = name
                    yield name
                day = date.fromordinal(day.toordinal() + 1)

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Whether it changed an hour of [start_ms, end_ms)."""
        return any(
            hour_start_ms(first) < end_ms and hour_start_ms(last) + HOUR_MS > start_ms
            for first, last in self.spans
        )

    @classmethod
    def of_hours(cls, hours: list[str], zone: str, **given: object) -> Self:
        """With its spans and days: at most SPANS_MAX spans, the gaps of more are taken along."""
        gap = 0
        while len(spans := hour_ranges(hours, gap_max_hours=gap, span_max_hours=10**6)) > SPANS_MAX:
            gap = 2 * gap + 1
        first = day_of(hour_start_ms(spans[0][0]), zone)
        last = day_of(hour_start_ms(spans[-1][1]) + HOUR_MS - 1, zone)
        return cls(spans=spans, zone=zone, first_day=first, last_day=last, **given)  # type: ignore[arg-type]


def sentence(correction: Correction) -> str:
    """`Numbers of 20 – 22 Nov 2026 were corrected on 25 Nov 2026: visitors 1,209 → 1,261, because ...`."""
    day = day_of(correction.at_ms, correction.zone)
    verb = "added" if correction.kind == "added" else "corrected"
    happened = f"Numbers of {range_words(correction)} were {verb} on {days_in_words(day, day)}"
    return f"{happened}: {what(correction)}; {why(correction)}."


def range_words(correction: Correction) -> str:
    """`20 – 22 Nov 2026`, or `22 Nov 2026, 14:00 – 16:00` for hours within one day, in the site's zone."""
    words = days_in_words(correction.first_day, correction.last_day)
    if correction.first_day != correction.last_day:
        return words
    zone = ZoneInfo(correction.zone)
    start = datetime.fromtimestamp(hour_start_ms(correction.spans[0][0]) / 1000, zone)
    end = datetime.fromtimestamp(hour_start_ms(correction.spans[-1][1]) / 1000 + HOUR_MS / 1000, zone)
    if end.date() != start.date() and start.hour == 0:
        return words
    return f"{words}, {start:%H:%M} – {end:%H:%M}"


def what(correction: Correction, most: int = SAID_MAX) -> str:
    """`visitors 1,209 → 1,261, visits 1,300 → 1,352`; the dimensions where no total moved."""
    if not correction.whole:
        return "the numbers before are no longer kept"
    moved = [f"{label(metric)} {moves(metric, *pair)}" for metric, pair in correction.moved.items()]
    if not moved:
        named = correction.dimensions
        more = f" and {len(named) - most} more" if len(named) > most else ""
        listed = ", ".join(name.replace("_", " ") for name in named[:most])
        return f"totals stay, values of {listed}{more} moved" if named else "no total moved"
    return ", ".join(moved[:most]) + (f" and {len(moved) - most} more" if len(moved) > most else "")


def why(correction: Correction) -> str:
    """The reason as a clause: `3 events arrived late`, `because partner.example is our own site`."""
    reason = correction.reason.rstrip(".")
    match correction.kind:
        case "late" | "added" if correction.late_events > 0:
            count = correction.late_events
            return f"{count:,} event{'' if count == 1 else 's'} arrived late"
        case "late" | "added":
            logic = correction.logic
            if logic is not None and logic[0] != logic[1]:
                return f"counted again by logic {logic[1]} instead of {logic[0]}"
            return "visits go on from an hour before that changed"
        case "rollback":
            return f"an earlier correction was undone: {reason}"
        case "erasure":
            return "events were erased on request"
        case _:
            return f"because {reason}" if reason else "computed again"


def label(metric: str) -> str:
    return metric.replace(REVENUE_PREFIX, "revenue ").replace("_", " ")


def moves(metric: str, old: int, new: int) -> str:
    return f"{number(metric, old)} → {number(metric, new)}"


def number(metric: str, value: int) -> str:
    return f"{value / MICROS:,.2f}" if metric.startswith(REVENUE_PREFIX) else f"{value:,}"
