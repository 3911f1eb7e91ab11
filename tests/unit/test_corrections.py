"""A correction in words, and which ranges it touches."""

from __future__ import annotations

from typing import Any

import pytest

from recount.corrections import SPANS_MAX, Correction, range_words, sentence, what, why
from recount.periods import hour_of, hour_start_ms

AT = hour_start_ms("2026-11-25T10")
DAYS = ["2026-11-20T04", "2026-11-21T12", "2026-11-22T19"]


def correction(hours: list[str] | None = None, zone: str = "UTC", **given: Any) -> Correction:
    fields: dict[str, Any] = {"site": "demo", "publication": "p", "at_ms": AT, "kind": "reprocessing"}
    return Correction.of_hours(hours or DAYS, zone, **(fields | given))


def test_the_whole_story_in_a_sentence() -> None:
    moved = {"visitors": (1209, 1261), "revenue:EUR": (1_500_000, 0)}
    assert sentence(correction(moved=moved, reason="partner.example is our own site.")) == (
        "Numbers of 20 – 22 Nov 2026 were corrected on 25 Nov 2026: visitors 1,209 → 1,261, "
        "revenue EUR 1.50 → 0.00; because partner.example is our own site."
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "late", "late_events": 1}, "1 event arrived late"),
        ({"kind": "late", "late_events": 1200}, "1,200 events arrived late"),
        ({"kind": "late", "logic": (6, 7)}, "counted again by logic 7 instead of 6"),
        ({"kind": "late", "logic": (7, 7)}, "visits go on from an hour before that changed"),
        ({"kind": "rollback", "reason": "too soon"}, "an earlier correction was undone: too soon"),
        ({"kind": "erasure"}, "events were erased on request"),
        ({"kind": "reprocessing"}, "computed again"),
    ],
)
def test_why(given: dict[str, Any], words: str) -> None:
    assert why(correction(**given)) == words


def test_what_moved_where_no_total_did() -> None:
    assert (
        what(correction(dimensions=["channel", "source"])) == "totals stay, values of channel, source moved"
    )
    many = correction(dimensions=["a", "b", "c", "entry_page", "f"])
    assert what(many) == "totals stay, values of a, b, c and 2 more moved"
    assert what(correction()) == "no total moved"


def test_ranges_are_those_of_the_sites_zone() -> None:
    one = ["2026-11-22T13", "2026-11-22T14"]
    assert range_words(correction(one)) == "22 Nov 2026, 13:00 – 15:00"
    assert range_words(correction(one, "Europe/Berlin")) == "22 Nov 2026, 14:00 – 16:00"
    whole = [
        hour_of(ms) for ms in range(hour_start_ms("2026-11-22T00"), hour_start_ms("2026-11-23T00"), 3_600_000)
    ]
    assert range_words(correction(whole)) == "22 Nov 2026"
    late = correction(["2026-11-22T23"], "Europe/Berlin")
    assert (late.first_day, late.last_day) == ("2026-11-23", "2026-11-23")


def test_which_days_and_hours_are_touched() -> None:
    found = correction()
    assert list(found.local_days()) == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert found.touches("2026-11-21", "2026-11-21")
    assert not correction([DAYS[0], DAYS[2]]).touches("2026-11-21", "2026-11-21")
    start = hour_start_ms(DAYS[1])
    assert found.overlaps(start, start + 1)
    assert not found.overlaps(start - 10, start)


def test_scattered_hours_stay_bounded() -> None:
    start = hour_start_ms("2020-01-01T00")
    hours = [hour_of(start + n * 7 * 3_600_000) for n in range(5_000)]
    found = correction(hours)
    assert len(found.spans) <= SPANS_MAX
    assert (found.spans[0][0], found.spans[-1][1]) == (hours[0], hours[-1])
