"""Which hours a run archives: the ones asked for, and those that come out differently because of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from orchestration.steps.archive_hour import RUN_NOTE, Archived
from recount.errors import Incomplete
from recount.periods import HOUR_MS, hour_start_ms, next_hour, previous_hour
from recount.store.archive import Archive, ArchiveInfo

_Made = TypeVar("_Made")
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


def with_followers(
    hours: Iterable[str], newest: Callable[[str], _Made | None], is_ours: Callable[[_Made], bool]
) -> list[_Made]:
    """The newest of what was made for `hours`, and for the hours next to them as far as this run made it."""
    found = {hour: made for hour in hours if (made := newest(hour)) is not None}
    for step in (next_hour, previous_hour):
        for hour in sorted(found):
            beside = step(hour)
            while beside not in found and (made := newest(beside)) is not None and is_ours(made):
                found[beside] = made
                beside = step(beside)
    return [found[hour] for hour in sorted(found)]


def made_by(run: str, hours: Iterable[str], archive: Archive) -> list[ArchiveInfo]:
    """The newest generations of `hours`, and of the neighbouring hours that `run` archived as followers."""
    return with_followers(hours, archive.newest, lambda info: info.notes.get(RUN_NOTE) == run)


def carry_out(info: ArchiveInfo | None) -> str:
    """The digest of the carry that an hour hands over; empty where no visit is open."""
    if info is None or not any(slot.carry for slot in info.slots.values()):
        return ""
    return info.carry_digest


def carry_in(info: ArchiveInfo | None, archive: Archive) -> str:
    """The digest of the carry that an hour went on from; empty where there was none."""
    if info is None or info.previous is None:
        return ""
    return carry_out(archive.info(info.previous.hour, info.previous.generation))


def _followers(result: Archived, archive: Archive, todo: set[str]) -> set[str]:
    after = next_hour(result.info.hour)
    found = set(result.beaten)
    if after not in todo and carry_out(result.info) != carry_in(archive.newest(after), archive):
        found.add(after)
    return {hour for hour in found if hour == after or archive.newest(hour) is not None}
