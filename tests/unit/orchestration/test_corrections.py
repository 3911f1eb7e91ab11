"""The jobs of corrections, as Dagster runs them."""

from __future__ import annotations

import re
import time

import pytest

from deploy.local.layout import ROOT
from orchestration.steps.reconcile import State, look
from recount.periods import HOUR_MS, MINUTE_MS
from recount.publishing.collect import RUN_MAX_MS
from recount.publishing.reprocessing import BaseChanged
from recount.store.catalog import Site
from tests.unit.orchestration.runner import Runner, materialized
from tests.unit.orchestration.test_candidates import add_goal, publish, reprocess, three_hours
from tests.unit.orchestration.world import MONTH_OVER, World


def test_publishing_a_reprocessing_reports_what_moved(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
    world.clock.ms = MONTH_OVER
    result = runner.correct("publish_reprocessing", "show_candidates", {"reprocessing": "fix"})
    assert result.success
    root = world.place.manifests.current()
    assert root is not None
    assert root.run_id == result.run_id
    assert sorted(materialized(result, "published_hours")) == hours
    assert materialized(result, "daily_rollup") == {"2026-09-21": {"root": root.id, "sites_changed": 1}}
    assert list(materialized(result, "monthly_rollup")) == ["2026-09"]


def test_a_reprocessing_whose_base_changed_fails_with_its_hours(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    reprocess(world, *hours)
    world.publish(hours[2], run="again")
    with pytest.raises(BaseChanged, match=hours[2]):
        runner.correct(
            "publish_reprocessing", "show_candidates", {"reprocessing": "fix"}, raise_on_error=True
        )


def test_a_rollback_reports_what_moved_back(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    before = world.total("day/2026-09-21")
    add_goal(world)
    reprocess(world, *hours)
    publication = publish(world)
    result = runner.correct("rollback", "go_back", {"publication": publication.id})
    assert result.success
    assert sorted(materialized(result, "published_hours")) == hours
    assert world.values(f"hour/{hours[0]}", "goal") == set()
    assert world.total("day/2026-09-21") == before


def test_hours_that_went_back_are_left_alone_until_something_new_comes(runner: Runner, world: World) -> None:
    """The sensor sees no need: the cut and the carries stay those of the present."""
    hours = three_hours(world)
    world.deliver([world.event(61 * MINUTE_MS, visitor=9)])
    late = world.publish(hours[1], run="late")
    assert late is not None
    assert runner.correct("rollback", "go_back", {"publication": late.publication.id}).success
    assert world.total(f"hour/{hours[1]}")["pageviews"] == 15
    place = world.place
    assert look(State(), place.raw, place.manifests, sorted(place.log.ranges())).waiting == {}
    world.publish(hours[1], run="by hand")
    assert world.total(f"hour/{hours[1]}")["pageviews"] == 16


def test_a_rollback_of_what_was_touched_since_becomes_a_reprocessing(runner: Runner, world: World) -> None:
    world.place.catalog.add(Site(id="other", domain="other.example"))
    hours = three_hours(world, "demo", "other")
    add_goal(world)
    add_goal(world, "other")
    reprocess(world, *hours)
    publication = publish(world)
    add_goal(world)
    reprocess(world, hours[0], name="again", sites=("demo",))
    publish(world, "again")
    result = runner.correct("rollback", "go_back", {"publication": publication.id})
    assert result.success
    request = world.place.reprocessings.all()[0]
    assert (request.source, request.hours) == ("rollback", hours)
    publish(world, request.id)
    assert world.values(f"hour/{hours[0]}", "goal", "demo") == {"goal 0", "goal 1"}
    assert world.values(f"hour/{hours[0]}", "goal", "other") == set()
    assert world.values(f"hour/{hours[1]}", "goal", "demo") == set()


def test_the_collector_says_and_then_does(runner: Runner, world: World) -> None:
    """A reprocessing that was given up, and one that waits."""
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours, name="waits")
    reprocess(world, *hours, name="given up")
    store = world.place.reprocessings
    store.change(store.get("given up"), state="discarded")
    world.clock.ms = time.time_ns() // 1_000_000 + 8 * 24 * HOUR_MS
    dry = runner.correct("gc", "collect_garbage", {"dry_run": True})
    assert dry.success
    assert all(
        world.place.candidates.info("hour", h, d.generation) for h, d in store.hours("given up").items()
    )
    assert runner.correct("gc", "collect_garbage", {}).success
    assert not any(
        world.place.candidates.info("hour", h, d.generation) for h, d in store.hours("given up").items()
    )
    publish(world, "waits")
    assert world.values("day/2026-09-21", "goal") == {"goal 0"}


def test_nothing_that_a_run_may_still_write_is_collected() -> None:
    """A run ends before what it wrote may be collected."""
    settings = (ROOT / "dagster.yaml").read_text()
    found = re.search(r"max_runtime_seconds: (\d+)", settings)
    assert found is not None
    assert int(found[1]) * 1000 < RUN_MAX_MS
