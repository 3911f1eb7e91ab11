"""Hours published on request: runs in Dagster, watched until they are over."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.console import Console

from cli.context import CliContext
from cli.dagster_client import DagsterClient
from cli.progress import counting
from recount.errors import Incomplete
from recount.periods import HourRange, hour_of, hour_ranges, hours_in, previous_hour
from recount.store.manifests import Manifests
from recount.store.provenance import period_key

POLL_S: Final = 0.5
GAP_MAX_HOURS: Final = 12  # empty hours between two are cheaper to take along than another run
HOUR_JOB: Final = "hour"
PUBLISH_OPEN_JOB: Final = "publish_open"
ASSETS_OF_AN_HOUR: Final = 3  # archive, candidate, publication
REASON_TAG: Final = "recount/reason"
USER_TAG: Final = "recount/user"
RANGE_TAGS: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def publish_hours(context: CliContext, hours: Sequence[str], *, reason: str, console: Console) -> None:
    """Archive, fold, check and publish hours, the running one as open; Incomplete where a run fails."""
    dagster = DagsterClient(context.dagster_url())
    running = hour_of(time.time_ns() // 1_000_000)
    over = [hour for hour in hours if hour < running]
    for span in hour_ranges(over, gap_max_hours=GAP_MAX_HOURS):
        _watch(dagster, HOUR_JOB, span, reason, console)
    if running in hours:
        publish_open(context, reason=reason, console=console)


def publish_open(context: CliContext, *, reason: str, console: Console) -> None:
    """Publish the running hour as it stands, with the hour before it unless that is published for good."""
    running = hour_of(time.time_ns() // 1_000_000)
    before = previous_hour(running)
    first = running if _is_closed(context, before) else before
    _watch(DagsterClient(context.dagster_url()), PUBLISH_OPEN_JOB, (first, running), reason, console)


def run_alone(
    context: CliContext, job: str, configs: Mapping[str, object], *, label: str, reason: str
) -> str:
    """A job, watched until it is over; `configs` by op. Returns the run's id, Incomplete where it fails."""
    dagster = DagsterClient(context.dagster_url())
    tags = {REASON_TAG: reason, USER_TAG: operator()}
    run_id = dagster.launch(job, tags, {"ops": {op: {"config": config} for op, config in configs.items()}})
    with Console(stderr=True).status(label):
        until_over(dagster, run_id, label)
    return run_id


def until_over(
    dagster: DagsterClient, run_id: str, label: str, advance: Callable[[int], None] = lambda _: None
) -> None:
    """Wait for a run. Raises Incomplete with its own words where it fails."""
    status = _until_over(dagster, run_id, advance)
    if status != "SUCCESS":
        why = "\n  ".join(dagster.failures(run_id)) or status
        raise Incomplete(f"{label} failed:\n  {why}\nThe run is at {dagster.run_url(run_id)}")


def operator() -> str:
    """Who asks, for the records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def _is_closed(context: CliContext, hour: str) -> bool:
    manifests = Manifests(context.tables().manifests)
    key = period_key("hour", hour)
    entry = manifests.entries(manifests.current(), [key]).get(key)
    return entry is not None and entry.open_until is None


def _watch(dagster: DagsterClient, job: str, span: HourRange, reason: str, console: Console) -> None:
    run_id = dagster.launch(job, dict(zip(RANGE_TAGS, span, strict=True)) | {REASON_TAG: reason})
    hours = len(hours_in(span))
    label = f"Publishing {span[0]}" + (f" to {span[1]}" if hours > 1 else "")
    with counting(label, hours * ASSETS_OF_AN_HOUR, console) as advance:
        until_over(dagster, run_id, label, advance)


def _until_over(dagster: DagsterClient, run_id: str, advance: Callable[[int], None]) -> str:
    while True:
        state = dagster.state(run_id)
        advance(state.materialized)
        if state.is_over:
            return state.status
        time.sleep(POLL_S)
