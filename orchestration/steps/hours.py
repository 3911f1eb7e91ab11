"""Which hours a run archives: the ones asked for, and those that come out differently because of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from orchestration.steps.archive_hour import RUN_NOTE, Archived
from recount.errors import Incomplete
from recount.periods import HOUR_MS, hour_start_ms, next_hour, previous_hour
from recount.store.archive import Archive, ArchiveInfo

PASSES_MAX: Final = (
    3  # how often one hour may come up in a run; two neighbours can only correct each other once
)


def archive_all(
    hours: Iterable[str],
    archive: Archive,
    archive_one: Callable[[str], Archived],
    *,
    closed_before_ms: int,
    progress: Callable[[Archived], None],
) -> dict[str, Archived]:
    """Archive hours in ascending order, and their followers until a carry comes out unchanged.

    A follower is the next hour if it was archived from another carry, or if there are open visits to end in
    it; and a neighbour that holds an event which turned out to be a duplicate. Only hours that end at or
    before `closed_before_ms` become followers. `progress` is called after each hour.
    """
    todo, done, passes = set(hours), dict[str, Archived](), dict[str, int]()
    while todo:
        hour = min(todo)
        todo.remove(hour)
        passes[hour] = passes.get(hour, 0) + 1
        if passes[hour] > PASSES_MAX:
            raise Incomplete(f"hour {hour} does not settle: its neighbours keep changing it")
        result = done[hour] = archive_one(hour)
        progress(result)
        todo |= {
            h for h in _followers(result, archive, todo) if hour_start_ms(h) + HOUR_MS <= closed_before_ms
        }
    return dict(sorted(done.items()))


def made_by(run: str, hours: Iterable[str], archive: Archive) -> list[ArchiveInfo]:
    """The newest generations of `hours`, and of the neighbouring hours that `run` archived as followers."""
    found = {hour: info for hour in hours if (info := archive.newest(hour)) is not None}
    for step in (next_hour, previous_hour):
        for hour in sorted(found):
            beside = step(hour)
            while beside not in found:
                info = archive.newest(beside)
                if info is None or info.notes.get(RUN_NOTE) != run:
                    break
                found[beside] = info
                beside = step(beside)
    return [found[hour] for hour in sorted(found)]


def needs_follower(info: ArchiveInfo, after: ArchiveInfo | None) -> bool:
    """Whether the hour after `info` has to be archived (again) for the carry that `info` hands over."""
    if after is None:
        return any(slot.carry for slot in info.slots.values())
    used = _no_carry() if after.previous is None else after.previous.digest
    return used != info.carry_digest


def _followers(result: Archived, archive: Archive, todo: set[str]) -> set[str]:
    after = next_hour(result.info.hour)
    found = set(result.beaten)
    if after not in todo and needs_follower(result.info, archive.newest(after)):
        found.add(after)
    return {hour for hour in found if hour == after or archive.newest(hour) is not None}


def _no_carry() -> str:
    """The digest that an hour without open visits hands over."""
    return ArchiveInfo(hour="", generation="", made_ms=0, cut={}, slots={}).carry_digest
