"""Corrections of the site `demo` before `NOW_MS`, newest first."""

from __future__ import annotations

from typing import Any, Final

from recount.corrections import Correction
from recount.periods import HOUR_MS, hour_of, hour_start_ms, hours_between
from recount.reconciliation import Compared, HourCompared, Side, State
from tests.unit.dashboard.fake import NOW_MS


def hours(first: str, last: str) -> list[str]:
    return list(hours_between(hour_start_ms(first), hour_start_ms(last) + HOUR_MS))


def correction(name: str, of: list[str], at_ms: int, **given: Any) -> Correction:
    fields: dict[str, Any] = {"site": "demo", "publication": name, "at_ms": at_ms}
    return Correction.of_hours(of, given.pop("zone", "UTC"), **(fields | given))


LATE: Final = correction(
    "01a2aaaa-0000-7000-8000-000000000003",
    [hour_of(NOW_MS - 20 * HOUR_MS)],
    NOW_MS - HOUR_MS,
    kind="late",
    late_events=3,
    moved={"visitors": (1204, 1205), "pageviews": (4010, 4013)},
    days={"2026-11-22": {"visitors": (1204, 1205), "pageviews": (4010, 4013)}},
    dimensions=["page", "source"],
)
COMPUTED: Final = correction(
    "01a2aaaa-0000-7000-8000-000000000002",
    hours("2026-11-18T00", "2026-11-19T23"),
    NOW_MS - 30 * HOUR_MS,
    kind="reprocessing",
    reason="partner.example is our own site",
    cause="reprocessing/20261122-0701-ab12",
    moved={"visitors": (1209, 1261), "visits": (1300, 1400), "revenue:EUR": (1_500_000, 2_500_000)},
    days={"2026-11-18": {"visitors": (600, 650)}, "2026-11-19": {"visitors": (609, 611)}},
    dimensions=["channel", "entry_page", "source"],
)
ADDED: Final = correction(
    "01a2aaaa-0000-7000-8000-000000000001",
    hours("2026-10-02T00", "2026-10-02T23"),
    NOW_MS - 60 * HOUR_MS,
    kind="added",
    late_events=1200,
    moved={"visitors": (0, 100), "pageviews": (0, 1200)},
)
CORRECTIONS: Final = (LATE, COMPUTED, ADDED)


def compared(hours_ago: int, live: Side, state: State = "compared", **given: Any) -> HourCompared:
    """An hour of `demo` with 100 events of which 90 are pageviews, and 4 by bots."""
    published = Side(visitors=40, visits=44, pageviews=90, events=10, counted=100, set_aside=4)
    one = Compared(live, published, {"accepted": 110, "counted": 100, "bot": 4, "duplicate": 6})
    hour = hour_of(NOW_MS - hours_ago * HOUR_MS)
    return HourCompared(hour=hour, generation="g", at_ms=NOW_MS, state=state, sites={"demo": one}, **given)


SAME: Final = Side(visitors=40, visits=44, pageviews=90, events=10, counted=100, set_aside=4)
HOURS: Final = (
    compared(1, SAME),
    compared(2, Side(visitors=41, visits=45, pageviews=93, events=10, counted=103, set_aside=4)),
    compared(3, Side(visitors=30, visits=44, pageviews=70, events=10, counted=80, set_aside=4)),
    compared(4, Side(), "live_away"),
    compared(5, Side(visitors=40, visits=44, pageviews=92, events=10, counted=102, set_aside=2), late_max=9),
)
