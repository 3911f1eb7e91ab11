"""An hour is added to the day that is shown; the day is made from all hours where that would be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recount.counting.rollup import Rollup, merge
from tests.publishing import SITES, Press, total
from tests.rollups import hour_rollup

HOURS = ["2026-10-30T10", "2026-10-30T11", "2026-10-30T12"]
DAY = "2026-10-30"


class Reads:
    """Which hours, and which days of before, are read to make days."""

    def __init__(self, press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: set[tuple[str, str, str]] = set()
        read = press.candidates.read_counted

        def noting(wanted, **options):  # type: ignore[no-untyped-def]
            self.seen |= set(wanted)
            return read(wanted, **options)

        monkeypatch.setattr(press.candidates, "read_counted", noting)

    def of(self, press: Press, hour: str, made: Rollup) -> set[str]:
        """What publishing an hour reads."""
        candidate = press.candidate(hour, made)
        before = press.candidates.generations("day", DAY)
        self.seen = set()
        press.publisher.publish([candidate], "test")
        assert press.faults() == []
        return {f"{kind}/{period}" for kind, period, g in self.seen if kind == "hour" or g in before}


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path)
    for hour in HOURS[:2]:
        press.publish({hour: hour_rollup(hour, ["utc", "berlin"])})
    return press


def test_a_new_hour_is_added_to_the_day(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Reads(press, monkeypatch).of(press, HOURS[2], hour_rollup(HOURS[2], ["utc", "berlin"]))
    assert read == {f"hour/{HOURS[2]}", f"day/{DAY}"}
    assert total(press.shown("utc", f"day/{DAY}")) == 18
    again = press.publisher.rebuild([DAY], [], "from all hours")
    assert not any(again.sites.values())


def test_a_corrected_hour_makes_the_day_from_all_of_its_hours(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [hour_rollup(HOURS[0], ["utc", "berlin"], seed) for seed in (0, 1)]
    read = Reads(press, monkeypatch).of(press, HOURS[0], merge(both))
    assert {f"hour/{hour}" for hour in HOURS[:2]} <= read
    assert total(press.shown("utc", f"day/{DAY}")) == 18


def test_a_site_in_another_zone_since_gets_its_day_from_hours(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    press.sites = dict.fromkeys(["utc", "berlin"], replace(SITES["utc"], timezone="Europe/London"))
    read = Reads(press, monkeypatch).of(press, HOURS[2], hour_rollup(HOURS[2], ["utc"]))
    assert read == {f"hour/{hour}" for hour in HOURS}
    assert total(press.shown("utc", f"day/{DAY}")) == 18


def test_a_day_whose_rows_are_gone_is_made_from_hours(press: Press) -> None:
    for generation in press.candidates.generations("day", DAY):
        press.candidates.remove("day", DAY, generation)
    press.publish({HOURS[2]: hour_rollup(HOURS[2], ["utc"])})
    assert total(press.shown("utc", f"day/{DAY}")) == 18
