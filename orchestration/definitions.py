"""Everything that Dagster shows and runs, explicitly."""

from __future__ import annotations

import dagster as dg

from orchestration import assets, corrections, erasure, external, jobs, sensors
from orchestration.alerts.sensor import alerts_sensor
from orchestration.resources import workplace_resource
from recount.settings import Settings


@dg.definitions
def definitions() -> dg.Definitions:
    """Loaded by the code server (`dagster api grpc -m orchestration.definitions`)."""
    settings = Settings.from_env()
    return dg.Definitions(
        assets=[
            *external.external_assets(),
            assets.event_archive,
            assets.hourly_rollup,
            assets.published_hours,
            assets.daily_rollup,
            assets.monthly_rollup,
        ],
        asset_checks=external.topic_checks(),
        jobs=[*jobs.jobs(), *corrections.jobs(), *erasure.jobs()],
        schedules=[jobs.hourly, corrections.daily_gc],
        sensors=[sensors.reconcile_sensor(settings), sensors.topic_lag, alerts_sensor(settings)],
        resources={"workplace": workplace_resource()},
        executor=dg.in_process_executor,
    )
