"""Candidates made on request: runs in Dagster, watched until they are over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console

from cli.context import CliContext
from cli.dagster_client import DagsterClient
from cli.progress import counting
from cli.publishing import GAP_MAX_HOURS, RANGE_TAGS, REASON_TAG, USER_TAG, operator
from recount.errors import Incomplete, SetupError
from recount.periods import HourRange, hour_ranges
from recount.store.manifests import Manifests
from recount.store.provenance import period_key
from recount.store.reprocessings import Reprocessing, Reprocessings, Source

POLL_S: Final = 1.0
REPROCESSING_TAG: Final = "recount/reprocessing"
JOBS: Final[dict[Source, str]] = {"archive": "candidates_from_archive", "raw": "candidates_from_raw"}
# Archiving again takes turns with the hours as they come, so its runs are short.
SPAN_MAX_HOURS: Final[dict[Source, int]] = {"archive": 720, "raw": 48}


def compute(context: CliContext, request: Reprocessing, hours: Sequence[str]) -> None:
    """Queue the runs, few and long, and watch them; Ctrl-C stops them."""
    spans = hour_ranges(hours, gap_max_hours=GAP_MAX_HOURS, span_max_hours=SPAN_MAX_HOURS[request.source])
    dagster = DagsterClient(context.dagster_url())
    tags = {REPROCESSING_TAG: request.id, REASON_TAG: request.reason, USER_TAG: operator()}
    runs = [dagster.launch(JOBS[request.source], tags | _range(span)) for span in spans]
    try:
        _watch(context, dagster, request, hours, runs)
    except KeyboardInterrupt:
        dagster.terminate([run for run in runs if not dagster.state(run).is_over])
        click.echo("\nStopped; the hours that are done are kept.", err=True)
        click.echo(f"Go on with: recount reprocess resume {request.id}", err=True)
        raise click.Abort from None


def hours_to_compute(context: CliContext, request: Reprocessing) -> list[str]:
    """All of them; of the archive, those that are published."""
    if request.source == "raw":
        return request.hours
    manifests = Manifests(context.tables().manifests)
    keys = {period_key("hour", hour): hour for hour in request.hours}
    found = [keys[key] for key in manifests.entries(manifests.current(), keys)]
    if not found:
        cause = f"nothing is published between {request.first} and {request.last}"
        raise SetupError("reprocess", cause, "give other hours, or take them --from-raw")
    return sorted(found)


def _watch(
    context: CliContext,
    dagster: DagsterClient,
    request: Reprocessing,
    hours: Sequence[str],
    runs: Sequence[str],
) -> None:
    store, wanted = Reprocessings(context.tables().catalog), set(hours)
    with counting(f"Computing {request.id}", len(hours), Console(stderr=True)) as advance:
        over: dict[str, str] = {}
        while len(over) < len(runs):
            time.sleep(POLL_S)
            advance(len(wanted.intersection(store.hours(request.id))))
            states = {run: dagster.state(run) for run in runs if run not in over}
            over |= {run: state.status for run, state in states.items() if state.is_over}
    failed = [run for run, status in over.items() if status != "SUCCESS"]
    if failed:
        why = "\n  ".join(dagster.failures(failed[0])) or over[failed[0]]
        raise Incomplete(
            f"{len(failed)} of {len(runs)} runs did not succeed:\n  {why}\n"
            f"The run is at {dagster.run_url(failed[0])}\n"
            f"The hours that are done are kept: recount reprocess resume {request.id}"
        )


def _range(span: HourRange) -> dict[str, str]:
    return dict(zip(RANGE_TAGS, span, strict=True))
