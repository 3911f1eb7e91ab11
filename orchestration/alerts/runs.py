"""Runs of Dagster that failed, and have not been made good by a later one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import dagster as dg
import msgspec
from dagster._core.storage.dagster_run import RunRecord

from orchestration.alerts import problems
from orchestration.alerts.problems import Links, Problem
from orchestration.partitions import PARTITION, RANGE_END, RANGE_START

RUNS_MAX: Final = 200  # of either kind, at one look
FAILURES_MAX: Final = 200
SLACK_S: Final = 60.0  # a run that ended just before the last look may be written after it


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed run; `first` and `last` are its partitions ("": none)."""

    job: str
    run_id: str
    first: str
    last: str
    at_s: float
    since_s: float
    why: str

    @property
    def name(self) -> str:
        return f"{self.job}/{self.first}"

    def is_mended_by(self, run: dg.DagsterRun, ended_s: float) -> bool:
        """Whether a later success covers the same partitions (of any job), or is the same job without any."""
        first, last = _span(run)
        if ended_s <= self.at_s:
            return False
        if not self.first:
            return run.job_name == self.job and not first
        return bool(first) and first <= self.first and self.last <= last


class Runs(msgspec.Struct, kw_only=True):
    """What the next look has to know: until when runs were looked at (s UTC), and the open failures."""

    seen_s: float = 0.0
    open: dict[str, Failure] = {}


def look_at_runs(instance: dg.DagsterInstance, runs: Runs, links: Links, now_ms: int) -> list[Problem]:
    """Changes `runs`. The first look begins with the present."""
    after_s = (runs.seen_s or now_ms / 1000) - SLACK_S
    for record in _ended(instance, dg.DagsterRunStatus.FAILURE, after_s):
        failure = _failure(instance, record)
        known = runs.open.get(failure.name)
        if known is None or known.at_s < failure.at_s:
            since_s = failure.at_s if known is None else known.since_s
            runs.open[failure.name] = msgspec.structs.replace(failure, since_s=since_s)
    if runs.open:
        oldest_s = min(failure.at_s for failure in runs.open.values())
        good = _ended(instance, dg.DagsterRunStatus.SUCCESS, min(oldest_s, after_s))
        runs.open = dict(list(_not_mended(runs.open, good))[-FAILURES_MAX:])
    runs.seen_s = now_ms / 1000
    return [
        problems.run_failed(f.job, _words(f), f.run_id, f.why, int(f.since_s * 1000), links)
        for f in runs.open.values()
    ]


def _ended(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, after_s: float) -> list[RunRecord]:
    after = datetime.fromtimestamp(after_s, UTC)
    filters = dg.RunsFilter(statuses=[status], updated_after=after)
    return list(instance.get_run_records(filters, limit=RUNS_MAX))


def _not_mended(failures: dict[str, Failure], good: Iterable[RunRecord]) -> Iterable[tuple[str, Failure]]:
    ended = [(record.dagster_run, record.end_time or 0.0) for record in good]
    for name, failure in failures.items():
        if not any(failure.is_mended_by(run, at_s) for run, at_s in ended):
            yield name, failure


def _failure(instance: dg.DagsterInstance, record: RunRecord) -> Failure:
    run = record.dagster_run
    first, last = _span(run)
    at_s = record.end_time or record.update_timestamp.timestamp()
    job = "materialisation" if run.job_name.startswith("__") else run.job_name
    why = _why(instance, run.run_id)
    return Failure(job=job, run_id=run.run_id, first=first, last=last, at_s=at_s, since_s=at_s, why=why)


def _why(instance: dg.DagsterInstance, run_id: str) -> str:
    """Its failed checks, which say what to do; else the error of its steps; else what Dagster says of it."""
    checks, errors, last = [], [], "it gives no reason"
    kinds = {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.RUN_FAILURE,
    }
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
                checks.append(f"{found.check_name}: {found.description}")
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            errors.append(error.message.strip() if error is not None else event.message or "")
        else:
            last = event.message or last
    return "; ".join(checks or errors or [last])[: problems.WHY_MAX_CHARS]


def _span(run: dg.DagsterRun) -> tuple[str, str]:
    one = run.tags.get(PARTITION, "")
    return run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one)


def _words(failure: Failure) -> str:
    if failure.first == failure.last:
        return failure.first
    return f"{failure.first} to {failure.last}"
