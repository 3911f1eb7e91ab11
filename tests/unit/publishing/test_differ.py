"""What publishing candidates would change is what it does change."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recount.counting.rollup import Rollup
from recount.errors import InvalidInput
from recount.periods import hours_in
from recount.publishing import differ
from recount.publishing.differ import Differ
from recount.publishing.portions import portions
from tests.publishing import SITES, Press, total
from tests.rollups import hour_rollup

HOURS = hours_in(("2026-11-21T20", "2026-11-23T03"))
ALL = list(SITES)


@pytest.fixture
def press(tmp_path: Path) -> Press:
    made = Press(tmp_path)
    made.publish({hour: hour_rollup(hour, ALL) for hour in HOURS})
    return made


def differ_of(press: Press) -> Differ:
    return Differ(press.manifests, press.segments, press.candidates, press.sites)


def candidates(press: Press, rollups: dict[str, Rollup]) -> dict[str, str]:
    return {hour: press.candidate(hour, made).generation for hour, made in rollups.items()}


def test_candidates_like_what_is_published_change_nothing(press: Press) -> None:
    same = candidates(press, {hour: hour_rollup(hour, ALL) for hour in HOURS[5:9]})
    found = differ_of(press).compare(same)
    assert found.is_empty
    assert set(found.totals["site"]) == set(ALL)


@pytest.mark.parametrize("rows_at_once", [1, 2_000_000])
def test_the_totals_of_a_diff_are_what_readers_see_before_and_after(
    press: Press, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differ, "ROWS_AT_ONCE", rows_at_once)
    changed = {hour: hour_rollup(hour, ["utc", "berlin", "kolkata"], seed=9) for hour in HOURS[3:20]}
    wanted = candidates(press, changed)
    told: list[str] = []
    found = differ_of(press).compare(wanted, progress=told.append)
    days = found.totals.filter(pl.col("metric") == "pageviews").select("day", "site", "old", "new").rows()
    assert told == differ_of(press).days(wanted)
    assert {site for _, site, _, _ in days} == set(ALL)
    assert all(total(press.shown(site, f"day/{day}")) == old for day, site, old, _ in days)
    press.publish(changed)
    assert all(total(press.shown(site, f"day/{day}")) == new for day, site, _, new in days)
    assert found.changes.filter((pl.col("site") == "auckland") & pl.col("appeared")).is_empty()


def test_only_the_sites_asked_for_are_compared(press: Press) -> None:
    wanted = candidates(press, {HOURS[8]: hour_rollup(HOURS[8], ALL, seed=3)})
    found = differ_of(press).compare(wanted, only=["utc"])
    assert set(found.totals["site"]) == {"utc"}


def test_the_first_numbers_of_an_hour_appear(tmp_path: Path) -> None:
    press = Press(tmp_path)
    found = differ_of(press).compare(candidates(press, {HOURS[0]: hour_rollup(HOURS[0], ["utc"])}))
    assert found.changes["appeared"].all()
    assert not found.is_empty


def test_a_candidate_that_is_not_there_is_named(press: Press) -> None:
    with pytest.raises(InvalidInput, match=HOURS[0]):
        differ_of(press).compare({HOURS[0]: "none"})


@given(st.dictionaries(st.integers(1, 500).map(str), st.integers(1, 3_000_000), max_size=30))
def test_portions_hold_every_site_once(rows: dict[str, int]) -> None:
    found = [portion.of(sorted(rows)) for portion in portions(rows, differ.ROWS_AT_ONCE)]
    assert sorted(site for portion in found for site in portion) == sorted(rows)
    assert all(sum(rows[site] for site in portion[:-1]) < differ.ROWS_AT_ONCE for portion in found)
