"""In which hours the archive names a site, without reading the seal of every generation.

    <root>/archive-sites/day=2026-11-22/part=<id>/rows.parquet   (site, hour, generation), in this order
    <root>/archive-sites/day=2026-11-22/part=<id>/covers.json    what it speaks for, written last

A seal never says more than it said when it was made, so what a part once read of it stays true. It speaks for
no generation that was emptied: a backup may bring that back whole. What no part speaks for, its seal tells.
Parts can be deleted at any time; they are made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import polars as pl

from recount.ids import new_id
from recount.store.archive import EMPTIED_NOTE, Archive, ArchiveInfo
from recount.store.objects import Objects

FOLDER: Final = "archive-sites"
SEAL: Final = "covers.json"
SCHEMA: Final = dict.fromkeys(("site", "hour", "generation"), pl.String())
Stored = tuple[str, str]  # (hour, archive generation)


@dataclass(frozen=True)
class Found:
    """`hours` of which some generation has events of a site, or counts such in its ledger; `unsealed`:
    generations that runs have begun."""

    hours: list[str]
    unsealed: list[Stored]


class ArchiveSites:
    """Reads parts, and the seals that none speaks for. Safe beside others who write parts."""

    def __init__(self, root: str, archive: Archive) -> None:
        self._objects = Objects(root)
        self._archive = archive

    def of(self, site: str) -> Found:
        """Everything that is stored now."""
        hours: set[str] = set()
        unsealed: list[Stored] = []
        for day, stored in self._stored():
            covered, rows = self._part(day, [site])
            known = stored & covered
            hours.update(hour for _, hour, generation in rows.iter_rows() if (hour, generation) in known)
            for hour, generation in sorted(stored - covered):
                info = self._archive.info(hour, generation)
                if info is None:
                    unsealed.append((hour, generation))
                elif site in _named(info):
                    hours.add(hour)
        return Found(sorted(hours), unsealed)

    def extend(self) -> int:
        """Have parts speak for all that is sealed and not emptied; returns how many seals were added."""
        return sum(self._extend(day, stored) for day, stored in self._stored())

    def forget(self, site: str) -> None:
        """Delete the parts that name a site (its erasure)."""
        for day, _ in self._stored():
            if not self._part(day, [site])[1].is_empty():
                self._objects.remove(_folder(day))

    def _extend(self, day: str, stored: set[Stored]) -> int:
        covered, rows = self._part(day)
        found: list[tuple[str, str, str]] = []
        fresh: set[Stored] = set()
        for hour, generation in sorted(stored - covered):
            info = self._archive.info(hour, generation)
            if info is not None and EMPTIED_NOTE not in info.notes:
                fresh.add((hour, generation))
                found += [(site, hour, generation) for site in _named(info)]
        if not fresh:
            return 0
        kept = rows.join(_table(stored), on=["hour", "generation"], how="semi")
        added = pl.DataFrame(found, schema=SCHEMA, orient="row")
        self._write(day, pl.concat([kept, added]).sort(*SCHEMA), (covered & stored) | fresh)
        return len(fresh)

    def _write(self, day: str, rows: pl.DataFrame, covers: Iterable[Stored]) -> None:
        part, older = new_id(), self._objects.names(_folder(day))
        folder = f"{_folder(day)}/part={part}"
        self._objects.put_frame(f"{folder}/rows.parquet", rows)
        names = sorted(f"{hour}/{generation}" for hour, generation in covers)
        self._objects.put(f"{folder}/{SEAL}", msgspec.json.encode(names))
        for name in older:
            self._objects.remove(f"{_folder(day)}/{name}")

    def _part(self, day: str, sites: list[str] | None = None) -> tuple[set[Stored], pl.DataFrame]:
        """What the newest part speaks for, and its rows, of some sites or all."""
        for name in reversed(self._objects.names(_folder(day))):
            data = self._objects.get(f"{_folder(day)}/{name}/{SEAL}")
            if data is None:
                continue
            try:
                rows = self._objects.get_frame([f"{_folder(day)}/{name}/rows.parquet"], sites=sites)
            except FileNotFoundError:  # replaced this moment
                continue
            names = (text.split("/") for text in msgspec.json.decode(data, type=list[str]))
            return {(hour, generation) for hour, generation in names}, rows
        return set(), pl.DataFrame(schema=SCHEMA)

    def _stored(self) -> Iterator[tuple[str, set[Stored]]]:
        """Every generation there is, by day: so one part is never large."""
        days: dict[str, set[Stored]] = {}
        for hour in self._archive.hours():
            of_day = days.setdefault(hour[: len("2026-11-22")], set())
            of_day.update((hour, generation) for generation in self._archive.generations(hour))
        yield from sorted(days.items())


def _named(info: ArchiveInfo) -> set[str]:
    return info.sites.keys() | info.ledger.keys()


def _folder(day: str) -> str:
    return f"{FOLDER}/day={day}"


def _table(stored: Iterable[Stored]) -> pl.DataFrame:
    return pl.DataFrame(sorted(stored), schema=["hour", "generation"], orient="row")
