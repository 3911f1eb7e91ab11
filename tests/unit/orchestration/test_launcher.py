"""A run whose process is gone is told from one that is at work."""

from __future__ import annotations

import os
import subprocess
import sys

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus

from orchestration.launcher import LocalRunLauncher


def health(*pids: int) -> WorkerStatus:
    """Of a run that was started by these processes, one after the other."""
    launcher = LocalRunLauncher()
    assert launcher.supports_check_run_worker_health
    with dg.DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        run = instance.create_run_for_job(dg.job(name="nothing")(lambda: None))
        for pid in pids:
            instance.report_engine_event("started", run, EngineEventData.in_process(pid))
        return launcher.check_run_worker_health(run).status


def gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_at_work() -> None:
    assert health(os.getpid()) is WorkerStatus.RUNNING


def test_a_run_that_has_not_said_its_number_yet() -> None:
    assert health() is WorkerStatus.RUNNING


def test_a_run_whose_process_is_gone() -> None:
    assert health(gone()) is WorkerStatus.FAILED
    assert health(os.getpid(), gone()) is WorkerStatus.FAILED
