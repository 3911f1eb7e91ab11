"""Jobs that change what is published on purpose. All of them are steps of the one publisher."""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

from collections.abc import Mapping

import dagster as dg

from orchestration import report
from orchestration.assets import DAILY, MONTHLY, PUBLISHED, PUBLISHER_POOL
from orchestration.resources import Workplace
from orchestration.stage import REASON_TAG
from recount.publishing.collect import in_words
from recount.store.manifests import Publication


class ReprocessingConfig(dg.Config):
    """`reprocessing`: its id, as `recount reprocess list` shows it."""

    reprocessing: str


@dg.op(pool=PUBLISHER_POOL, out=dg.Out(dg.Nothing))
def show_candidates(
    context: dg.OpExecutionContext, config: ReprocessingConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """Show the candidates of a reprocessing, with the days and months they lie in, if nothing has moved
    under them."""
    publication = workplace.corrections.publish(config.reprocessing, context.run_id)
    _tell(context, publication)


@dg.job(
    description="Publish the candidates of a reprocessing in one step; refused where their base changed.",
)
def publish_reprocessing() -> None:
    show_candidates()


@dg.op(out=dg.Out(dg.Nothing))
def compare_candidates(
    context: dg.OpExecutionContext, config: ReprocessingConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """What publishing the candidates of a reprocessing would change, as tables of this run."""
    review = workplace.review
    request = workplace.reprocessings.get(config.reprocessing)
    found = review.compare(request, lambda day: context.log.info(f"{day} compared"))
    context.add_output_metadata(report.comparison(found, review.blocked(found)))


@dg.job(description="Show what publishing a reprocessing would change, before anybody sees it.")
def diff_reprocessing() -> None:
    compare_candidates()


class RollbackConfig(dg.Config):
    """`publication`: the id of the one to undo, as `recount history` shows it."""

    publication: str
    requested_by: str = "dagster"


@dg.op(pool=PUBLISHER_POOL, out=dg.Out(dg.Nothing))
def go_back(
    context: dg.OpExecutionContext, config: RollbackConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """Show again what was shown before a publication; where that was touched since, make it a candidate."""
    undone = workplace.rollbacks.undo(
        config.publication,
        reason=context.run.tags.get(REASON_TAG, f"rollback of {config.publication}"),
        by=config.requested_by,
        now_ms=workplace.now_ms(),
        run_id=context.run_id,
    )
    if isinstance(undone, Publication):
        _tell(context, undone)
        return
    context.log.warning(f"later publications touched the same numbers: look at reprocessing {undone.id}")
    context.add_output_metadata({"reprocessing": undone.id, "hours": len(undone.hours)})


@dg.job(description="Undo a publication: a move back, or a candidate where its numbers were touched since.")
def rollback() -> None:
    go_back()


class GarbageConfig(dg.Config):
    """`dry_run`: only say what would go."""

    dry_run: bool = False


@dg.op(pool=PUBLISHER_POOL, out=dg.Out(dg.Nothing))
def collect_garbage(
    context: dg.OpExecutionContext, config: GarbageConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """Delete generations that no root of the last seven days and no open reprocessing names."""
    if config.dry_run:
        context.add_output_metadata(dict(in_words(workplace.collector.look(workplace.now_ms()))))
        return
    found = workplace.collector.collect(workplace.now_ms())
    workplace.archive_sites.extend()  # a little each day, so that an erasure need not read all of it
    tombstones = workplace.tombstones.remove_expired()
    counts = {"table_items": found.table_items, "expired_tombstones": tombstones}
    context.add_output_metadata(dict(in_words(found.garbage)) | counts)


@dg.job(description="Delete what nothing names any more; spares everything of the last seven days.")
def gc() -> None:
    collect_garbage()


@dg.schedule(
    job=gc,
    cron_schedule="17 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, between two hours.",
)
def daily_gc(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    return dg.RunRequest(run_key=context.scheduled_execution_time.date().isoformat())


def jobs() -> list[dg.JobDefinition]:
    """What `recount publish`, `rollback` and `gc` start, and the diff for those who work in Dagster."""
    return [publish_reprocessing, diff_reprocessing, rollback, gc]


def _tell(context: dg.OpExecutionContext, publication: Publication) -> None:
    """A materialisation of each hour, day and month that moved, and the figures of the whole."""
    moved: Mapping[str, dg.AssetKey] = {"hour": PUBLISHED, "day": DAILY, "month": MONTHLY}
    for key in publication.moved:
        kind, _, period = key.partition("/")
        sites = len(publication.sites.get(key, []))
        metadata: dict[str, str | int] = {"root": publication.id, "sites_changed": sites}
        context.log_event(dg.AssetMaterialization(moved[kind], partition=period, metadata=metadata))
    context.add_output_metadata(report.publication(publication))
