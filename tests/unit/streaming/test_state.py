"""The live state: runs that merge without changing a number, bounded in time and in values."""

from __future__ import annotations

from pathlib import Path

import pytest

from recount.counting.rollup import Rollup, merge
from streaming.state import FAN_IN, LiveState
from tests.made import TS
from tests.unit.streaming.stage import Stage, home, seen

PLACE = f"demo#{home(seen(0))}"


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Rollup:
    """Six visitors on six pages."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    stage.given(*(seen(1, n, url=f"https://demo.example/{n}") for n in range(6)))
    (run,) = stage.state.runs
    return run.rollup


def pages(state: LiveState, from_ms: int = 0) -> Rollup:
    found = state.of_site("demo", [PLACE], from_ms)
    return Rollup(found.rows.filter(dimension="page"), found.revenue)


def test_an_empty_state_has_an_empty_answer() -> None:
    assert LiveState().of_site("demo", [PLACE], 0).is_empty


def test_merging_runs_changes_no_number(batch: Rollup) -> None:
    merged, plain = LiveState(), LiveState()
    for n in range(70):
        merged.add(batch)
        plain.add(batch)
        if n % 3 == 0:
            merged.compact(0)
    assert len(merged.runs) < 20
    assert pages(merged).rows.equals(pages(plain).rows)
    assert set(pages(merged).rows["pageviews"]) == {70}


def test_what_is_over_the_horizon_is_dropped(batch: Rollup) -> None:
    state = LiveState()
    state.add(batch)
    state.compact(TS + 60_000)
    assert len(state.runs) == 1
    state.compact(TS + 5 * 60_000)
    assert not state.runs


def test_older_buckets_are_left_out_of_an_answer(batch: Rollup) -> None:
    state = LiveState()
    state.add(batch)
    assert pages(state, TS).rows.height == 6
    assert pages(state, TS + 1).rows.is_empty()


def test_values_are_bounded_and_the_rest_is_other(batch: Rollup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.state.VALUES_MAX", 3)
    state = LiveState()
    for _ in range(FAN_IN * FAN_IN):
        state.add(batch)
        state.compact(0)
    assert sorted(pages(state).rows["value"])[0] == "(other)"
    assert pages(state).rows.height == 4
    assert int(pages(state).rows["pageviews"].sum()) == 6 * FAN_IN * FAN_IN
    assert state.folded_rows > 0


def test_properties_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.state.PROPERTIES_MAX", 2)
    stage = Stage(tmp_path)
    names = ("a", "b", "c")
    stage.given(
        *(seen(1, n, kind="event", name="e", props=dict.fromkeys(names[: n + 1], "x")) for n in range(3))
    )
    state = LiveState()
    for _ in range(FAN_IN * FAN_IN):
        state.add(stage.state.runs[0].rollup)
        state.compact(0)
    kept = state.of_site("demo", [PLACE], 0).rows["dimension"].unique()
    assert {d for d in kept if d.startswith("prop:")} == {"prop:a", "prop:b"}


def test_a_partition_is_dropped_also_from_a_merge_under_way(
    batch: Rollup, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = LiveState()

    def meanwhile(rollups: list[Rollup]) -> Rollup:
        state.drop_partitions([home(seen(0))])
        return merge(rollups)

    for _ in range(FAN_IN):
        state.add(batch)
    monkeypatch.setattr("streaming.state.merge", meanwhile)
    state.compact(0)
    monkeypatch.undo()
    assert pages(state).rows.is_empty()
