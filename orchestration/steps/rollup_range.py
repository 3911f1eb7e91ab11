"""The second step of a run: fold archived hours into candidates, and balance their ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from orchestration.resources import Workplace
from orchestration.steps.rollup_hour import common_of, fold_hours, ledger_of, provenance, rules_of
from recount.counting.fold import Rollup
from recount.ledger import Unbalanced, unbalanced
from recount.periods import previous_hour
from recount.store.archive import ArchiveInfo
from recount.store.catalog import Site
from recount.store.in_force import SitesInForce
from recount.store.provenance import Provenance


@dataclass(frozen=True)
class Candidate:
    """A sealed candidate rollup of one hour, and how it came about."""

    provenance: Provenance
    rows: int
    duration_ms: int
    unbalanced: tuple[Unbalanced, ...]


def rollup_range(
    place: Workplace,
    infos: Sequence[ArchiveInfo],
    run_id: str,
    *,
    reason: str,
    only: Sequence[str] = (),
    in_force: SitesInForce | None = None,
    mark: Callable[[Provenance], Provenance] = lambda made: made,
    progress: Callable[[Candidate], None] = lambda candidate: None,
) -> list[Candidate]:
    """Fold every archived hour into a candidate of its own; nothing is published here.

    `only`: the sites to fold, all unless given. `in_force`: the rules to count by, those of now unless given.
    `mark` has the last word on where a candidate comes from.
    """
    ruled = place.sites_in_force() if in_force is None else in_force
    found: list[Candidate] = []
    started_ms = place.now_ms()
    for info, rollup, sites in _folded(place, infos, ruled, only):
        ledger = ledger_of(_within(info, only), rollup)
        sealed = place.candidates.write(
            rollup,
            mark(
                provenance(
                    info,
                    _before(place, info),
                    ledger,
                    rules_of(info, rollup, sites),
                    common_of(info, rollup, sites),
                    now_ms=place.now_ms(),
                    run_id=run_id,
                    reason=reason,
                )
            ),
        )
        done_ms = place.now_ms()
        candidate = Candidate(
            sealed, rollup.rows.height, done_ms - started_ms, tuple(unbalanced(info.hour, ledger))
        )
        started_ms = done_ms
        found.append(candidate)
        progress(candidate)
    return found


def _folded(
    place: Workplace, infos: Sequence[ArchiveInfo], ruled: SitesInForce, only: Sequence[str]
) -> Iterator[tuple[ArchiveInfo, Rollup, Mapping[str, Site]]]:
    """Each hour by the rules that are in force for it."""
    for sites, hours in ruled.apart((info.hour, info) for info in infos):
        for info, rollup in fold_hours(hours, place.settings.archive_root, sites, only=only):
            yield info, rollup, sites


def _within(info: ArchiveInfo, only: Sequence[str]) -> ArchiveInfo:
    """What an archive says of some sites, all unless given."""
    if not only:
        return info
    return replace(info, ledger={site: line for site, line in info.ledger.items() if site in only})


def _before(place: Workplace, info: ArchiveInfo) -> ArchiveInfo | None:
    if info.previous is None:
        return None
    return place.archive.info(previous_hour(info.hour), info.previous.generation)
