"""Made events archived, folded and published hour by hour, as the pipeline does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from recount.counting.fold import fold, merge
from recount.counting.rollup import Rollup
from recount.counting.visits import cut
from recount.ids import new_id
from recount.interpret import Interpreter
from recount.keys import event_slots
from recount.periods import HOUR_MS, hour_of, hour_start_ms, hours_between
from recount.publishing.publisher import HourCandidate
from recount.store.archive import ArchiveInfo, by_slot
from recount.store.provenance import ArchiveSource
from tests.publishing import Press
from tests.sequences import SILENCE_MS, Row, frame

SLOTS = 2


def hours_of(rows: Sequence[Row]) -> list[str]:
    """Those with events, and those in which their visits end."""
    return sorted({hour for row in rows for hour in hours_between(row["ts"], row["ts"] + SILENCE_MS + 1)})


def publish(press: Press, rows: Sequence[Row], hours: Iterable[str] | None = None) -> dict[str, str]:
    """Archives and publishes hours (all unless given); returns the archive generation of each."""
    interpreter = Interpreter()
    carries: dict[int, pl.DataFrame] = {}
    candidates: list[HourCandidate] = []
    made: dict[str, str] = {}
    wanted = None if hours is None else set(hours)
    for hour in hours_of(rows):
        info, rollup = archived(press, hour, rows, carries, interpreter)
        if wanted is None or hour in wanted:
            source = ArchiveSource(hour=hour, generation=info.generation, cut={})
            candidates.append(press.candidate(hour, rollup, _base(press, hour), archive=source))
            made[hour] = info.generation
    press.publisher.publish(candidates, "test")
    return made


def archived(
    press: Press,
    hour: str,
    rows: Sequence[Row],
    carries: dict[int, pl.DataFrame],
    interpreter: Interpreter,
) -> tuple[ArchiveInfo, Rollup]:
    events = frame([row for row in rows if hour_of(row["ts"]) == hour])
    of_slot = event_slots(events, SLOTS)
    generation, infos, parts = new_id(), [], []
    for slot in range(SLOTS):
        done = cut(events.filter(of_slot == slot), carries.get(slot), hour_start_ms(hour) + HOUR_MS)
        carries[slot] = done.carry
        infos.append(press.archive.write_slot(hour, generation, slot, done))
        parts.append(fold(done.events, done.ends, press.sites, interpreter))
    info = ArchiveInfo(hour=hour, generation=generation, made_ms=1, cut={}, slots=by_slot(infos))
    press.archive.seal(hour, generation, info)
    return info, merge(parts)


def _base(press: Press, hour: str) -> str | None:
    entry = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"]).get(f"hour/{hour}")
    return None if entry is None else entry.confirmed
