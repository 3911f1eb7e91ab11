"""The jobs of corrections, as Dagster runs them."""

from __future__ import annotations

import pytest

from recount.publishing.reprocessing import BaseChanged
from tests.unit.orchestration.runner import Runner, materialized
from tests.unit.orchestration.test_candidates import add_goal, reprocess, three_hours
from tests.unit.orchestration.world import World


def test_publishing_a_reprocessing_reports_what_moved(runner: Runner, world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
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
