"""Days and months made again from what is published, for a backfill of these assets alone."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.resources import Workplace
from orchestration.steps.publish_range import PublishedRange


def rebuild_range(
    place: Workplace, run_id: str, *, reason: str, days: Sequence[str] = (), months: Sequence[str] = ()
) -> PublishedRange:
    """Rebuild and publish; what comes out as it is shown keeps its generation."""
    started_ms = place.now_ms()
    publication = place.publisher.rebuild(days, months, reason, run_id)
    return PublishedRange(publication, [], [], place.now_ms() - started_ms)
