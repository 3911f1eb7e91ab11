"""The asset graph as an operator sees it: a change of it is meant."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg

from deploy.local.layout import ROOT
from orchestration.definitions import definitions

GOLDEN = Path(__file__).with_name("graph.json")


def loaded() -> dg.Definitions:
    made = definitions()
    assert isinstance(made, dg.Definitions)
    return made


def graph(defs: dg.Definitions) -> dict[str, object]:
    repository = defs.get_repository_def()
    assets = {}
    for node in repository.asset_graph.asset_nodes:
        assets[node.key.to_user_string()] = {
            "after": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": None if node.partitions_def is None else type(node.partitions_def).__name__,
            "runs_here": node.is_executable,
            "pools": sorted(node.pools or ()),
            "checks": sorted(check.name for check in node.check_keys),
        }
    return {
        "assets": assets,
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": sorted(s.name for s in repository.sensor_defs),
    }


def test_the_graph_is_as_recorded() -> None:
    """After a change that is meant: write `graph(loaded())` into graph.json and look at the difference."""
    assert graph(loaded()) == json.loads(GOLDEN.read_text())


def test_everything_resolves() -> None:
    dg.Definitions.validate_loadable(loaded())


def test_hourly_assets_work_on_a_range_in_one_run() -> None:
    for node in loaded().get_repository_def().asset_graph.asset_nodes:
        if node.is_executable:
            assert node.backfill_policy == dg.BackfillPolicy.single_run(), node.key


def test_dagster_is_set_up_to_stay_quiet_and_publish_once_at_a_time() -> None:
    settings = (ROOT / "dagster.yaml").read_text()
    assert "telemetry:\n  enabled: false\n" in settings
    assert "default_limit: 1\n" in settings
    assert "location_name: recount\n" in (ROOT / "workspace.yaml").read_text()
