"""Dagster's own launcher, which also says of a run that its process is gone.

Without it a run whose process was killed (with the code server, or for lack of memory) counts as running for
the longest time that a run may take: for hours its pool stays taken, so that nothing is published, and the
sensor leaves its hours to it.
"""

from __future__ import annotations

import dagster as dg
import psutil
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

CLOCKS_DIFFER_S = 2.0


class LocalRunLauncher(DefaultRunLauncher):
    """Runs are processes of this machine; each says its number in an event when it begins."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        started = self._started(run.run_id)
        if started is None or _lives(*started):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {started[0]} is gone")

    def _started(self, run_id: str) -> tuple[int, float] | None:
        """Process number and moment (s UTC) of the newest start; None before there was one."""
        found = None
        for entry in self._instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event is not None else None
            if pid is not None:
                found = int(str(pid.value)), entry.timestamp
        return found


def _lives(pid: int, since_s: float) -> bool:
    """Whether the process that wrote the event is still there, and not another one with its number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since_s + CLOCKS_DIFFER_S
    except psutil.NoSuchProcess:
        return False
