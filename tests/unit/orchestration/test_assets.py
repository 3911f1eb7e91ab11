"""The jobs as Dagster runs them, in this process, on stores in memory."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration import assets
from orchestration.jobs import HOUR_JOB, PUBLISH_OPEN_JOB
from orchestration.steps import rollup_hour
from recount.counting.fold import fold
from recount.periods import HOUR_MS, MINUTE_MS
from tests.unit.orchestration.runner import Runner, checks, materialized
from tests.unit.orchestration.world import LIVE, START, World, hour

MINUTE = MINUTE_MS


def test_a_range_is_one_run_with_metadata_for_each_hour(runner: Runner, world: World) -> None:
    world.deliver([world.event(t * MINUTE, visitor=t % 4) for t in range(0, 118, 6)])
    result = runner.run(HOUR_JOB, hour(0), hour(1))
    assert result.success
    assert checks(result) == {
        "receipts_complete": True,
        "items_match_receipts": True,
        "ledger_balances": True,
        "agrees_with_live": True,
    }
    archived = materialized(result, "event_archive")
    assert sorted(archived) == [hour(0), hour(1), hour(2)], "open visits end in the hour that follows"
    assert [archived[hour(n)]["events"] for n in range(3)] == [10, 10, 0]
    assert archived[hour(0)]["cut"] == {"events/00000": 20, "imports/00000": 0}
    assert archived[hour(0)]["bytes"] > 0
    rolled = materialized(result, "hourly_rollup")
    assert rolled[hour(1)]["ledger"].records[0].data["accepted"] == 10
    assert rolled[hour(1)]["total_ledger"]["counted"] == 20
    published = materialized(result, "published_hours")
    root = world.place.manifests.current()
    assert root is not None
    assert {published[hour(n)]["root"] for n in range(2)} == {root.id}
    assert root.reason == "test"
    assert root.run_id == result.run_id
    assert list(materialized(result, "daily_rollup")) == ["2026-09-21"]
    assert materialized(result, "monthly_rollup") == {}, "the month still runs"


def test_a_gap_in_the_receipts_blocks_and_is_named(runner: Runner, world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(5)])
    world.store(offsets[:2])
    world.log.unreadable = True
    result = runner.run(HOUR_JOB, hour(0), hour(0))
    assert not result.success
    assert checks(result) == {"receipts_complete": False, "items_match_receipts": True}
    (failed,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "events/0 offsets 2 to 4" in (failed.description or "")
    assert materialized(result, "hourly_rollup") == {}
    assert world.place.manifests.current() is None
    assert world.place.archive.newest(hour(0)) is not None, "the next hour goes on from a provisional carry"


def test_a_missing_interval_is_read_again_and_published(runner: Runner, world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(5)])
    world.store(offsets[:2])
    result = runner.run(HOUR_JOB, hour(0), hour(0))
    assert result.success
    assert materialized(result, "event_archive")[hour(0)]["reread_events"] == 3
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 5


def test_a_hole_is_shown_and_does_not_block(runner: Runner, world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(5)])
    world.store(offsets[3:])
    world.log.expire(LIVE, 3)
    result = runner.run(HOUR_JOB, hour(0), hour(0))
    assert result.success
    (warning,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert warning.severity == dg.AssetCheckSeverity.WARN
    assert "events/0 offsets 0 to 2" in (warning.description or "")
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 2


def test_events_that_the_raw_table_lost_block(runner: Runner, world: World) -> None:
    world.deliver([world.event(0)])
    item = next(i for i in world.place.tables.raw.scan() if not i["pk"].startswith(("receipt", "layout")))
    world.place.tables.raw.delete((item["pk"], item["sk"]))
    result = runner.run(HOUR_JOB, hour(0), hour(0))
    assert not result.success
    assert checks(result)["items_match_receipts"] is False


def test_a_ledger_that_does_not_add_up_blocks(
    runner: Runner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold that loses an event is stopped before anybody sees its numbers."""
    monkeypatch.setattr(rollup_hour, "fold", lambda events, *rest: fold(events[1:], *rest))
    world.deliver([world.event(0), world.event(1)])
    result = runner.run(HOUR_JOB, hour(0), hour(0))
    assert not result.success
    assert checks(result)["ledger_balances"] is False
    assert world.place.manifests.current() is None


def test_publish_open_takes_the_running_hour(runner: Runner, world: World) -> None:
    world.deliver([world.event(-5 * MINUTE), world.event(5 * MINUTE)])
    world.clock.ms = START + 10 * MINUTE
    assert not runner.run(HOUR_JOB, hour(-1), hour(0)).success
    assert runner.run(PUBLISH_OPEN_JOB, hour(-1), hour(0)).success
    entries = [world.entry(hour(n)) for n in (-1, 0)]
    assert [entry.open_until if entry else 0 for entry in entries] == [None, START + 10 * MINUTE]
    assert world.total(f"hour/{hour(0)}")["visits"] == 0, "it goes on with the visit of the hour before"


def test_days_and_months_can_be_made_again_alone(runner: Runner, world: World) -> None:
    world.deliver([world.event(0), world.event(HOUR_MS)])
    world.publish(hour(0), hour(1))
    before = world.total("day/2026-09-21")
    for asset, partition in ((assets.daily_rollup, "2026-09-21"), (assets.monthly_rollup, "2026-09")):
        result = runner.materialize(asset, partition)
        assert result.success
        assert materialized(result, asset.key.to_user_string())[partition]["days_changed"] == "none"
    assert world.total("day/2026-09-21") == before
