"""A publisher on made candidates, and what must hold of every root it makes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from recount.counting.counted import Counts
from recount.counting.rebuild import hours_of_day
from recount.counting.rollup import Rollup
from recount.ids import new_id
from recount.keys import site_slot
from recount.periods import HOUR_MS, hour_ranges
from recount.publishing.differ import Differ
from recount.publishing.logbook import Logbook
from recount.publishing.publisher import HourCandidate, Publisher
from recount.publishing.reprocessing import Corrections, confirmed_of
from recount.publishing.review import Review
from recount.publishing.rollback import Rollbacks
from recount.publishing.thresholds import Threshold
from recount.store.archive import Archive
from recount.store.candidates import Candidates
from recount.store.catalog import Site
from recount.store.correction_log import CorrectionLog
from recount.store.manifests import Manifests, Publication
from recount.store.memory_table import MemoryTable
from recount.store.provenance import Provenance, period_key
from recount.store.reprocessings import HourDone, Reprocessing, Reprocessings
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore
from recount.store.table import Table

SLOTS = 4
MONTH_MS = 31 * 24 * HOUR_MS  # ahead, so that every month that the tests write is over
SITES = {
    "utc": Site(id="utc", domain="utc.example"),
    "berlin": Site(id="berlin", domain="b.example", timezone="Europe/Berlin", identity="first_party"),
    "kolkata": Site(id="kolkata", domain="k.example", timezone="Asia/Kolkata"),
    "auckland": Site(id="auckland", domain="a.example", timezone="Pacific/Auckland"),
}


@dataclass
class Press:
    """Everything that publishing touches, in a folder and two tables."""

    folder: Path
    rollups: Table = field(default_factory=MemoryTable)
    roots: Table = field(default_factory=MemoryTable)
    sites: Mapping[str, Site] = field(default_factory=lambda: SITES)
    top_values: int = 1000
    slots: int = SLOTS
    thresholds: Sequence[Threshold] = ()
    clock_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000 + MONTH_MS)

    def __post_init__(self) -> None:
        self.candidates = Candidates(str(self.folder))
        self.segments = SegmentStore(self.rollups, self.slots)
        self.manifests = Manifests(self.roots)
        self.log = CorrectionLog(self.roots)
        self.logbook = Logbook(
            self.manifests,
            self.segments,
            self.candidates,
            self.log,
            lambda: self.sites,
            self.slots,
            lambda: self.clock_ms,
        )
        self.publisher = Publisher(
            self.candidates,
            self.segments,
            self.manifests,
            lambda: self.sites,
            site_slots=self.slots,
            top_values=self.top_values,
            now_ms=lambda: self.clock_ms,
            after=self.logbook.catch_up,
        )
        self.reprocessings = Reprocessings(self.roots)
        self.archive = Archive(str(self.folder))
        self.review = Review(
            lambda: Differ(self.manifests, self.segments, self.candidates, self.sites),
            self.reprocessings,
            self.thresholds,
        )
        self.rulebook = Rulebook(self.roots)
        self.corrections = Corrections(
            *(self.publisher, self.manifests, self.candidates, self.archive, self.reprocessings),
            *(self.review, self.rulebook),
        )
        self.rollbacks = Rollbacks(
            *(self.publisher, self.manifests, self.candidates, self.segments, self.reprocessings),
            *(self.rulebook, self.slots),
        )

    def undo(self, publication: Publication) -> Publication | Reprocessing:
        return self.rollbacks.undo(publication.id, reason="undo", by="test", now_ms=1_700_000_000_000)

    def reprocess(self, name: str, hours: Mapping[str, Rollup], only: Sequence[str] = ()) -> Reprocessing:
        """A reprocessing of hours with made results, computed against what is shown now."""
        request = Reprocessing(
            id=name,
            spans=hour_ranges(hours),
            source="archive",
            reason=f"reprocessing {name}",
            requested_by="test",
            requested_ms=1,
            sites=list(only),
        )
        self.reprocessings.add(request)
        root = self.manifests.current()
        keys = [period_key("hour", hour) for hour in hours]
        entries = self.manifests.entries(root, keys)
        done = []
        for key, (hour, rollup) in zip(keys, hours.items(), strict=True):
            made = self.candidate(hour, rollup, only=only, reprocessing=name, reason=request.reason)
            done.append(
                HourDone(
                    hour=hour,
                    base=confirmed_of(entries.get(key)),
                    base_root="" if root is None else root.id,
                    generation=made.generation,
                    archive="",
                    logic_version=1,
                    run_id="",
                    made_ms=1,
                )
            )
        self.reprocessings.put_hours(name, done)
        return request

    def generations(self, *keys: str) -> dict[str, dict[int, str]]:
        """What periods show now, by slot."""
        entries = self.manifests.entries(self.manifests.current(), keys)
        return {key: entry.generations() for key, entry in entries.items()}

    def candidate(self, hour: str, rollup: Rollup, base: str | None = None, **given: Any) -> HourCandidate:
        fields: dict[str, Any] = {"generation": new_id(), "made_ms": 1, "logic_version": 1}
        made = Provenance(kind="hour", period=hour, **(fields | given))
        self.candidates.write(rollup, made)
        return HourCandidate(hour, made.generation, base)

    def publish(self, hours: Mapping[str, Rollup], reason: str = "test") -> Publication:
        return self.publisher.publish([self.candidate(hour, made) for hour, made in hours.items()], reason)

    def shown(self, site: str, key: str) -> Counts | None:
        """What readers see of a site and period."""
        entry = self.manifests.entries(self.manifests.current(), [key]).get(key)
        generation = None if entry is None else entry.generation(site_slot(site, self.slots))
        if generation is None:
            return None
        found = SegmentStore(self.rollups, self.slots).get_many([(site, key, generation)])[0]
        assert found is None or isinstance(found, Counts)
        return found

    def faults(self) -> list[str]:
        """Days and months that were not made from exactly the children that the current root shows."""
        root = self.manifests.current()
        assert root is not None
        entries = {
            key: entry
            for manifest in self.manifests.manifests(root.months).values()
            for key, entry in manifest.periods.items()
        }
        parents = [
            (key, g)
            for key, entry in entries.items()
            if "hour/" not in key
            for g in entry.generations().values()
        ]
        provenance = self.manifests.provenance(set(parents))
        found = []
        for key, entry in entries.items():
            for slot, generation in entry.generations().items() if "hour/" not in key else ():
                children = provenance[key, generation].children[slot]
                index = self.segments.located([(key, slot, generation)])[key, slot, generation]
                for child in {*children, *self._due(key, index)}:
                    shown = entries[child].generation(slot) if child in entries else None
                    if children.get(child) != shown:
                        found.append(
                            f"{key} slot {slot}: {child} is {shown}, made from {children.get(child)}"
                        )
        return found

    def _due(self, key: str, sites: Iterable[str]) -> list[str]:
        kind, _, period = key.partition("/")
        if kind == "month":
            return []
        zones = {self.sites[site].timezone for site in sites}
        return [period_key("hour", hour) for zone in zones for hour in hours_of_day(period, zone)]


def total(counts: Counts | None, metric: str = "pageviews") -> int:
    """A metric of the row `total`; 0 where nothing is shown."""
    if counts is None:
        return 0
    return int(counts.rows.filter(pl.col("dimension") == "total")[metric].sum())


def of_dimension(rollups: Sequence[Rollup], site: str, dimension: str = "total") -> pl.DataFrame:
    rows = pl.concat([made.rows for made in rollups])
    return rows.filter((pl.col("site") == site) & (pl.col("dimension") == dimension))
