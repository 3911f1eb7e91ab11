"""The first step of a run: take the cut, prove it complete, archive the hours and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from orchestration.resources import Workplace
from orchestration.steps.archive_hour import Archived, Archiver
from orchestration.steps.completeness import Proof, Prover, receipted
from orchestration.steps.cut import TakenCut, take
from orchestration.steps.hours import archive_all
from recount.errors import InvalidInput
from recount.periods import HOUR_MS, hour_start_ms

SCRATCH: Final = "scratch"  # in the folder of the state


@dataclass(frozen=True)
class ArchivedRange:
    """`hours` holds the hours asked for and their followers; `lost` those whose raw table lacks events that
    receipts promise, as (promised, found)."""

    cut: TakenCut
    proof: Proof
    hours: dict[str, Archived]
    lost: dict[str, tuple[int, int]]


def archive_range(
    place: Workplace,
    hours: Sequence[str],
    run_id: str,
    *,
    open_hour: bool = False,
    progress: Callable[[Archived], None] = lambda archived: None,
) -> ArchivedRange:
    """Archive hours under one cut. What is incomplete is archived all the same, and reported: the next hour
    goes on from the provisional carry.

    Raises InvalidInput for an hour that is not over (with `open_hour`: that has not begun), Unavailable and
    Incomplete as the cut and the proof do.
    """
    end_ms = _wait_for_end(place, hours, open_hour=open_hour)
    cut = take(
        place.log,
        place.spools,
        before_ms=end_ms,
        wait_ms=place.settings.spool_wait_s * 1000,
        now_ms=place.now_ms,
        sleep=place.sleep,
    )
    since = {source: place.proven.offset(source) for source in cut.offsets}
    proof = _prover(place).prove(cut)
    archiver = Archiver(
        place.raw,
        place.archive,
        cut.offsets,
        slots=place.settings.event_slots,
        scratch=place.settings.state / SCRATCH,
        run=run_id,
        fresh_from=since,
        unshipped=cut.unshipped,
    )

    def archive_one(hour: str) -> Archived:
        until_ms = min(hour_start_ms(hour) + HOUR_MS, cut.taken_ms)
        return archiver.archive(hour, until_ms=until_ms, now_ms=place.now_ms())

    closed_before_ms = cut.taken_ms - place.settings.grace_s * 1000
    archived = archive_all(
        hours, place.archive, archive_one, closed_before_ms=closed_before_ms, progress=progress
    )
    promised = receipted(place.raw, since, cut.offsets)
    lost = {
        hour: (promised[hour], found.fresh_events)
        for hour, found in archived.items()
        if found.fresh_events < promised.get(hour, 0)
    }
    return ArchivedRange(cut, proof, archived, lost)


def _wait_for_end(place: Workplace, hours: Sequence[str], *, open_hour: bool) -> int:
    """The moment up to which spools have to be shipped; sleeps through what is left of the grace."""
    last = max(hours)
    end_ms, now_ms = hour_start_ms(last) + HOUR_MS, place.now_ms()
    begun = open_hour and hour_start_ms(last) <= now_ms
    if end_ms > now_ms and not begun:
        raise InvalidInput(f"hour {last} is not over yet; publish_open takes a running hour", field="hours")
    if end_ms > now_ms:
        return now_ms
    grace_left_ms = end_ms + place.settings.grace_s * 1000 - now_ms
    if grace_left_ms > 0 and not open_hour:
        place.sleep(grace_left_ms / 1000)
    return end_ms


def _prover(place: Workplace) -> Prover:
    return Prover(
        raw=place.raw,
        log=place.log,
        proven=place.proven,
        quarantine=place.quarantine,
        catch_up_ms=place.settings.spool_wait_s * 1000,
        now_ms=place.now_ms,
        sleep=place.sleep,
    )
