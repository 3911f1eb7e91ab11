"""Rebuilds the days and months that changed hours lie in, so that a root is consistent.

A root is valid only if every day and month was made from exactly the child generations it shows: whenever a
slot of a child changes, each parent that shows a site of that slot gets a new generation naming its children,
though only the sites that changed are computed again: from the day as it is and the hours that came to it, or
from all hours where one of those in it has changed.

A month is first made once it has ended in every zone: until then its days answer for it, and no hour that is
published has to write it anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from recount.counting import counted
from recount.counting.counted import Counted, truncated
from recount.counting.fold import LOGIC_VERSION
from recount.counting.rebuild import DEFAULT_ZONE, day_rollup, days_of_hour, hours_of_day, month_rollup
from recount.counting.rollup import Rollup
from recount.ids import new_id
from recount.keys import site_slot
from recount.parallel import in_order
from recount.periods import ended_month, month_days
from recount.publishing.bases import Bases
from recount.publishing.draft import NOTHING, Draft, SlotChange
from recount.publishing.portions import portions
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.objects import SiteRange
from recount.store.provenance import Kind, Provenance, period_key
from recount.store.segment_encode import encode_counted
from recount.store.segment_wire import Segment
from recount.store.segments import Located

Changes = dict[str, dict[int, set[str]]]  # period -> site slot -> sites whose rows changed
Reads = Mapping[tuple[Kind, str, str], Sequence[str]]  # (kind, period, generation) -> sorted sites


@dataclass(frozen=True)
class Why:
    """What the provenance of everything rebuilt says."""

    reason: str
    run_id: str
    now_ms: int


@dataclass(frozen=True)
class _Level:
    """How a period is made: from which children (by zone), and by which sum."""

    kind: Kind
    child_kind: Kind
    children: Callable[[str, str], list[str]]  # (period, zone) -> child periods
    make: Callable[[Reads, str, Mapping[str, str]], Counted]  # (what to read, period, site -> zone)
    goes_on: bool = False  # whether more children can be added to what it is


class Parents:
    """Rebuilds into a draft, from rollups in the object store."""

    def __init__(
        self,
        draft: Draft,
        candidates: Candidates,
        sites: Mapping[str, Site],
        slots: int,
        top_values: int,
        why: Why,
    ) -> None:
        self._draft = draft
        self._candidates = candidates
        self._sites = sites
        self._slots = slots
        self._top_values = top_values
        self._why = why
        self._bases = Bases(candidates)
        self._day = _Level("day", "hour", hours_of_day, self._make_day, goes_on=True)
        self._month = _Level("month", "day", lambda month, _: month_days(month), self._make_month)

    def days(self, hours: Changes) -> Changes:
        """Rebuild the days of changed hours; returns what changed in which days."""
        days_of = lru_cache(maxsize=None)(days_of_hour)
        touched: Changes = {}
        for hour, slots in hours.items():
            for slot, sites in slots.items():
                for site in sites:
                    for day in days_of(hour, self._zone(site)):
                        touched.setdefault(day, {}).setdefault(slot, set()).add(site)
        for day, slot in self._bystanders(hours, days_of):
            touched.setdefault(day, {}).setdefault(slot, set())
        for day in sorted(touched):
            self._rebuild(self._day, day, touched[day])
        return touched

    def months(self, days: Changes) -> Changes:
        """Rebuild the months of changed days and make what has ended; returns what changed in which."""
        touched: Changes = {}
        for day, slots in days.items():
            for slot, sites in slots.items():
                touched.setdefault(day[:7], {}).setdefault(slot, set()).update(sites)
        fresh = {month for month in {*touched, ended_month(self._why.now_ms)} if not self._is_made(month)}
        ended = {month: self._sites_in(self._month, month) for month in fresh if self._has_ended(month)}
        touched = {month: slots for month, slots in touched.items() if month not in fresh}
        touched |= {month: slots for month, slots in ended.items() if slots}
        for month in sorted(touched):
            self._rebuild(self._month, month, touched[month])
        return touched

    def _is_made(self, month: str) -> bool:
        key = period_key("month", month)
        entry = self._draft.entries([key]).get(key)
        return entry is not None and entry.has_data

    def _has_ended(self, month: str) -> bool:
        return month <= ended_month(self._why.now_ms)

    def days_again(self, days: Iterable[str]) -> Changes:
        """Rebuild days whole, from the hours that are shown."""
        return self._again(replace(self._day, goes_on=False), days)

    def months_again(self, months: Iterable[str]) -> Changes:
        """Rebuild months whole, from the days that are shown; those that still run are left alone."""
        return self._again(self._month, [m for m in months if self._has_ended(m) or self._is_made(m)])

    def _again(self, level: _Level, periods: Iterable[str]) -> Changes:
        touched = {period: self._sites_in(level, period) for period in periods}
        for period, slots in touched.items():
            self._rebuild(level, period, slots)
        return touched

    def _sites_in(self, level: _Level, period: str) -> dict[int, set[str]]:
        """The sites, by slot, that a period shows or should show because its children do."""
        zones = {self._zone(site) for site in self._sites} | {DEFAULT_ZONE}
        children = {
            zone: {period_key(level.child_kind, child) for child in level.children(period, zone)}
            for zone in zones
        }
        own = period_key(level.kind, period)
        entries = self._draft.entries({own}.union(*children.values()))
        places = [(key, slot, g) for key, entry in entries.items() for slot, g in entry.generations().items()]
        found: dict[int, set[str]] = {}
        for (key, slot, _), located in self._draft.sites_of(places).items():
            sites = {site for site in located if key == own or key in children[self._zone(site)]}
            found.setdefault(slot, set()).update(sites)
        return found

    def _bystanders(
        self, hours: Changes, days_of: Callable[[str, str], list[str]]
    ) -> Iterable[tuple[str, int]]:
        """(day, slot)s that show sites of a changed slot, though none of those that changed."""
        zones: dict[int, set[str]] = {}
        for site in self._sites:
            zones.setdefault(site_slot(site, self._slots), set()).add(self._zone(site))
        suspects = {
            (day, slot)
            for hour, slots in hours.items()
            for slot in slots
            for zone in zones.get(slot, ())
            for day in days_of(hour, zone)
        }
        entries = self._draft.entries({period_key("day", day) for day, _ in suspects})
        for day, slot in sorted(suspects):
            entry = entries.get(period_key("day", day))
            if entry is not None and entry.generation(slot) is not None:
                yield day, slot

    def _rebuild(self, level: _Level, period: str, touched: Mapping[int, set[str]]) -> None:
        key = period_key(level.kind, period)
        shown = self._shown(key, touched)
        reads, children = self._reads(level, period, touched, shown)
        zones = {site: self._zone(site) for sites in touched.values() for site in sites}
        whole, segments = self._made(level, period, reads, zones)
        made = self._candidates.write(
            whole,
            Provenance(
                kind=level.kind,
                period=period,
                generation=new_id(),
                made_ms=self._why.now_ms,
                logic_version=LOGIC_VERSION,
                reason=self._why.reason,
                run_id=self._why.run_id,
                children=children,
                zones=zones,
            ),
        )
        changes: dict[int, SlotChange] = {}
        for slot, sites in touched.items():
            found = {site: segments[site] for site in sites if site in segments}
            old = shown[slot]
            fresh = {s: new for s, new in found.items() if s not in old or old[s].digest != new.digest}
            changes[slot] = SlotChange(fresh, frozenset(sites - found.keys()))
        self._draft.show(made, changes)

    def _made(
        self, level: _Level, period: str, reads: Reads, zones: Mapping[str, str]
    ) -> tuple[Counted, dict[str, Segment]]:
        """The rows of a period and the segments shown of them, made in portions."""

        def make(portion: SiteRange) -> tuple[Counted, dict[str, Segment]]:
            own = {key: found for key, sites in reads.items() if (found := portion.of(sites))}
            made = level.make(own, period, {site: zones[site] for site in portion.of(sorted(zones))})
            return made, encode_counted(truncated(made, self._top_values))

        parts = list(in_order(make, portions(self._rows_read(reads))))
        segments = {site: segment for _, found in parts for site, segment in found.items()}
        return counted.concat([made for made, _ in parts]), segments

    def _rows_read(self, reads: Reads) -> dict[str, int]:
        """How many rows are read for each site."""
        rows: Counter[str] = Counter()
        for key, sites in reads.items():
            known = self._bases.rows(*key)
            rows.update({site: known.get(site, 1) for site in sites})
        return rows

    def _shown(self, key: str, slots: Iterable[int]) -> dict[int, Mapping[str, Located]]:
        """What a period shows now in each of some slots."""
        entry = self._draft.entries([key]).get(key)
        generations = {} if entry is None else entry.generations()
        indexes = self._draft.sites_of([(key, s, generations[s]) for s in slots if s in generations])
        return {s: indexes[key, s, generations[s]] if s in generations else NOTHING for s in slots}

    def _reads(
        self,
        level: _Level,
        period: str,
        touched: Mapping[int, set[str]],
        shown: Mapping[int, Mapping[str, Located]],
    ) -> tuple[Reads, dict[int, dict[str, str]]]:
        """What to read for the sites to rebuild, and the children of each slot."""
        zones = {s: {self._zone(site) for site in {*shown[s], *touched[s]}} for s in touched}
        periods = {zone: level.children(period, zone) for zone in set().union(*zones.values())}
        keys = {zone: [period_key(level.child_kind, p) for p in found] for zone, found in periods.items()}
        entries = self._draft.entries({key for found in keys.values() for key in found})
        children: dict[int, dict[str, str]] = {}
        for slot in touched:
            wanted = sorted({key for zone in zones[slot] for key in keys[zone] if key in entries})
            generations = ((key, entries[key].generation(slot)) for key in wanted)
            children[slot] = {key: generation for key, generation in generations if generation is not None}
        indexes = self._draft.sites_of(
            (key, slot, g) for slot, found in children.items() for key, g in found.items()
        )
        reads: dict[tuple[Kind, str, str], list[str]] = {}
        for slot, sites in touched.items():
            for site in sorted(sites):
                zone = self._zone(site)
                held: frozenset[str] = frozenset()
                if level.goes_on and site in shown[slot]:
                    base = (level.kind, period, shown[slot][site].generation)
                    held = self._bases.held(base, site, zone, slot, children[slot], keys[zone])
                    reads.setdefault(base, []).extend([site] if held else [])
                for child, key in zip(periods[zone], keys[zone], strict=True):
                    generation = None if key in held else children[slot].get(key)
                    place = None if generation is None else indexes[key, slot, generation].get(site)
                    if place is not None:
                        reads.setdefault((level.child_kind, child, place.generation), []).append(site)
        return {key: sorted(found) for key, found in reads.items() if found}, children

    def _make_day(self, reads: Reads, day: str, zones: Mapping[str, str]) -> Counted:
        hours = self._candidates.read_counted(reads)
        return counted.with_counts(day_rollup(Rollup(hours.rows, hours.revenue), day, zones))

    def _make_month(self, reads: Reads, month: str, zones: Mapping[str, str]) -> Counted:
        """Only sites with first-party ids need the visitor sets of their days."""
        with_sets: dict[tuple[Kind, str, str], list[str]] = {}
        without: dict[tuple[Kind, str, str], list[str]] = {}
        for key, sites in reads.items():
            for site in sites:
                known = self._sites.get(site)
                first_party = known is not None and known.identity == "first_party"
                (with_sets if first_party else without).setdefault(key, []).append(site)
        parts = [
            self._candidates.read_counted(with_sets),
            self._candidates.read_counted(without, sets=False),
        ]
        return month_rollup(counted.concat(parts), month, zones)

    def _zone(self, site: str) -> str:
        known = self._sites.get(site)
        return DEFAULT_ZONE if known is None else known.timezone
