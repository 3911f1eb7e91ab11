"""Archived hours in, candidate rollups in the object store out, with their ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

import polars as pl

from orchestration.steps.archive_hour import ACCEPTED, DUPLICATE, OPEN_NOTE
from orchestration.steps.hours import carry_out
from recount.fold import LOGIC_VERSION, Rollup, fold, merge
from recount.ids import new_id
from recount.interpret import Interpreter
from recount.interpret.bots import HUMAN
from recount.rollup import VERDICT
from recount.store.archive import Archive, ArchiveInfo
from recount.store.catalog import Site
from recount.store.provenance import ArchiveSource, Provenance

PARALLEL_MIN_EVENTS: Final = 400_000  # below, starting processes costs more than they save

COUNTED: Final = "counted"
BOT: Final = "bot"
EXCLUDED: Final = "excluded"  # no exclusion rules yet
PARTS: Final = (ACCEPTED, COUNTED, BOT, EXCLUDED, DUPLICATE)
Ledger = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Unbalanced:
    """An hour and site whose ledger does not add up."""

    hour: str
    site: str
    accepted: int
    accounted: int

    def __str__(self) -> str:
        return f"{self.hour} {self.site}: {self.accepted} accepted, {self.accounted} accounted for"


class SlotFolder:
    """Folds slots of archived hours; one a process, so that user agents are interpreted once."""

    def __init__(self, root: str, sites: Mapping[str, Site]) -> None:
        self._archive = Archive(root)
        self._sites = sites
        self._interpreter = Interpreter()

    def fold(self, hour: str, generation: str, slot: int | None) -> Rollup:
        """The rollup of one slot, or of all with None."""
        events = self._archive.read_events(hour, generation, slot)
        ends = self._archive.read_ends(hour, generation, slot)
        present = set(events["site"].unique()) | set(ends["site"].unique())
        # A site that has left the catalog keeps its history, counted by the rules of a new site.
        sites = {name: self._sites.get(name) or Site(id=name, domain=name) for name in sorted(present)}
        return fold(events, ends, sites, self._interpreter)


def fold_hours(
    infos: Sequence[ArchiveInfo], root: str, sites: Mapping[str, Site], *, processes: int
) -> Iterator[tuple[ArchiveInfo, Rollup]]:
    """The rollup of each hour, in order; many events are folded slot by slot in `processes` processes."""
    if processes < 2 or sum(info.events for info in infos) < PARALLEL_MIN_EVENTS:
        folder = SlotFolder(root, sites)
        for info in infos:
            yield info, folder.fold(info.hour, info.generation, None)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (root, sites)) as pool:
        waiting = [(info, [_submit(pool, info, slot) for slot in info.slots]) for info in infos]
        while waiting:
            info, parts = waiting.pop(0)
            yield info, merge([part.result() for part in parts])


def provenance(info: ArchiveInfo, before: ArchiveInfo | None, ledger: Ledger, sites: Mapping[str, Site],
               *, now_ms: int, run_id: str, reason: str) -> Provenance:  # fmt: skip
    """Where the candidate of an hour comes from. `before`: the archive whose carry the hour went on from."""
    return Provenance(
        kind="hour",
        period=info.hour,
        generation=new_id(),
        made_ms=now_ms,
        logic_version=LOGIC_VERSION,
        reason=reason,
        run_id=run_id,
        rules={site: sites[site].rules_version for site in info.sites if site in sites},
        archive=ArchiveSource(hour=info.hour, generation=info.generation, cut=info.cut),
        carry_in=carry_out(before),
        carry_out=carry_out(info),
        ledger=ledger,
        open_until=int(info.notes[OPEN_NOTE]) if OPEN_NOTE in info.notes else None,
    )


def ledger_of(info: ArchiveInfo, rollup: Rollup) -> Ledger:
    """What became of the accepted events of each site of an hour."""
    verdicts = rollup.rows.filter(pl.col("dimension") == VERDICT)
    human = _accepted(verdicts.filter(pl.col("value") == HUMAN))
    every = _accepted(verdicts)
    return {
        site: {
            ACCEPTED: counts[ACCEPTED],
            COUNTED: human.get(site, 0),
            BOT: every.get(site, 0) - human.get(site, 0),
            EXCLUDED: 0,
            DUPLICATE: counts[DUPLICATE],
        }
        for site, counts in sorted(info.ledger.items())
    }


def unbalanced(hour: str, ledger: Ledger) -> list[Unbalanced]:
    """The sites of an hour whose accepted events are not all accounted for."""
    found = []
    for site, counts in ledger.items():
        accounted = sum(counts[part] for part in PARTS if part != ACCEPTED)
        if accounted != counts[ACCEPTED]:
            found.append(Unbalanced(hour, site, counts[ACCEPTED], accounted))
    return found


_folder: SlotFolder | None = None  # of this worker process


def _start(root: str, sites: Mapping[str, Site]) -> None:
    global _folder
    _folder = SlotFolder(root, sites)


def _submit(pool: ProcessPoolExecutor, info: ArchiveInfo, slot: int) -> Future[Rollup]:
    return pool.submit(_fold_slot, info.hour, info.generation, slot)


def _fold_slot(hour: str, generation: str, slot: int) -> Rollup:
    assert _folder is not None
    return _folder.fold(hour, generation, slot)


def _accepted(rows: pl.DataFrame) -> dict[str, int]:
    counts = rows.group_by("site").agg(pl.col("accepted").sum()).sort("site")
    return dict(zip(counts["site"].to_list(), counts["accepted"].to_list(), strict=True))
