"""The stage `candidate`, as Dagster runs it."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.jobs import HOUR_JOB, REARCHIVE_JOB, REFOLD_JOB
from orchestration.partitions import range_tags
from orchestration.sensors import in_progress
from recount.periods import MINUTE_MS
from tests.unit.orchestration.runner import Runner, checks, materialized
from tests.unit.orchestration.test_candidates import add_goal, publish, three_hours
from tests.unit.orchestration.world import World, hour


def test_the_hourly_assets_with_the_stage_candidate_publish_nothing(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    before = world.place.manifests.current()
    result = runner.run(HOUR_JOB, hours[0], hours[-1], stage="candidate", reason="a goal", user="ada")
    assert result.success
    assert world.place.manifests.current() == before
    assert materialized(result, "published_hours") == {}
    (request,) = world.place.reprocessings.all()
    assert (request.source, request.reason, request.requested_by) == ("raw", "a goal", "ada")
    assert request.spans == [(hours[0], hours[-1])]
    rolled = materialized(result, "hourly_rollup")
    assert rolled[hours[0]]["reprocessing"] == request.id
    publish(world, request.id)
    assert world.values("day/2026-09-21", "goal") == {"goal 0"}


def test_the_rollup_alone_folds_the_archive_that_is_published(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    world.deliver([world.event(5 * MINUTE_MS + 1, visitor=9)])
    result = runner.run(REFOLD_JOB, hours[0], hours[-1], reprocessing="mine", sites="demo, gone")
    assert result.success
    assert checks(result) == {"ledger_balances": True}
    request = world.place.reprocessings.get("mine")
    assert (request.source, request.sites) == ("archive", ["demo", "gone"])
    assert publish(world, "mine").moved == {}, "the late event is not in the archive that was published"


def test_runs_of_one_reprocessing_add_up_and_keep_what_is_done(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    assert runner.run(REARCHIVE_JOB, hours[0], hours[0], reprocessing="mine").success
    assert runner.run(REARCHIVE_JOB, hours[0], hours[1], reprocessing="mine").success
    result = runner.run(REARCHIVE_JOB, hours[0], hours[1], reprocessing="mine")
    assert result.success
    assert checks(result) == {
        "receipts_complete": True,
        "items_match_receipts": True,
        "ledger_balances": True,
    }
    assert materialized(result, "hourly_rollup")[hours[0]]["hours_kept"] == 2
    assert sorted(world.place.reprocessings.hours("mine")) == hours[:2]


def test_a_stage_that_there_is_not_is_refused(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    before = world.place.manifests.current()
    assert not runner.run(HOUR_JOB, hours[0], hours[0], stage="candidat").success
    assert world.place.manifests.current() == before


@pytest.mark.parametrize(("stage", "busy"), [("candidate", set()), ("publish", {hour(0), hour(1)})])
def test_a_run_that_publishes_nothing_keeps_no_hour_from_being_published(stage: str, busy: set[str]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tags = range_tags((hour(0), hour(0))) | {"recount/stage": stage}
        instance.add_run(
            dg.DagsterRun(job_name="any", run_id="r", tags=tags, status=dg.DagsterRunStatus.STARTED)
        )
        assert in_progress(instance) == busy
