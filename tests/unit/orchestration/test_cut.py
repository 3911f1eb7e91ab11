"""The cut waits for spools, but not for ever."""

from __future__ import annotations

import pytest

from orchestration.spools import SpoolReport, Unshipped
from orchestration.steps.cut import TakenCut, key, source_of, take, texts
from recount.errors import Unavailable
from tests.unit.orchestration.world import BULK, LIVE, START, FakeSpools, World


def cut_before(world: World, before_ms: int, wait_ms: int = 2_000) -> TakenCut:
    place = world.place
    return take(
        place.log,
        place.spools,
        before_ms=before_ms,
        wait_ms=wait_ms,
        now_ms=place.now_ms,
        sleep=place.sleep,
    )


def test_end_offsets_of_every_source_partition(world: World) -> None:
    world.produce([world.event(n) for n in range(3)])
    world.produce([world.event(n) for n in range(5)], BULK)
    cut = cut_before(world, START)
    assert cut.offsets == {LIVE: 3, BULK: 5}
    assert cut.oldest == {LIVE: 0, BULK: 0}
    assert cut.pending == ()
    assert cut.waited_ms == 0


def test_waits_until_a_spool_has_shipped_what_it_took_before(world: World) -> None:
    waiting = SpoolReport("a", 7, START - 1)
    world.spools.answers = [[waiting], [waiting], [SpoolReport("a", 9, START)]]
    cut = cut_before(world, START)
    assert cut.pending == ()
    assert cut.waited_ms == 1_000


def test_a_spool_with_nothing_unshipped_is_not_waited_for(world: World) -> None:
    world.spools.answers = [[SpoolReport("a", 7), SpoolReport("b", 1, START + 10)]]
    assert cut_before(world, START).waited_ms == 0


@pytest.mark.parametrize("stuck", [SpoolReport("a", 7, START - 1), SpoolReport("a", silent=True)])
def test_when_the_wait_is_over_the_rest_is_pending(world: World, stuck: SpoolReport) -> None:
    world.spools.answers = [[stuck, SpoolReport("b")]]
    world.produce([world.event(0)])
    cut = cut_before(world, START)
    assert cut.pending == (stuck,)
    assert cut.waited_ms == 2_000
    assert cut.offsets[LIVE] == 1


def test_offsets_are_taken_after_the_spools_have_answered(world: World) -> None:
    """What a spool shipped before it answered is below the cut."""

    class Shipping(FakeSpools):
        def reports(self) -> list[SpoolReport]:
            world.produce([world.event(0)])
            return [SpoolReport("a", 1)]

    place = world.place
    cut = take(place.log, Shipping(), before_ms=START, wait_ms=0, now_ms=place.now_ms, sleep=place.sleep)
    assert cut.offsets[LIVE] == 1


def test_no_cut_while_the_log_is_away(world: World) -> None:
    world.log.away = True
    with pytest.raises(Unavailable):
        cut_before(world, START)


def test_source_partitions_as_text() -> None:
    assert texts({("events", 3): 7, ("events", 10): 8}) == {"events/00003": 7, "events/00010": 8}
    assert source_of(key(("events.dead", 12))) == ("events.dead", 12)


def test_what_is_not_shipped_is_asked_before_the_ends_are_taken(world: World) -> None:
    """An event that is shipped in between is in both, and is archived; never in neither."""

    class Shipping(FakeSpools):
        def unshipped(self, before_ms: int) -> Unshipped:
            asked.append(before_ms)
            world.produce([world.event(0)])
            return Unshipped(unnamed=1)

    asked: list[int] = []
    place = world.place
    cut = take(place.log, Shipping(), before_ms=START, wait_ms=0, now_ms=place.now_ms, sleep=place.sleep)
    assert (asked, cut.offsets[LIVE], cut.unshipped.unnamed) == ([START], 1, 1)
