"""How much a tombstone takes, before anything is touched and after everything is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from recount.erasing.finding import Holding, held, holdings, hours_concerned, raw_hours, rows_taken
from recount.erasing.tombstone import Tombstone
from recount.kafka import SourcePartition
from recount.periods import previous_hour
from recount.store.archive import Archive
from recount.store.archive_sites import ArchiveSites
from recount.store.candidates import Candidates
from recount.store.manifests import Manifests
from recount.store.provenance import period_key
from recount.store.raw import RawStore

EVER_MS: Final = 2**60


@dataclass(frozen=True)
class Looked:
    """`hours` of the archive and `raw_hours` of raw items hold something; `figures` say how much."""

    hours: list[str]
    raw_hours: list[str]
    figures: dict[str, int]


@dataclass(frozen=True)
class Looker:
    """Reads what one tombstone takes; `raw` reads with it in force. `sources`: all source partitions.

    Of the archive only hours are read that can name the site (`sites`).
    """

    tombstone: Tombstone
    raw: RawStore
    archive: Archive
    sites: ArchiveSites
    candidates: Candidates
    manifests: Manifests
    sources: Iterable[SourcePartition]

    def look(self) -> Looked:
        """Everything, counted once: events of the archive in the newest generation of their hour."""
        figures: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
        hours: set[str] = set()
        for found in self._holdings():
            hour = found.info.hour
            hours.add(hour)
            figures["archive_generations"] += 1
            figures["archive_bytes"] += found.info.data_bytes
            newest = self.archive.newest(hour)
            if newest is not None and newest.generation == found.info.generation:
                figures["archive_events"] += found.events.erased
                figures["archive_events_edited"] += found.events.edited
        figures["archive_hours"] = len(hours)
        keys = [period_key("hour", hour) for hour in hours]
        figures["published_hours"] = len(self.manifests.entries(self.manifests.current(), keys))
        figures["rollup_rows"] = sum(self._rows(hour, g) for hour in hours for g in self._generations(hour))
        found_raw = raw_hours(self.raw, self.archive, self.sources, self.tombstone.site)
        return Looked(sorted(hours), found_raw, dict(figures) | self.raw_figures(found_raw))

    def raw_figures(self, hours: Iterable[str]) -> dict[str, int]:
        """What is in the raw items of some hours."""
        parts = [self.raw.erase(hour, dry_run=True) for hour in hours]
        return {
            "raw_items": sum(part.items for part in parts),
            "raw_bytes": sum(part.data_bytes for part in parts),
            "raw_events": sum(part.events.erased for part in parts),
            "raw_events_edited": sum(part.events.edited for part in parts),
        }

    def left_in_raw(self, hours: Iterable[str]) -> int:
        """Events in raw items, of these hours and of those that there are now."""
        now = raw_hours(self.raw, self.archive, self.sources, self.tombstone.site)
        figures = self.raw_figures({*hours, *now})
        return figures["raw_events"] + figures["raw_events_edited"]

    def left_in_archive(self) -> int:
        """Events in any generation, and visits that name it though none of their events are there."""
        left = 0
        for found in self._holdings():
            hour = found.info.hour
            left += found.events.erased + found.events.edited
            if not self._came_back(hour) and not self._came_back(previous_hour(hour)):
                left += found.traces
        return left

    def left_in_shown(self, hours: Iterable[str]) -> int:
        """Rows of the newest rollups of hours to which it has not come back since."""
        newest = {hour: self._generations(hour)[-1:] for hour in hours if not self._came_back(hour)}
        return sum(self._rows(hour, g) for hour, found in newest.items() for g in found)

    def _holdings(self) -> Iterator[Holding]:
        concerned = hours_concerned(self.sites.of(self.tombstone.site))
        return holdings(self.archive, self.tombstone, concerned)

    def _came_back(self, hour: str) -> bool:
        """Whether later events of the same kind are there, which the order does not take."""
        newest = self.archive.newest(hour)
        if newest is None:
            return False
        ever = msgspec.structs.replace(self.tombstone, before_ms=EVER_MS)
        found = held(self.archive, hour, newest.generation, ever)
        return found is not None and not found.events.is_empty

    def _generations(self, hour: str) -> list[str]:
        names = self.candidates.generations("hour", hour)
        return [name for name in names if self.candidates.info("hour", hour, name) is not None]

    def _rows(self, hour: str, generation: str) -> int:
        rows = self.candidates.read("hour", hour, generation, [self.tombstone.site]).rows
        return rows_taken(rows, self.tombstone)


FIGURES: Final = (
    *("archive_hours", "archive_generations", "archive_events", "archive_events_edited", "archive_bytes"),
    *("published_hours", "rollup_rows", "raw_items", "raw_bytes", "raw_events", "raw_events_edited"),
)
