"""The one publisher: candidates of hours onto the current root, days and months rebuilt, one pointer move.

What is shown is never written again. A site whose rows are as published keeps its segment, a slot without any
change keeps its generation, and an hour that comes out equal only records that it was looked at again (the
cut).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from recount.counting.counted import truncated
from recount.errors import Conflict, Incomplete, InvalidInput
from recount.keys import site_slot
from recount.ledger import unbalanced
from recount.parallel import in_order
from recount.publishing.draft import Draft, SlotChange
from recount.publishing.parents import Changes, Parents, Why
from recount.publishing.portions import portions
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.manifests import Manifests, Publication
from recount.store.objects import SiteRange
from recount.store.provenance import Provenance
from recount.store.segment_encode import encode_counted
from recount.store.segment_wire import Segment
from recount.store.segments import SegmentStore

ATTEMPTS_MAX: Final = 5
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class HourCandidate:
    """A sealed candidate of an hour.

    `base` is the generation that was `confirmed` for the hour when the candidate was computed ("": none was);
    None leaves it unchecked, and then only a candidate older than what was confirmed is refused.
    """

    hour: str
    generation: str
    base: str | None = None


class Publisher:
    """Publishes candidates. Run one at a time: a second one would find the pointer moved and start again."""

    def __init__(
        self,
        candidates: Candidates,
        segments: SegmentStore,
        manifests: Manifests,
        sites: Callable[[], Mapping[str, Site]],
        *,
        site_slots: int,
        top_values: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        after: Callable[[Publication], None] = lambda publication: None,
    ) -> None:
        """`after` is told what is shown now, after each move and where there was nothing to move."""
        self._candidates = candidates
        self._segments = segments
        self._manifests = manifests
        self._sites = sites
        self._slots = site_slots
        self._top_values = top_values
        self._now_ms = now_ms
        self._after = after

    def publish(
        self, hours: Sequence[HourCandidate], reason: str, run_id: str = "", *, cause: str = ""
    ) -> Publication:
        """Show candidates, all of them or none; what is published already is passed over.

        Raises Conflict naming the hour whose base changed since its candidate was computed, InvalidInput for
        a candidate that does not exist, Incomplete for one whose ledger does not balance.
        """
        if not hours:
            raise InvalidInput("name at least one hour to publish", field="hours")
        infos = [self._info(candidate) for candidate in hours]

        def fill(draft: Draft) -> bool:
            todo = list(self._rebased(draft, hours, infos))
            if todo:
                self._fill(draft, todo, reason, run_id)
            return bool(todo)

        return self.move(fill, reason, run_id, cause)

    def rebuild(
        self, days: Sequence[str], months: Sequence[str], reason: str, run_id: str = ""
    ) -> Publication:
        """Make days, their months, and further months again from the hours and days that are shown."""

        def fill(draft: Draft) -> bool:
            parents = self._parents(draft, reason, run_id)
            parents.months(parents.days_again(days))
            parents.months_again(sorted({*months} - {day[:7] for day in days}))
            return True

        return self.move(fill, reason, run_id)

    def move(self, fill: Callable[[Draft], bool], reason: str, run_id: str, cause: str = "") -> Publication:
        """Fill a draft of the current root and show it; from the start again if another was faster.

        Where there is nothing to fill in, the current publication is returned.
        """
        publication = self._moved(fill, reason, run_id, cause)
        self._after(publication)
        return publication

    def _moved(self, fill: Callable[[Draft], bool], reason: str, run_id: str, cause: str) -> Publication:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            draft = Draft(self._manifests, self._segments)
            if not fill(draft) and draft.base is not None:
                return self._manifests.publication(draft.base.id)
            try:
                publication = draft.publish(reason, run_id, self._now_ms(), cause)
            except Conflict:
                log.info("publish_rebased", attempt=attempt, run_id=run_id)
                continue
            log.info(
                "published",
                root=publication.id,
                run_id=run_id,
                periods_moved=len(publication.moved),
                hours_kept=len(publication.kept),
                segments=draft.segments_written,
                segment_bytes=draft.bytes_written,
            )
            return publication
        raise Conflict(f"the root moved {ATTEMPTS_MAX} times while publishing; is there a second publisher?")

    def _info(self, candidate: HourCandidate) -> Provenance:
        info = self._candidates.info("hour", candidate.hour, candidate.generation)
        if info is None:
            detail = f"there is no candidate {candidate.generation} of hour {candidate.hour}"
            raise InvalidInput(detail, field="hours")
        wrong = unbalanced(info.period, info.ledger)
        if wrong:
            raise Incomplete(f"the ledger does not balance, nothing is published: {wrong[0]}")
        return info

    def _rebased(
        self, draft: Draft, hours: Sequence[HourCandidate], infos: Sequence[Provenance]
    ) -> Iterator[Provenance]:
        """Candidates that are not published yet, each checked against what is."""
        entries = draft.entries([info.key for info in infos])
        for candidate, info in zip(hours, infos, strict=True):
            entry = entries.get(info.key)
            confirmed = "" if entry is None else entry.confirmed
            if confirmed == info.generation:
                continue
            stale = candidate.base is not None and candidate.base != confirmed
            if stale or (candidate.base is None and confirmed > info.generation):
                raise Conflict(
                    f"hour {candidate.hour}: generation {confirmed or 'none'} is published, the candidate "
                    f"{info.generation} was computed against {candidate.base or 'an older one'}"
                )
            yield info

    def _fill(self, draft: Draft, hours: Sequence[Provenance], reason: str, run_id: str) -> None:
        changed: Changes = {}
        for info in hours:
            changes = self._compare(draft, info)
            draft.show(info, changes)
            changed[info.period] = {slot: change.sites for slot, change in changes.items()}
        parents = self._parents(draft, reason, run_id)
        parents.months(parents.days(changed))

    def _parents(self, draft: Draft, reason: str, run_id: str) -> Parents:
        why = Why(reason, run_id, self._now_ms())
        return Parents(draft, self._candidates, self._sites(), self._slots, self._top_values, why)

    def _compare(self, draft: Draft, info: Provenance) -> dict[int, SlotChange]:
        """The slots in which a candidate differs from what is shown."""
        entry = draft.entries([info.key]).get(info.key)
        generations = {} if entry is None else entry.generations()
        indexes = draft.sites_of([(info.key, slot, g) for slot, g in generations.items()])
        shown = {slot: indexes[info.key, slot, g] for slot, g in generations.items()}
        fresh: dict[int, dict[str, Segment]] = {}

        def encoded(sites: SiteRange) -> dict[str, Segment]:
            rows = self._candidates.read_counted({("hour", info.period, info.generation): sites})
            return encode_counted(truncated(rows, self._top_values))

        for segments in in_order(encoded, portions(info.sites)):
            for site, segment in segments.items():
                slot = site_slot(site, self._slots)
                known = shown.get(slot, {}).get(site)
                if known is None or known.digest != segment.digest:
                    fresh.setdefault(slot, {})[site] = segment
        spoken_for = frozenset(info.only)
        gone = {slot: frozenset(old.keys() - info.sites.keys()) for slot, old in shown.items()}
        removed = {slot: found & spoken_for if spoken_for else found for slot, found in gone.items()}
        touched = {*fresh, *(slot for slot, sites in removed.items() if sites)}
        return {slot: SlotChange(fresh.get(slot, {}), removed.get(slot, frozenset())) for slot in touched}
