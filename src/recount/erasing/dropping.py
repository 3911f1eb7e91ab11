"""Deletes what showed, or could show again, what an erasure takes. Each step finds what is left to do.

The publisher's turn is needed: nothing may be published or undone meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from recount.erasing.finding import held, hours_concerned
from recount.erasing.tombstone import Tombstone
from recount.errors import Conflict
from recount.ids import made_ms_of
from recount.keys import site_slot
from recount.publishing.history import past
from recount.store.archive import Archive
from recount.store.archive_sites import ArchiveSites
from recount.store.candidates import Candidates
from recount.store.erasures import Erasure
from recount.store.manifests import Manifests, Publication
from recount.store.provenance import Kind, Provenance, period_key
from recount.store.reprocessings import Reprocessing, Reprocessings
from recount.store.segments import SegmentStore
from recount.store.table import Key

ATTEMPTS_MAX: Final = 20
Period = tuple[Kind, str]


@dataclass(frozen=True)
class Stripped:
    """Rows of the site that were deleted from files of rollups, and keys of segments from the table."""

    generations: int
    rows: int
    keys: list[Key]


@dataclass(frozen=True)
class Dropper:
    """Of one erasure."""

    erasure: Erasure
    tombstone: Tombstone
    manifests: Manifests
    segments: SegmentStore
    candidates: Candidates
    archive: Archive
    sites: ArchiveSites
    reprocessings: Reprocessings
    site_slots: int

    @property
    def site(self) -> str:
        return self.erasure.site.id

    def discard_candidates(self) -> int:
        """Discard open reprocessings of its hours: their candidates hold it. Returns how many."""
        found = [r for r in self.reprocessings.all() if r.state == "open" and self._meets(r)]
        for request in found:
            self._discard(request)
        return len(found)

    def close_history(self) -> int:
        """Mark the publications that showed it, so that none is undone any more. Returns how many."""
        keys = {period_key(kind, period) for kind, period in self.periods()}
        slot = site_slot(self.site, self.site_slots)
        shown = [p for p in past(self.manifests) if not self._is_own(p)]
        found = [p for p in shown if any(k in keys and slot in m.after for k, m in p.moved.items())]
        for publication in found:
            if not publication.erased:
                self.manifests.put_erased(publication, self.erasure.id)
        return sum(p.erased in ("", self.erasure.id) for p in found)

    def strip_rollups(self) -> Stripped:
        """Delete the site's rows from every generation of its periods but the ones shown."""
        generations, rows = 0, 0
        keys: list[Key] = []
        for kind, period in self.periods():
            shown = self._shown(kind, period)
            for generation in self.candidates.generations(kind, period):
                gone = 0 if generation == shown else self._strip(kind, period, generation)
                generations, rows = generations + bool(gone), rows + gone
            found = self.segments.items_of(self.site, period_key(kind, period), but=shown)
            self.segments.remove_items(found)
            keys += found
        return Stripped(generations, rows, keys)

    def empty_archives(self) -> int:
        """Delete the rows of every archive generation that holds it; returns how many generations."""
        emptied, found = 0, self.sites.of(self.site)
        for hour, generation in found.unsealed:
            if self._is_old(generation):  # of a run that died
                self.archive.remove(hour, generation)
        for hour in hours_concerned(found):
            newest = self.archive.newest(hour)
            for generation in self.archive.generations(hour):
                if newest is not None and generation == newest.generation:
                    continue
                if self._holds(hour, generation):
                    self.archive.empty(hour, generation, self.erasure.id)
                    emptied += 1
        return emptied

    def periods(self) -> Iterator[Period]:
        """The hours of the erasure, and the days and months that these lie in, whatever the time zone."""
        hours = self.erasure.hours
        dates = {date.fromisoformat(hour[:10]) for hour in hours}
        days = {(d + timedelta(days=n)).isoformat() for d in dates for n in (-1, 0, 1)}
        yield from (("hour", hour) for hour in hours)
        yield from (("day", day) for day in sorted(days))
        yield from (("month", month) for month in sorted({day[:7] for day in days}))

    def left_in_rollups(self) -> int:
        """Rows of the site in files that should not be there any more."""
        left = 0
        for kind, period in self.periods():
            shown = self._shown(kind, period)
            for generation in self.candidates.generations(kind, period):
                info = self.candidates.info(kind, period, generation)
                if generation != shown and info is not None and self._is_dirty(info):
                    left += info.sites.get(self.site, 0)
        return left

    def left_in_table(self) -> int:
        """Items of the site's segments that readers do not see."""
        return sum(
            len(self.segments.items_of(self.site, period_key(kind, period), but=self._shown(kind, period)))
            for kind, period in self.periods()
        )

    def _is_own(self, publication: Publication) -> bool:
        return publication.cause == self.erasure.cause

    def _meets(self, request: Reprocessing) -> bool:
        hours = {*request.hours, *self.reprocessings.hours(request.id)}
        ours = not request.sites or self.site in request.sites
        return ours and not hours.isdisjoint(self.erasure.hours)

    def _discard(self, request: Reprocessing) -> None:
        why = f"erasure {self.erasure.id} took events of its hours"
        for _ in range(ATTEMPTS_MAX):
            try:
                self.reprocessings.change(request, state="discarded", notes=[*request.notes, why])
                return
            except Conflict:
                request = self.reprocessings.get(request.id)
        raise Conflict(f"reprocessing {request.id} is changed by others all the time")

    def _shown(self, kind: Kind, period: str) -> str:
        """The generation whose rows of the site readers see; empty where they see none."""
        key = period_key(kind, period)
        entry = self.manifests.entries(self.manifests.current(), [key]).get(key)
        slot = site_slot(self.site, self.site_slots)
        generation = None if entry is None else entry.generation(slot)
        if generation is None:
            return ""
        place = self.segments.located([(key, slot, generation)])[key, slot, generation].get(self.site)
        return "" if place is None else place.generation

    def _strip(self, kind: Kind, period: str, generation: str) -> int:
        info = self.candidates.info(kind, period, generation)
        if info is None:
            if self._is_old(generation):  # of a run that died
                self.candidates.remove(kind, period, generation)
            return 0
        if not self._is_dirty(info):
            return 0
        nameless = self.erasure.what == "site"
        return self.candidates.strip(kind, period, generation, self.site, nameless=nameless)

    def _is_dirty(self, info: Provenance) -> bool:
        """Whether a generation may have been made from what is erased."""
        if info.archive is None:  # a day or a month: made from what was shown then
            return info.generation < self.erasure.publication or self._is_old(info.generation)
        if self._is_old(info.generation):
            return True
        request = self.reprocessings.find(info.reprocessing) if info.reprocessing else None
        is_given_up = request is not None and request.state == "discarded"
        return is_given_up or self._is_old(info.archive.generation)

    def _is_old(self, generation: str) -> bool:
        made_ms = made_ms_of(generation)
        return made_ms is None or made_ms < self.erasure.since_ms

    def _holds(self, hour: str, generation: str) -> bool:
        try:
            found = held(self.archive, hour, generation, self.tombstone)
        except FileNotFoundError:  # emptied in part, by a run that died
            return True
        return found is not None and not found.is_empty
