"""Deletes generations that nothing names any more.

Spared is what the current root, a root of the last seven days, or an open reprocessing names, and everything
younger than a run may take. A generation goes in an order in which an interrupted collection finds the rest
again: segments and their indexes, provenance, the files in the object store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import xxhash

from recount.ids import made_ms_of
from recount.periods import HOUR_MS, next_hour
from recount.store.archive import DRAFT_NOTE, Archive
from recount.store.candidates import Candidates
from recount.store.manifests import Entry, Manifests, Root
from recount.store.provenance import Kind, period_key
from recount.store.reprocessings import HourDone, Reprocessings
from recount.store.segments import SegmentStore

ROOTS_KEPT_MS: Final = 7 * 24 * HOUR_MS
RUN_MAX_MS: Final = 7 * HOUR_MS  # longer than Dagster lets a run go on
ROOTS_MAX: Final = 1_000_000


@dataclass
class _Named:
    """By period key: generations that stay, and those that are shown, with their slot."""

    generations: dict[str, set[str]] = field(default_factory=dict)
    shown: dict[str, set[tuple[int, str]]] = field(default_factory=dict)

    def add(self, key: str, *generations: str) -> None:
        self.generations.setdefault(key, set()).update(generations)

    def add_entry(self, key: str, entry: Entry) -> None:
        self.add(key, entry.confirmed)
        for slot, generation in entry.generations().items():
            self.add(key, generation)
            self.shown.setdefault(key, set()).add((slot, generation))


@dataclass(frozen=True)
class Garbage:
    """What can go: rollups as (kind, period, generation), archives as (hour, generation), manifests as
    (month, id). `data_bytes`: of the files in the object store."""

    rollups: list[tuple[Kind, str, str]] = field(default_factory=list)
    archives: list[tuple[str, str]] = field(default_factory=list)
    manifests: list[tuple[str, str]] = field(default_factory=list)
    data_bytes: int = 0


@dataclass(frozen=True)
class Collected:
    """What went."""

    garbage: Garbage
    table_items: int


@dataclass(frozen=True)
class Collector:
    """Best run by the one publisher, so that nothing is published or undone meanwhile."""

    manifests: Manifests
    segments: SegmentStore
    candidates: Candidates
    archive: Archive
    reprocessings: Reprocessings

    def look(self, now_ms: int) -> Garbage:
        """What can go now; nothing is deleted."""
        roots = list(self._roots(now_ms))
        done = self._open_hours()
        named = self._named(roots, done)
        before_ms = now_ms - RUN_MAX_MS
        sizes: dict[str, int] = {}
        rollups = list(self._rollups(named, before_ms, sizes))
        archives = list(self._archives(named, done, before_ms, sizes))
        kept = {name for root in roots for name in root.months.values()}
        manifests = [
            (month, name)
            for month in sorted({month for root in roots for month in root.months})
            for name in self.manifests.names(month)
            if name not in kept and _is_older(name, before_ms)
        ]
        return Garbage(rollups, archives, manifests, sum(sizes.values()))

    def collect(self, now_ms: int, progress: Callable[[int], None] = lambda done: None) -> Collected:
        """Delete what can go. `progress` is told how many generations are gone so far."""
        garbage = self.look(now_ms)
        items = 0
        for done, (kind, period, generation) in enumerate(garbage.rollups, 1):
            key = period_key(kind, period)
            items += self.segments.remove(key, generation)
            items += self.manifests.remove_provenance(key, generation)
            self.candidates.remove(kind, period, generation)
            progress(done)
        for done, (hour, generation) in enumerate(garbage.archives, 1 + len(garbage.rollups)):
            self.archive.remove(hour, generation)
            progress(done)
        items += sum(self.manifests.remove(month, name) for month, name in garbage.manifests)
        return Collected(garbage, items)

    def _roots(self, now_ms: int) -> Iterator[Root]:
        """The current root and those that were current at some moment of the last seven days."""
        for root in self.manifests.history(ROOTS_MAX):
            yield root
            if root.at_ms < now_ms - ROOTS_KEPT_MS:
                return

    def _open_hours(self) -> list[HourDone]:
        requests = [request for request in self.reprocessings.all() if request.state == "open"]
        return [done for r in requests for done in self.reprocessings.hours(r.id).values()]

    def _named(self, roots: Iterable[Root], done: Iterable[HourDone]) -> _Named:
        """Shown, confirmed, or waiting in an open reprocessing, with the base that it is compared with."""
        named = _Named()
        manifests = {(month, name) for root in roots for month, name in root.months.items()}
        seen: set[bytes] = set()
        for month, name in sorted(manifests):
            for key, entry in self.manifests.manifest(month, name).periods.items():
                digest = xxhash.xxh3_128_digest(msgspec.json.encode((key, entry)))
                if digest not in seen:  # most entries are the same in most manifests
                    seen.add(digest)
                    named.add_entry(key, entry)
        for hour in done:
            named.add(period_key("hour", hour.hour), *{hour.base, hour.generation} - {""})
        return named

    def _rollups(
        self, named: _Named, before_ms: int, sizes: dict[str, int]
    ) -> Iterator[tuple[Kind, str, str]]:
        left: dict[tuple[Kind, str], list[tuple[str, int]]] = {}
        for (kind, period, generation), size in self.candidates.stored().items():
            kept = named.generations.get(period_key(kind, period), ())
            if generation not in kept and _is_older(generation, before_ms):
                left.setdefault((kind, period), []).append((generation, size))
        for (kind, period), generations in sorted(left.items()):
            key = period_key(kind, period)
            writers = self._writers(named, key)
            for generation, size in sorted(generations):
                if generation not in writers:
                    sizes[f"{key}/{generation}"] = size
                    yield kind, period, generation

    def _writers(self, named: _Named, key: str) -> set[str]:
        """The generations that wrote the rows which the shown ones of a period name."""
        wanted = [(key, slot, generation) for slot, generation in named.shown.get(key, ())]
        indexes = self.segments.located(wanted)
        return {place.generation for sites in indexes.values() for place in sites.values()}

    def _archives(
        self, named: _Named, done: Iterable[HourDone], before_ms: int, sizes: dict[str, int]
    ) -> Iterator[tuple[str, str]]:
        """Those that are not the newest, that no numbers come from, and that no such one went on from."""
        stored: dict[str, dict[str, int]] = {}
        for (hour, generation), size in self.archive.stored().items():
            stored.setdefault(hour, {})[generation] = size
        waiting = {(hour.hour, hour.archive) for hour in done}
        open_ids = {request.id for request in self.reprocessings.all() if request.state == "open"}
        for hour, generations in sorted(stored.items()):
            if len(generations) < 2:
                continue
            kept = self._archives_of(hour, generations, named, open_ids)
            after = next_hour(hour)
            kept |= self._previous(after, self._archives_of(after, stored.get(after, {}), named, open_ids))
            for generation, size in sorted(generations.items()):
                spared = generation in kept or (hour, generation) in waiting
                if not spared and _is_older(generation, before_ms):
                    sizes[f"archive/{hour}/{generation}"] = size
                    yield hour, generation

    def _archives_of(
        self, hour: str, generations: Iterable[str], named: _Named, open_ids: set[str]
    ) -> set[str]:
        newest = self.archive.newest(hour)
        kept = set() if newest is None else {newest.generation}
        key = period_key("hour", hour)
        for generation in named.generations.get(key, set()) | self._writers(named, key):
            made = self.candidates.info("hour", hour, generation)
            if made is not None and made.archive is not None:
                kept.add(made.archive.generation)
        infos = (self.archive.info(hour, generation) for generation in generations)
        drafts = (info for info in infos if info is not None and info.notes.get(DRAFT_NOTE) in open_ids)
        return kept | {info.generation for info in drafts}

    def _previous(self, hour: str, generations: Iterable[str]) -> set[str]:
        """What archives of an hour went on from."""
        infos = (self.archive.info(hour, generation) for generation in generations)
        return {i.previous.generation for i in infos if i is not None and i.previous is not None}


def in_words(garbage: Garbage) -> Mapping[str, int]:
    """For metadata and messages."""
    return {
        "rollup_generations": len(garbage.rollups),
        "archive_generations": len(garbage.archives),
        "manifests": len(garbage.manifests),
        "file_bytes": garbage.data_bytes,
    }


def _is_older(name: str, before_ms: int) -> bool:
    made_ms = made_ms_of(name)
    return made_ms is not None and made_ms < before_ms
