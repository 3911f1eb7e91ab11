"""The last step of a run: show its candidates, with the days and months they lie in, in one move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.resources import Workplace
from orchestration.steps.hours import with_followers
from orchestration.steps.rollup_range import rollup_range
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
    fresh = _by_the_rules_in_force(place, fresh, run_id, reason)
    if not fresh:
        return None
    wanted = [HourCandidate(candidate.period, candidate.generation) for candidate in fresh]
    publication = place.publisher.publish(wanted, reason, run_id)
    return PublishedRange(publication, fresh, sorted(superseded), place.now_ms() - started_ms)


def _by_the_rules_in_force(
    place: Workplace, candidates: Sequence[Provenance], run_id: str, reason: str
) -> list[Provenance]:
    """The candidates, those again that were folded before the rules of their hour changed.

    Rules change in a step of the publisher, and so is this: what is shown is counted by the rules of then.
    """
    in_force = place.sites_in_force()
    entries = place.manifests.entries(place.manifests.current(), [made.key for made in candidates])

    def is_outdated(made: Provenance) -> bool:
        if made.key in entries and entries[made.key].confirmed == made.generation:
            return False  # shown already
        return not in_force.has_counted(made)

    sources = [made.archive for made in candidates if made.archive is not None and is_outdated(made)]
    infos = [info for s in sources if (info := place.archive.info(s.hour, s.generation)) is not None]
    if not infos:
        return list(candidates)
    again = rollup_range(place, infos, run_id, reason=reason, in_force=in_force)
    replaced = {made.provenance.period: made.provenance for made in again}
    return [replaced.get(made.period, made) for made in candidates]


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
