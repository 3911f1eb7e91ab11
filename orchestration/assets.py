"""The hourly assets: archive, candidate rollup, publication. Each works on a range of hours in one run.

A run with the tag `recount/stage` = `candidate` makes candidates of a reprocessing and publishes nothing.
With `event_archive` selected the hours are archived again, without it what is published is folded again.
"""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import dagster as dg

from orchestration import external, report
from orchestration.partitions import DAYS, HOURS, MONTHS
from orchestration.resources import Workplace
from orchestration.stage import REASON_TAG, is_candidate, reprocessing_of
from orchestration.steps.archive_range import archive_range
from orchestration.steps.candidate_range import Share, archive_share, fold_share, share_of
from orchestration.steps.compare_live import compare_live
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rebuild_range import rebuild_range
from orchestration.steps.rollup_range import Candidate, rollup_range
from recount.store.reprocessings import Source

LOG_EVERY_S: Final = 2.0
GROUP: Final = "history"
PUBLISH_OPEN_JOB: Final = "publish_open"  # a run of this job takes the running hour without being told
PUBLISHER_POOL: Final = "publisher"
ARCHIVER_POOL: Final = "archiver"  # one cut at a time: a later generation never has an earlier cut
PUBLISHED: Final = dg.AssetKey("published_hours")
DAILY: Final = dg.AssetKey("daily_rollup")
MONTHLY: Final = dg.AssetKey("monthly_rollup")
# Of an asset that the schedule makes every hour; of a single hour the alerts know better.
EVERY_HOUR: Final = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(minutes=75), warn_window=timedelta(minutes=67)
)


class ArchiveConfig(dg.Config):
    """`open_hour`: also take the hour that is still running, as it is now."""

    open_hour: bool = False


def _checks(asset: str, *, blocking: bool = True, **descriptions: str) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=blocking, description=text)
        for name, text in descriptions.items()
    ]


@dg.asset(
    partitions_def=HOURS,
    deps=[external.RAW],
    group_name=GROUP,
    kinds={"polars", "parquet"},
    pool=ARCHIVER_POOL,
    backfill_policy=dg.BackfillPolicy.single_run(),
    freshness_policy=EVERY_HOUR,
    check_specs=_checks(
        "event_archive",
        receipts_complete="Receipts cover every source partition up to the cut without a gap.",
        items_match_receipts="The raw table returns every event that its receipts promise.",
    ),
)
def event_archive(
    context: dg.AssetExecutionContext, config: ArchiveConfig, workplace: dg.ResourceParam[Workplace]
) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """Raw events of an hour, each once, cut into visits with the carry of the hour before."""
    hours = list(context.partition_keys)
    tell = Progress(context, "archived")
    if is_candidate(context.run.tags):
        share = _share(context, workplace, "raw")
        found = archive_share(share, hours, lambda archived: tell(archived.info.hour))
        if found is None:
            return report.nothing_to_archive(share)
    else:
        found = archive_range(
            workplace,
            hours,
            context.run.run_id,
            open_hour=config.open_hour or context.job_name == PUBLISH_OPEN_JOB,
            progress=lambda archived: tell(archived.info.hour),
        )
    rows = {hour: report.archived_hour(archived.info) for hour, archived in found.hours.items()}
    report.per_hour(context, rows, hours)
    return dg.MaterializeResult(
        metadata=report.archived_range(found),
        check_results=[report.receipts_complete(found), report.items_readable(found)],
    )


@dg.asset(
    partitions_def=HOURS,
    deps=[event_archive],
    group_name=GROUP,
    kinds={"polars", "parquet"},
    backfill_policy=dg.BackfillPolicy.single_run(),
    freshness_policy=EVERY_HOUR,
    check_specs=_checks(
        "hourly_rollup",
        ledger_balances="accepted = counted + bot + excluded + duplicate + quarantined + pending + erased.",
    ),
)
def hourly_rollup(
    context: dg.AssetExecutionContext, workplace: dg.ResourceParam[Workplace]
) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """The candidate rollup of an hour: what was archived, folded. Nobody sees it before it is published."""
    hours = list(context.partition_keys)
    tell = Progress(context, "folded")

    def progress(candidate: Candidate) -> None:
        tell(candidate.provenance.period)

    about: report.Metadata = {}
    if is_candidate(context.run.tags):
        share = _share(context, workplace, "archive")
        folded = fold_share(share, hours, progress)
        found, about = folded.candidates, report.reprocessing(share, folded)
    else:
        archived = made_by(context.run.run_id, hours, workplace.archive)
        found = rollup_range(
            workplace, archived, context.run.run_id, reason=_reason(context), progress=progress
        )
    report.per_hour(context, {c.provenance.period: report.candidate(c) for c in found}, hours)
    return dg.MaterializeResult(
        metadata=report.candidates(found) | about, check_results=[report.ledger_balances(found)]
    )


def _share(context: dg.AssetExecutionContext, workplace: Workplace, source: Source) -> Share:
    run = context.run
    asked = reprocessing_of(run, context.partition_keys, source, workplace.now_ms())
    share = share_of(workplace, asked, run.run_id)
    context.log.info(f"reprocessing {share.request.id} from {share.request.source}; nothing is published")
    return share


def _reason(context: dg.AssetExecutionContext) -> str:
    return context.run.tags.get(REASON_TAG, "hour")


def _leaves_as_is(context: dg.AssetExecutionContext) -> bool:
    """Whether the run only makes candidates, so that what is published stays as it is."""
    candidate = is_candidate(context.run.tags)
    if candidate:
        context.log.info("stage candidate: nothing is published; see `recount reprocess list`")
    return candidate


class Progress:
    """A line in the run's log now and then, not for every hour: each line is a write to Dagster's storage."""

    def __init__(self, context: dg.AssetExecutionContext, what: str) -> None:
        self._context, self._what = context, what
        self._done = 0
        self._told = time.monotonic()

    def __call__(self, hour: str) -> None:
        self._done += 1
        if time.monotonic() - self._told >= LOG_EVERY_S:
            self._told = time.monotonic()
            self._context.log.info(f"{self._done} hours {self._what}, now at {hour}")


@dg.asset(
    partitions_def=HOURS,
    deps=[hourly_rollup],
    group_name=GROUP,
    kinds={"dynamodb"},
    pool=PUBLISHER_POOL,
    output_required=False,  # in the stage `candidate` nothing is published
    backfill_policy=dg.BackfillPolicy.single_run(),
    freshness_policy=EVERY_HOUR,
    check_specs=_checks(
        "published_hours",
        blocking=False,
        agrees_with_live="Live counted the same events, but for what the reasons on record explain.",
    ),
)
def published_hours(
    context: dg.AssetExecutionContext, workplace: dg.ResourceParam[Workplace]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """The candidates shown, together with the days and months they lie in: one move of the pointer."""
    if _leaves_as_is(context):
        yield report.agrees_with_live([])  # Dagster wants to hear of every check
        return
    hours = list(context.partition_keys)
    found = publish_range(workplace, hours, context.run.run_id, reason=_reason(context))
    compared = [] if found is None else compare_live(workplace, found.hours)
    if found is not None:
        changed = set(found.moved("hour"))
        rows = {made.period: report.published_hour(made, changed) for made in found.hours}
        report.per_hour(context, rows, hours)
        report.rebuilt(context, {"day": DAILY, "month": MONTHLY}, found)
    yield dg.MaterializeResult(
        metadata=report.published_range(found), check_results=[report.agrees_with_live(compared)]
    )


@dg.asset(
    partitions_def=DAYS,
    deps=[published_hours],
    group_name=GROUP,
    kinds={"dynamodb"},
    pool=PUBLISHER_POOL,
    output_required=False,  # in the stage `candidate` nothing is published
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def daily_rollup(
    context: dg.AssetExecutionContext, workplace: dg.ResourceParam[Workplace]
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """A day in each site's own zone. Every publication of hours makes the days it touches, in the same move,
    and reports them here; a run of this asset alone makes them again from the published hours."""
    yield from _made_again(context, workplace, days=list(context.partition_keys))


@dg.asset(
    partitions_def=MONTHS,
    deps=[daily_rollup],
    group_name=GROUP,
    kinds={"dynamodb"},
    pool=PUBLISHER_POOL,
    output_required=False,  # in the stage `candidate` nothing is published
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def monthly_rollup(
    context: dg.AssetExecutionContext, workplace: dg.ResourceParam[Workplace]
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """A month in each site's own zone, made and reported as days are, once it is over in every zone."""
    yield from _made_again(context, workplace, months=list(context.partition_keys))


def _made_again(
    context: dg.AssetExecutionContext,
    workplace: Workplace,
    *,
    days: Sequence[str] = (),
    months: Sequence[str] = (),
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg] # Dagster knows it only without an argument
    """The months of rebuilt days are reported besides."""
    if _leaves_as_is(context):
        return
    run_id, reason = context.run.run_id, _reason(context)
    found = rebuild_range(workplace, run_id, reason=reason, days=days, months=months)
    if days:
        report.rebuilt(context, {"month": MONTHLY}, found)
    yield dg.MaterializeResult(metadata=report.published_range(found))
