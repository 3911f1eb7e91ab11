"""The jobs, and the schedule that starts one a little after each hour."""

from __future__ import annotations

from typing import Final

import dagster as dg

from orchestration.assets import PUBLISH_OPEN_JOB
from orchestration.partitions import range_tags
from orchestration.stage import CANDIDATE, STAGE_TAG
from recount.periods import HOUR_MS, hour_of

__all__ = ["HOURLY_ASSETS", "HOUR_JOB", "PUBLISH_OPEN_JOB", "REARCHIVE_JOB", "REFOLD_JOB", "hourly", "jobs"]

HOURLY_ASSETS: Final = ("event_archive", "hourly_rollup", "published_hours")
HOUR_JOB: Final = "hour"
REFOLD_JOB: Final = "candidates_from_archive"
REARCHIVE_JOB: Final = "candidates_from_raw"
# The hours as they come go first, whatever history is being computed.
CANDIDATE_TAGS: Final = {STAGE_TAG: CANDIDATE, "dagster/priority": "-10"}


def jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """`hour` works on hours that are over; `publish_open` also takes the running one, marked as open. The two
    of candidates are those of `recount reprocess`."""
    return [
        dg.define_asset_job(
            HOUR_JOB,
            selection=list(HOURLY_ASSETS),
            description="Archive, fold, check and publish hours.",
        ),
        dg.define_asset_job(
            PUBLISH_OPEN_JOB,
            selection=list(HOURLY_ASSETS),
            description="The same for a running hour: take the cut now, publish it marked open.",
        ),
        dg.define_asset_job(
            REFOLD_JOB,
            selection=["hourly_rollup"],
            tags=CANDIDATE_TAGS,
            description="Fold what is published again, as candidates of a reprocessing. Publishes nothing.",
        ),
        dg.define_asset_job(
            REARCHIVE_JOB,
            selection=["event_archive", "hourly_rollup"],
            tags=CANDIDATE_TAGS,
            description="Archive and fold hours again, as candidates of a reprocessing. Publishes nothing.",
        ),
    ]


@dg.schedule(
    job_name=HOUR_JOB,
    cron_schedule="1 * * * *",  # the step itself waits for what is left of the grace
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="The hour that has just ended. Hours missed while Dagster was down are the sensor's.",
)
def hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    now = context.scheduled_execution_time
    hour = hour_of(int(now.timestamp()) * 1000 - HOUR_MS)
    return dg.RunRequest(run_key=hour, tags=range_tags((hour, hour)))
