"""What holds something that a tombstone takes: raw items, archive generations, rollups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import polars as pl

from recount.counting.rollup import PROP_PREFIX
from recount.erasing.matching import Effect, applied, effect
from recount.erasing.tombstone import Tombstone, regex
from recount.event import EVENT_SCHEMA
from recount.interpret.pages import locate
from recount.kafka import SourcePartition
from recount.periods import next_hour
from recount.store.archive import EMPTIED_NOTE, Archive, ArchiveInfo
from recount.store.archive_sites import Found
from recount.store.raw import RawStore
from recount.store.raw_items import source_key

TRACED_HOURS: Final = 4  # an hour with events, and one more than those after it that can name their visits
PAGE_DIMENSIONS: Final = ("page", "entry_page", "exit_page")


@dataclass(frozen=True)
class Holding:
    """A sealed archive generation and what a tombstone takes of it; `traces`: rows of visits, open or ended,
    that still name it; `is_named`: a site that is taken whole has a line in the ledger."""

    info: ArchiveInfo
    events: Effect
    traces: int
    is_named: bool

    @property
    def is_empty(self) -> bool:
        return self.events.is_empty and not self.traces and not self.is_named


def held(archive: Archive, hour: str, generation: str, tombstone: Tombstone) -> Holding | None:
    """What a generation holds; None for one that does not exist or was emptied."""
    info = archive.info(hour, generation)
    if info is None or EMPTIED_NOTE in info.notes:
        return None
    sites, columns = [tombstone.site], list(EVENT_SCHEMA)
    events = archive.read_events(hour, generation, None, columns, sites).select(columns)
    carry = archive.read_carry(hour, generation).filter(pl.col("site") == tombstone.site)
    visits = [archive.read_ends(hour, generation, None, sites), carry]
    traces = sum(_traces(rows, tombstone) for rows in visits)
    is_named = tombstone.what == "site" and tombstone.site in info.ledger
    return Holding(info, effect(events, applied(events, [tombstone])), traces, is_named)


def holdings(archive: Archive, tombstone: Tombstone, hours: Iterable[str]) -> Iterator[Holding]:
    """Every generation of some hours that holds something, by hour and age."""
    for hour in sorted(hours):
        for generation in archive.generations(hour):
            found = held(archive, hour, generation, tombstone)
            if found is not None and not found.is_empty:
                yield found


def hours_concerned(found: Found) -> list[str]:
    """The hours whose archives may name a site.

    A visit that is open when an hour ends, or ends in it, had its last event at most half an hour before, or
    before the moment at which a running hour was archived: it is named two hours later at the latest.
    """
    concerned: set[str] = set()
    for hour in found.hours:
        for _ in range(TRACED_HOURS):
            concerned.add(hour)
            hour = next_hour(hour)
    return sorted(concerned)


def raw_hours(raw: RawStore, archive: Archive, sources: Iterable[SourcePartition], site: str) -> list[str]:
    """The hours whose raw items may hold events of a site: those that its archive knows it in, and those with
    events that no archive has seen."""
    last: dict[str, dict[str, int]] = {}
    for source in sources:
        for receipt in raw.receipts(source):
            for hour, offset in receipt.last.items():
                ends = last.setdefault(hour, {})
                ends[source_key(*source)] = max(offset, ends.get(source_key(*source), 0))
    found = []
    for hour, ends in sorted(last.items()):
        infos = [info for g in archive.generations(hour) if (info := archive.info(hour, g)) is not None]
        known = any(site in info.sites or site in info.ledger for info in infos)
        seen = any(all(at < info.cut.get(name, 0) for name, at in ends.items()) for info in infos)
        emptied = any(EMPTIED_NOTE in info.notes for info in infos)
        if known or emptied or not seen:
            found.append(hour)
    return found


def rows_taken(rows: pl.DataFrame, tombstone: Tombstone) -> int:
    """Rows of a rollup (of any sites) that name what is taken."""
    rows = rows.filter(pl.col("site") == tombstone.site)
    if tombstone.what == "site":
        return rows.height
    if tombstone.what == "visitor":
        visitor = pl.lit(tombstone.visitor, pl.UInt64)
        return rows.filter(pl.col("visitors").list.contains(visitor)).height
    if tombstone.what == "page":
        dimension, pattern = pl.col("dimension").is_in(PAGE_DIMENSIONS), tombstone.page
    else:
        dimension, pattern = pl.col("dimension") == PROP_PREFIX + tombstone.name, tombstone.value
    return rows.filter(dimension & pl.col("value").str.contains(regex(pattern))).height


def _traces(visits: pl.DataFrame, tombstone: Tombstone) -> int:
    """Rows of VISIT_END_SCHEMA or CARRY_SCHEMA of the site that name what is taken."""
    before = visits.filter(pl.col("start") < tombstone.before_ms)
    if tombstone.what == "site":
        return before.height
    if tombstone.what == "visitor":
        return before.filter(pl.col("visitor") == pl.lit(tombstone.visitor, pl.UInt64)).height
    if tombstone.what == "page":
        urls = pl.concat([before["entry_url"], before["exit_url"]]).drop_nulls().unique()
        located = locate(urls.alias("url").to_frame())
        gone = located.filter(pl.col("is_valid") & pl.col("page").str.contains(regex(tombstone.page)))["url"]
        names = pl.any_horizontal(pl.col("entry_url", "exit_url").is_in(gone.implode()).fill_null(False))
        return before.filter(names).height
    return 0
