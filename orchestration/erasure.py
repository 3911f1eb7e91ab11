"""The job of an erasure, as `recount erase` starts it and as it is seen in Dagster."""

# Dagster reads the annotations of these functions, so they stay objects: no `annotations` from the future.

from typing import Final

import dagster as dg

from orchestration.assets import ARCHIVER_POOL, PUBLISHER_POOL
from orchestration.resources import Workplace
from orchestration.steps.erase import Eraser
from recount.dead_letters import DeadTopic
from recount.erasing.matching import hit_of
from recount.erasing.tombstone import Tombstone
from recount.store.erasures import Erasure

ERASE_JOB: Final = "erase"


class ErasureConfig(dg.Config):
    """`erasure`: its id, as `recount erase list` shows it."""

    erasure: str


@dg.op(pool=ARCHIVER_POOL, out=dg.Out(dg.Nothing))
def rewrite_archives(
    context: dg.OpExecutionContext, config: ErasureConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """Write raw items and archives anew, without what the erasure takes."""
    done = _eraser(context, config, workplace).rewrite()
    context.add_output_metadata({"hours": len(done.hours), **done.figures})


@dg.op(pool=PUBLISHER_POOL, ins={"rewritten": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def publish_and_prove(
    context: dg.OpExecutionContext, config: ErasureConfig, workplace: dg.ResourceParam[Workplace]
) -> None:
    """Show the hours without it, delete what could show it again, and look everywhere whether it is gone."""
    done = _eraser(context, config, workplace).show()
    context.add_output_metadata({"publication": done.publication or "none", "report": _table(done)})


@dg.job(
    name=ERASE_JOB,
    description="Carry out an erasure that was ordered with `recount erase`; may be repeated at any time.",
)
def erase() -> None:
    publish_and_prove(rewritten=rewrite_archives())


def jobs() -> list[dg.JobDefinition]:
    """What `recount erase` starts."""
    return [erase]


def _eraser(context: dg.OpExecutionContext, config: ErasureConfig, workplace: Workplace) -> Eraser:
    def letters(tombstone: Tombstone) -> int:
        found = DeadTopic(workplace.settings).read()
        return sum(hit_of(letter.value, [tombstone]) is not None for letter in found)

    erasure = workplace.erasures.get(config.erasure)
    context.log.info(f"erasure {erasure.id} of {erasure.site.id}: {erasure.subject}")
    return Eraser(workplace, erasure, context.run_id, letters, lambda text: context.log.info(text))


def _table(done: Erasure) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "store": line.store,
                    "done": line.done,
                    "before": "" if line.before is None else str(line.before),
                    "after": "" if line.after is None else str(line.after),
                }
            )
            for line in done.report
        ]
    )
