"""Writes the correction log: one entry for each site of whose closed hours a publication changed numbers.

Entries are derived from the history of publications, after the move and in its order, and the log remembers
how far it got. So a publisher that dies between its move and its entries loses none: the next one, or the
same one again, writes them. What was shown before is still stored then, for it is kept for days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog

from recount.corrections import DAYS_MAX, METRICS, Correction, Kind, Numbers
from recount.counting import counted
from recount.counting.counted import Counted
from recount.counting.rebuild import DEFAULT_ZONE, day_rollup, days_of_hour, hours_of_day
from recount.counting.rollup import merge
from recount.errors import Unavailable
from recount.ledger import ACCEPTED, DUPLICATE
from recount.periods import HOUR_MS
from recount.publishing.rebuilt import rebuilt
from recount.publishing.site_changes import SITES_AT_ONCE, Changes, Shown, take
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.correction_log import CorrectionLog
from recount.store.manifests import Entry, Manifests, Publication, Root
from recount.store.provenance import Provenance, period_key
from recount.store.segments import SegmentStore

SEARCHED_MAX: Final = 10_000
KEPT_MS: Final = 6 * 24 * HOUR_MS  # what was shown before is surely stored that long, see `collect`
CAUSES: Final[Mapping[str, Kind]] = {
    "reprocessing": "reprocessing",
    "rollback": "rollback",
    "erasure": "erasure",
}
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Logbook:
    """Derives corrections from publications. One at a time, like every move."""

    manifests: Manifests
    segments: SegmentStore
    candidates: Candidates
    log: CorrectionLog
    sites: Callable[[], Mapping[str, Site]]
    site_slots: int
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def catch_up(self, current: Publication) -> None:
        """Write the entries of `current` and of what was published before it and is not written yet.

        A table that is away stops nothing: numbers are shown already, and the next publication goes on here.
        """
        try:
            for publication in self._unwritten(current):
                self.log.put(self._lacking(publication.id, self.corrections(publication)))
                self.log.advance(publication.id)
        except Unavailable as error:
            log.warning("correction_log_behind", error=str(error), publication=current.id)

    def corrections(self, publication: Publication) -> list[Correction]:
        """One for each site whose closed hours, or only the days made of them, a publication changed; none
        for hours published first."""
        moved = [key for key in publication.moved if key.startswith("hour/")]
        if publication.moved and not moved:
            return self._rebuilt(publication)
        before = self.manifests.entries(self._root(publication.parent), moved)
        closed = {key: entry for key, entry in before.items() if entry.open_until is None}
        sites: dict[str, Changes] = {}
        for key in sorted(closed):
            for site in publication.sites.get(key, []):
                sites.setdefault(site, Changes()).hours.append(key.removeprefix("hour/"))
        if not sites:
            return []
        zones = self._zones(sites)
        is_known = self.now_ms() - publication.at_ms < KEPT_MS
        if is_known:
            _Totals(self, publication, set(closed), zones).fill(sites)
        logic = self._compare_origins(publication, closed, sites)
        kind = CAUSES.get(publication.cause.partition("/")[0], "late")
        return [
            self._entry(publication, site, changes, zones[site], kind, logic, whole=is_known)
            for site, changes in sorted(sites.items())
        ]

    def _rebuilt(self, publication: Publication) -> list[Correction]:
        """Of days and months that were made again from hours which stay."""
        zones = self._zones({site for names in publication.sites.values() for site in names})
        is_known = self.now_ms() - publication.at_ms < KEPT_MS
        before, since = self._root(publication.parent), self._root(publication.id)
        sites = rebuilt(publication, before, since, self._shown, zones, is_known=is_known)
        kind = CAUSES.get(publication.cause.partition("/")[0], "reprocessing")
        return [
            self._entry(publication, site, changes, zones[site], kind, None, whole=is_known)
            for site, changes in sorted(sites.items())
        ]

    @property
    def _shown(self) -> Shown:
        return Shown(self.manifests, self.segments, self.site_slots)

    def _entry(
        self,
        publication: Publication,
        site: str,
        changes: Changes,
        zone: str,
        kind: Kind,
        logic: tuple[int, int] | None,
        *,
        whole: bool,
    ) -> Correction:
        is_first = kind == "late" and whole and not changes.before
        days = {day: found for day, totals in sorted(changes.days.items()) if (found := _moved(totals))}
        return Correction.of_hours(
            changes.hours,
            zone,
            site=site,
            publication=publication.id,
            at_ms=publication.at_ms,
            kind="added" if is_first else kind,
            reason=publication.reason,
            cause=publication.cause,
            run_id=publication.run_id,
            moved=_moved(_summed([*changes.days.values(), *changes.months.values()])),
            days=days if len(days) <= DAYS_MAX else {},
            dimensions=sorted(changes.dimensions),
            late_events=changes.late_events,
            logic=logic,
            whole=whole,
        )

    def _lacking(self, publication: str, found: Sequence[Correction]) -> list[Correction]:
        """An entry that knows less than when it was written first does not take its place."""
        old = [correction.site for correction in found if not correction.whole]
        written = {known.site for known in self.log.of_publication(publication, old)}
        return [correction for correction in found if correction.site not in written]

    def _unwritten(self, current: Publication) -> list[Publication]:
        """Oldest first. A log that was never written begins with what is published next."""
        reached = self.log.reached()
        if reached == current.id:
            return []
        found = [current]
        while found[-1].parent not in (None, reached) and len(found) < SEARCHED_MAX:
            if reached is None and self.now_ms() - found[-1].at_ms > KEPT_MS:
                break
            found.append(self.manifests.publication(found[-1].parent))
        return found[::-1]

    def _root(self, name: str | None) -> Root | None:
        return None if name is None else self.manifests.root(name)

    def _zones(self, sites: Iterable[str]) -> dict[str, str]:
        known = self.sites()
        return {site: known[site].timezone if site in known else DEFAULT_ZONE for site in sites}

    def _compare_origins(
        self, publication: Publication, closed: Mapping[str, Entry], sites: Mapping[str, Changes]
    ) -> tuple[int, int] | None:
        """Fill in the late events of each site; returns the newest logic before and since."""
        after = self.manifests.entries(self._root(publication.id), closed)
        logic: set[tuple[int, int]] = set()
        for key, entry in closed.items():
            old, new = self._info(key, entry), self._info(key, after.get(key, entry))
            if old is None or new is None:
                continue
            logic.add((old.logic_version, new.logic_version))
            for site in publication.sites.get(key, []):
                sites[site].late_events += _events(new, site) - _events(old, site)
        return max(logic, default=None)

    def _info(self, key: str, entry: Entry) -> Provenance | None:
        return self.candidates.info("hour", key.removeprefix("hour/"), entry.confirmed)


class _Totals:
    """Compares the days that corrected hours lie in: as they were, and with the corrections alone.

    An hour that the same publication shows for the first time, or while it is running, changes its day too
    and corrects nothing: such a day is put together from its hours.
    """

    def __init__(
        self, book: Logbook, publication: Publication, closed: Collection[str], zones: Mapping[str, str]
    ) -> None:
        self._book = book
        self._publication = publication
        self._shown = Shown(book.manifests, book.segments, book.site_slots)
        self._closed = closed
        self._zones = zones
        self._before = book.manifests.root(publication.parent) if publication.parent else None
        self._since = book.manifests.root(publication.id)
        self._others = {k for k in publication.moved if k.startswith("hour/")} - set(closed)

    def fill(self, sites: Mapping[str, Changes]) -> None:
        by_day: dict[str, list[str]] = {}
        days_of = lru_cache(maxsize=None)(days_of_hour)  # of many sites the hours are the same
        for site, changes in sites.items():
            for day in {day for hour in changes.hours for day in days_of(hour, self._zones[site])}:
                by_day.setdefault(day, []).append(site)
        for day, names in sorted(by_day.items()):
            for at in range(0, len(names), SITES_AT_ONCE):
                some = sorted(names)[at : at + SITES_AT_ONCE]
                old, new = self._read(self._before, day, some), self._new(day, some)
                take(sites, period_key("day", day), old, new)

    def _new(self, day: str, sites: Sequence[str]) -> Counted:
        mixed = [site for site in sites if self._is_mixed(day, site)]
        pure = [site for site in sites if site not in mixed]
        return counted.concat([self._read(self._since, day, pure), *(self._made(day, s) for s in mixed)])

    def _is_mixed(self, day: str, site: str) -> bool:
        if not self._others:
            return False
        hours = {period_key("hour", hour) for hour in hours_of_day(day, self._zones[site])}
        return not self._others.isdisjoint(hours)

    def _read(self, root: Root | None, day: str, sites: Sequence[str]) -> Counted:
        return self._shown.read(root, period_key("day", day), sites)

    def _made(self, day: str, site: str) -> Counted:
        """A day of its hours: the corrected ones as they are since, all others as they were."""
        zone = self._zones[site]
        keys = [period_key("hour", hour) for hour in hours_of_day(day, zone)]
        old = self._book.manifests.entries(self._before, keys)
        new = self._book.manifests.entries(self._since, keys)
        entries = {key: new[key] if key in self._closed else old[key] for key in keys if key in old}
        shown = {key: self._shown.generation(entry, site) for key, entry in entries.items()}
        wanted = [(site, key, generation) for key, generation in shown.items() if generation is not None]
        parts = [part for part in self._book.segments.rollups(wanted) if part is not None]
        return counted.with_counts(day_rollup(merge(parts), day, {site: zone}))


def _events(made: Provenance, site: str) -> int:
    """How many different events of a site an hour knows of."""
    line = made.ledger.get(site, {})
    return line.get(ACCEPTED, 0) - line.get(DUPLICATE, 0)


def _summed(days: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    total: dict[str, tuple[int, int]] = {}
    for metric, (old, new) in (entry for day in days for entry in day.items()):
        before = total.get(metric, (0, 0))
        total[metric] = (before[0] + old, before[1] + new)
    return total


def _moved(totals: Mapping[str, tuple[int, int]]) -> Numbers:
    """Those that are not what they were, in the order of METRICS, revenue last."""
    place = {metric: number for number, metric in enumerate(METRICS)}
    names = sorted(totals, key=lambda metric: (place.get(metric, len(place)), metric))
    return {metric: totals[metric] for metric in names if totals[metric][0] != totals[metric][1]}
