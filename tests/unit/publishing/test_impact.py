from __future__ import annotations

from pathlib import Path

import pytest

from recount.counting.rollup import merge
from recount.errors import InvalidInput
from recount.publishing.impact import Impacts, of_logic, of_rules, of_run
from tests.publishing import Press
from tests.rollups import hour_rollup

HOURS = [f"2026-10-31T{hour:02d}" for hour in (22, 23)] + ["2026-11-01T00"]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path)
    for n, hour in enumerate(HOURS):
        rollup = hour_rollup(hour, ["utc", "berlin"])
        rules = {"utc": n + 1, "berlin": 1}
        made = press.candidate(hour, rollup, logic_version=6 + n // 2, run_id=f"run-{n}", rules=rules)
        press.publisher.publish([made], "hour")
    return press


def impacts(press: Press) -> Impacts:
    return Impacts(press.manifests, press.segments, press.candidates)


def test_hours_and_sites_of_a_logic_version(press: Press) -> None:
    found = impacts(press).of(of_logic(6))
    assert found.sites == {"berlin": HOURS[:2], "utc": HOURS[:2]}
    assert found.spans == [(HOURS[0], HOURS[1])]
    assert found.totals["utc"]["pageviews"] == 12
    assert "page" in found.dimensions
    assert impacts(press).of(of_logic(5)).hours == []


def test_hours_of_a_run_and_of_a_range(press: Press) -> None:
    assert impacts(press).of(of_run("run-2")).hours == [HOURS[2]]
    assert impacts(press).of(of_run("run-")).hours == HOURS
    assert impacts(press).of(of_run("run-"), (HOURS[1], HOURS[1])).hours == [HOURS[1]]


def test_rules_of_one_site_in_one_version_or_any(press: Press) -> None:
    assert impacts(press).of(of_rules("utc:2")).sites == {"utc": [HOURS[1]]}
    assert impacts(press).of(of_rules("berlin")).sites == {"berlin": HOURS}
    for bad in ("", "utc:new"):
        with pytest.raises(InvalidInput):
            of_rules(bad)


def test_what_was_computed_again_no_longer_rests_on_the_old_version(press: Press) -> None:
    """One site is corrected, the other comes out equal and keeps its rows."""
    hour = HOURS[0]
    rollup = merge([hour_rollup(hour, ["utc"], views=9), hour_rollup(hour, ["berlin"])])
    press.publisher.publish([press.candidate(hour, rollup, logic_version=8)], "fix")
    assert impacts(press).of(of_logic(6)).sites == {"berlin": [HOURS[1]], "utc": [HOURS[1]]}
    assert impacts(press).of(of_logic(8)).sites == {"berlin": [hour], "utc": [hour]}


def test_a_correction_of_one_site_says_nothing_of_the_others(press: Press) -> None:
    hour = HOURS[0]
    made = press.candidate(hour, hour_rollup(hour, ["utc"], views=9), logic_version=8, only=["utc"])
    publication = press.publisher.publish([made], "fix")
    assert impacts(press).of(of_logic(6)).sites == {"berlin": HOURS[:2], "utc": [HOURS[1]]}
    press.undo(publication)
    assert impacts(press).of(of_logic(6)).sites == {"berlin": HOURS[:2], "utc": HOURS[:2]}


def test_the_rules_for_all_sites_in_one_version_or_any(press: Press) -> None:
    made = press.candidate(
        HOURS[0], hour_rollup(HOURS[0], ["utc", "berlin"], views=9), common={"utc": 2, "berlin": 2}
    )
    press.publisher.publish([made], "hour")
    assert impacts(press).of(of_rules("*:2")).sites == {"berlin": HOURS[:1], "utc": HOURS[:1]}
    assert impacts(press).of(of_rules("*:1")).sites == {"berlin": HOURS[1:], "utc": HOURS[1:]}
    assert impacts(press).of(of_rules("*")).hours == HOURS
