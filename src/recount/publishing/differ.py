"""The days that candidates of hours would change, compared with what is published now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from recount.counting import counted
from recount.counting.counted import Counted
from recount.counting.rebuild import DEFAULT_ZONE, day_rollup, days_of_hour, hours_of_day
from recount.counting.rollup import Rollup
from recount.errors import InvalidInput
from recount.publishing.comparison import Comparison, compare, together
from recount.publishing.portions import portions
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.manifests import Manifests, Root
from recount.store.provenance import Kind, Provenance, period_key
from recount.store.segments import SegmentStore

ROWS_AT_ONCE: Final = 2_000_000

Reads = dict[tuple[Kind, str, str], list[str]]  # ("hour", hour, generation) -> sites


@dataclass(frozen=True)
class _Hour:
    """An hour as it is shown and, where there is a candidate, as it would be: site -> generation."""

    old: Mapping[str, str]
    new: Mapping[str, str]


class Differ:
    """Compares a set of candidates with one root, day by day."""

    def __init__(
        self,
        manifests: Manifests,
        segments: SegmentStore,
        candidates: Candidates,
        sites: Mapping[str, Site],
    ) -> None:
        self._manifests = manifests
        self._segments = segments
        self._candidates = candidates
        self._sites = sites

    def compare(
        self,
        candidates: Mapping[str, str],
        *,
        only: Iterable[str] | None = None,
        progress: Callable[[str], None] = lambda day: None,
    ) -> Comparison:
        """What publishing candidates (hour -> generation) would change, of `only` these sites or of all.

        `progress` is told each day that is done. Raises InvalidInput for a candidate that does not exist.
        """
        infos = {hour: self._info(hour, generation) for hour, generation in candidates.items()}
        root, wanted = self._manifests.current(), None if only is None else frozenset(only)
        parts = []
        for day in self.days(candidates):
            parts += [
                self._compare_day(day, sites, hours) for sites, hours in self._work(day, infos, root, wanted)
            ]
            progress(day)
        return together(parts)

    def days(self, hours: Iterable[str]) -> list[str]:
        """The days, in any zone of a site, that `compare` looks at for these hours."""
        zones = self._zones()
        return sorted({day for hour in hours for zone in zones for day in days_of_hour(hour, zone)})

    def _zones(self) -> set[str]:
        return {DEFAULT_ZONE, *(site.timezone for site in self._sites.values())}

    def _info(self, hour: str, generation: str) -> Provenance:
        info = self._candidates.info("hour", hour, generation)
        if info is None:
            raise InvalidInput(f"there is no candidate {generation} of hour {hour}", field="hours")
        return info

    def _work(
        self, day: str, infos: Mapping[str, Provenance], root: Root | None, only: frozenset[str] | None
    ) -> Iterator[tuple[Sequence[str], Mapping[str, _Hour]]]:
        """Portions of the sites whose day may change, with the hours of that day."""
        of_zone = {zone: frozenset(hours_of_day(day, zone)) for zone in self._zones()}
        near = frozenset[str]().union(*of_zone.values())
        shown = self._shown(sorted(near), root)
        hours = {hour: self._hour(shown.get(hour, {}), infos.get(hour)) for hour in near}
        rows: dict[str, int] = {}
        for hour in near & infos.keys():
            for site in hours[hour].old.keys() | hours[hour].new.keys():
                if (only is None or site in only) and hour in of_zone[self._zone(site)]:
                    rows[site] = rows.get(site, 0) + infos[hour].sites.get(site, 1)
        names = sorted(rows)
        for portion in portions(rows, ROWS_AT_ONCE):
            yield portion.of(names), hours

    def _shown(self, hours: Sequence[str], root: Root | None) -> dict[str, dict[str, str]]:
        """Hour -> site -> the generation that holds what is shown of it."""
        entries = self._manifests.entries(root, [period_key("hour", hour) for hour in hours])
        places = [(key, slot, g) for key, entry in entries.items() for slot, g in entry.generations().items()]
        found: dict[str, dict[str, str]] = {}
        for (key, _, _), located in self._segments.located(places).items():
            hour = key.partition("/")[2]
            found.setdefault(hour, {}).update({site: place.generation for site, place in located.items()})
        return found

    @staticmethod
    def _hour(old: Mapping[str, str], candidate: Provenance | None) -> _Hour:
        if candidate is None:
            return _Hour(old, old)
        return _Hour(old, dict.fromkeys(candidate.sites, candidate.generation))

    def _compare_day(self, day: str, sites: Sequence[str], hours: Mapping[str, _Hour]) -> Comparison:
        old, new = Reads(), Reads()
        for site in sites:
            for name in hours_of_day(day, self._zone(site)):
                for reads, generations in ((old, hours[name].old), (new, hours[name].new)):
                    if site in generations:
                        reads.setdefault(("hour", name, generations[site]), []).append(site)
        zones = {site: self._zone(site) for site in sites}
        return compare(day, self._day(day, old, zones), self._day(day, new, zones))

    def _day(self, day: str, reads: Reads, zones: Mapping[str, str]) -> Counted:
        found = self._candidates.read_counted(reads)
        return counted.with_counts(day_rollup(Rollup(found.rows, found.revenue), day, zones))

    def _zone(self, site: str) -> str:
        known = self._sites.get(site)
        return DEFAULT_ZONE if known is None else known.timezone
