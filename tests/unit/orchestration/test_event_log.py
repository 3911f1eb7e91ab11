"""What a run says of many partitions is kept as Dagster's own storage keeps it, only at once."""

# Dagster reads the annotations of assets, so they stay objects: no `annotations` from the future.

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry

from orchestration.event_log import BatchedEventLog
from orchestration.partitions import HOURS

HOURS_RUN = [f"2016-02-03T{n:02d}" for n in range(5)]
OWN = {"custom": {"module": "orchestration.event_log", "class": "Storage"}}


@dg.asset(partitions_def=HOURS, backfill_policy=dg.BackfillPolicy.single_run())
def counted(context: dg.AssetExecutionContext) -> None:
    for n, hour in enumerate(context.partition_keys):
        context.add_asset_metadata({"events": n}, partition_key=hour)


def recorded(folder: Path, storage: dict[str, Any]) -> dict[str, Any]:
    """What can be asked about a run over some hours."""
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides={"storage": storage}) as instance:
        job = dg.Definitions(assets=[counted], jobs=[dg.define_asset_job("count", [counted])])
        tags = {
            "dagster/asset_partition_range_start": HOURS_RUN[0],
            "dagster/asset_partition_range_end": HOURS_RUN[-1],
        }
        result = job.resolve_job_def("count").execute_in_process(instance=instance, tags=tags)
        assert result.success
        key = dg.AssetKey("counted")
        records = instance.fetch_materializations(key, limit=100, ascending=True).records
        logs = instance.all_logs(result.run_id)
        (about,) = instance.get_asset_records([key])
        newest = about.asset_entry.last_materialization
        assert newest is not None
        return {
            "partitions": instance.get_materialized_partitions(key),
            "metadata": [(r.partition_key, r.asset_materialization.metadata) for r in records],  # type: ignore[union-attr]
            "log": sorted(str(e.dagster_event_type) for e in logs if e.is_dagster_event),
            "newest": newest.dagster_event.partition if newest.dagster_event else None,
        }


def test_a_batch_is_kept_as_its_events_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = recorded(tmp_path / "theirs", {"sqlite": {"base_dir": str(tmp_path / "theirs")}})
    assert theirs["partitions"] == set(HOURS_RUN)

    batches: list[int] = []
    store = BatchedEventLog.store_event_batch

    def counting(self: BatchedEventLog, events: Sequence[EventLogEntry]) -> None:
        batches.append(len(events))
        store(self, events)

    monkeypatch.setattr(BatchedEventLog, "store_event_batch", counting)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "3")
    own = {"custom": OWN["custom"] | {"config": {"base_dir": str(tmp_path / "ours")}}}
    assert recorded(tmp_path / "ours", own) == theirs
    assert sum(batches) >= len(HOURS_RUN)
