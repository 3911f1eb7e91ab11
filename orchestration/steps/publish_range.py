"""The last step of a run: show its candidates, with the days and months they lie in, in one move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.resources import Workplace
from orchestration.steps.hours import with_followers
from recount.publishing.publisher import HourCandidate
from recount.store.manifests import Publication
from recount.store.provenance import ArchiveSource, Provenance


@dataclass(frozen=True)
class PublishedRange:
    """What was shown. `superseded`: hours for which a newer archive was published in the meantime."""

    publication: Publication
    hours: list[Provenance]
    superseded: list[str]
    duration_ms: int

    def moved(self, kind: str) -> list[str]:
        """The days (`day`), months (`month`) or hours (`hour`) whose numbers changed."""
        changed = sorted(key for key, sites in self.publication.sites.items() if sites)
        return [period for found, _, period in (key.partition("/") for key in changed) if found == kind]


def publish_range(
    place: Workplace, hours: Sequence[str], run_id: str, *, reason: str
) -> PublishedRange | None:
    """Publish the newest candidates of `hours` and of the hours that followed from them in this run.

    Candidates of a reprocessing are left alone. None where there is nothing to publish. Raises Conflict where
    another publisher keeps moving the pointer.
    """
    started_ms = place.now_ms()

    def newest(hour: str) -> Provenance | None:
        infos = (
            place.candidates.info("hour", hour, g)
            for g in reversed(place.candidates.generations("hour", hour))
        )
        return next((info for info in infos if info is not None and not info.reprocessing), None)

    found = with_followers(hours, newest, lambda candidate: candidate.run_id == run_id)
    superseded = _superseded(place, found)
    fresh = [candidate for candidate in found if candidate.period not in superseded]
    if not fresh:
        return None
    wanted = [HourCandidate(candidate.period, candidate.generation) for candidate in fresh]
    publication = place.publisher.publish(wanted, reason, run_id)
    return PublishedRange(publication, fresh, sorted(superseded), place.now_ms() - started_ms)


def _superseded(place: Workplace, candidates: Sequence[Provenance]) -> set[str]:
    """Hours whose published numbers come from a newer archive than their candidate does, or a later cut.

    Of two runs that work on one hour at a time the one with the earlier cut may seal its archive last.
    """
    entries = place.manifests.entries(place.manifests.current(), [c.key for c in candidates])
    shown = place.manifests.provenance({(key, entry.confirmed) for key, entry in entries.items()})
    archives = {key: made.archive for (key, _), made in shown.items() if made.archive is not None}
    return {
        c.period
        for c in candidates
        if c.archive is not None and c.key in archives and _is_behind(c.archive, archives[c.key])
    }


def _is_behind(archive: ArchiveSource, shown: ArchiveSource) -> bool:
    """Whether it was sealed before the one shown, or does not reach as far in some source partition."""
    return archive.generation < shown.generation or any(
        archive.cut.get(source, 0) < offset for source, offset in shown.cut.items()
    )
