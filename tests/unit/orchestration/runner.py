"""Jobs as Dagster runs them, in this process, on stores in memory."""

from __future__ import annotations

from typing import Any

import dagster as dg

from orchestration.partitions import range_tags
from tests.unit.orchestration.world import World


class Runner:
    """Runs jobs of the definitions on a world."""

    def __init__(self, defs: dg.Definitions, instance: dg.DagsterInstance, world: World) -> None:
        self._defs, self._instance, self._world = defs, instance, world

    def run(self, job: str, first: str, last: str, **tags: str) -> dg.ExecuteInProcessResult:
        """A job over a range of hours; `tags` are those of Recount, without their prefix."""
        given = {f"recount/{name}": value for name, value in ({"reason": "test"} | tags).items()}
        return self._defs.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            resources={"workplace": self._world.place},
            tags=range_tags((first, last)) | given,
            raise_on_error=False,
        )

    def correct(
        self, job: str, step: str, config: dict[str, Any], *, raise_on_error: bool = False
    ) -> dg.ExecuteInProcessResult:
        """A job of one step."""
        return self._defs.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            resources={"workplace": self._world.place},
            run_config={"ops": {step: {"config": config}}},
            raise_on_error=raise_on_error,
        )

    def materialize(self, asset: dg.AssetsDefinition, partition: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [asset],
            partition_key=partition,
            instance=self._instance,
            resources={"workplace": self._world.place},
        )


def materialized(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict[str, Any]]:
    """Partition -> metadata, also of partitions that were reported beyond those of the run."""
    found = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset):
            data = event.step_materialization_data.materialization
            found[str(data.partition)] = {name: value.value for name, value in data.metadata.items()}
    return found


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
