"""What a run is for, by its tags: to publish hours, or to make candidates of a reprocessing.

recount/stage          `candidate`: write candidates, publish nothing. Nothing or `publish`: the usual run
recount/reason         why, for provenance and history
recount/sites          the only sites whose rows change, comma-separated
recount/reprocessing   the reprocessing that the run works for; unless given, each backfill is one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from recount.errors import InvalidInput
from recount.periods import hour_ranges
from recount.store.reprocessings import Reprocessing, Source

STAGE_TAG: Final = "recount/stage"
REASON_TAG: Final = "recount/reason"
SITES_TAG: Final = "recount/sites"
REPROCESSING_TAG: Final = "recount/reprocessing"
PUBLISH: Final = "publish"
CANDIDATE: Final = "candidate"
_GIVEN_BY: Final = (REPROCESSING_TAG, "dagster/backfill", "dagster/root_run_id")
_ASKED_BY: Final = ("recount/user", "user")


def is_candidate(tags: Mapping[str, str]) -> bool:
    """Whether a run makes candidates; raises InvalidInput for a stage that there is not."""
    stage = tags.get(STAGE_TAG, PUBLISH)
    if stage not in (PUBLISH, CANDIDATE):
        detail = f"the tag {STAGE_TAG} is {CANDIDATE} or {PUBLISH}, not {stage!r}"
        raise InvalidInput(detail, field=STAGE_TAG)
    return stage == CANDIDATE


def reprocessing_of(run: dg.DagsterRun, hours: Sequence[str], source: Source, now_ms: int) -> Reprocessing:
    """What a run that makes candidates asks for, as it is recorded if nobody recorded it before."""
    tags = run.tags
    named = next((tags[name] for name in _GIVEN_BY if name in tags), run.run_id)
    return Reprocessing(
        id=named,
        spans=hour_ranges(hours),
        source=source,
        reason=tags.get(REASON_TAG, "a backfill of candidates"),
        requested_by=next((tags[name] for name in _ASKED_BY if name in tags), "dagster"),
        requested_ms=now_ms,
        sites=sorted({name.strip() for name in tags.get(SITES_TAG, "").split(",")} - {""}),
    )
