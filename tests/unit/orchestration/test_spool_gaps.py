"""Numbers of a spool that did not arrive are found; those on their way or in quarantine are none."""

from __future__ import annotations

import msgspec
import pytest

from orchestration.spools import Lost, SpoolReport
from orchestration.steps import spool_gaps
from orchestration.steps.archive_range import archive_range
from orchestration.steps.spool_gaps import SpoolWatch, watch_spools
from recount.errors import Unavailable
from tests.unit.orchestration.world import BULK, LIVE, World, hour


class Watcher:
    """Looks again and again; what it remembers goes through the cursor each time."""

    def __init__(self, world: World) -> None:
        self.world, self.watch = world, SpoolWatch()

    def look(self, **shipped: int) -> dict[str, list[tuple[int, int]]]:
        """`shipped`: how far each living spool is shipped."""
        self.world.spools.answers = [[SpoolReport(spool, seq) for spool, seq in shipped.items()]]
        self.watch = msgspec.json.decode(msgspec.json.encode(self.watch), type=SpoolWatch)
        place = self.world.place
        watch_spools(self.watch, place.raw, place.log, place.spools, place.proven.spans())
        return self.watch.lost

    def deliver(self, *seqs: int, spool: str = "a", **given: int) -> None:
        self.world.deliver([self.world.event(seq, seq=seq, spool=spool, **given) for seq in seqs])


@pytest.fixture
def watcher(world: World) -> Watcher:
    return Watcher(world)


def test_everything_arrived_in_whatever_order(watcher: Watcher) -> None:
    watcher.deliver(3, 1, 2, 2)
    assert watcher.look(a=3) == {}
    watcher.deliver(5, 4)
    assert watcher.look(a=5) == {}
    assert (watcher.watch.spools["a"].upto, watcher.watch.spools["a"].beyond) == (5, [])


def test_a_number_that_kafka_had_and_nobody_stored(watcher: Watcher) -> None:
    watcher.deliver(1, 2, 5)
    assert watcher.look(a=5) == {"a": [(3, 4)]}
    watcher.deliver(3, 4)
    assert watcher.look(a=5) == {}


def test_what_is_still_in_the_spool_is_not_missing(watcher: Watcher) -> None:
    watcher.deliver(1, 2, 5)
    assert watcher.look(a=2) == {}


def test_what_the_lambda_has_not_stored_yet_is_waited_for(watcher: Watcher) -> None:
    watcher.deliver(1)
    offsets = watcher.world.produce([watcher.world.event(n, seq=n, spool="a") for n in (2, 4)])
    assert watcher.look(a=4) == {}
    assert watcher.watch.asked is not None
    watcher.world.store(offsets)
    assert watcher.look(a=4) == {"a": [(3, 3)]}


def test_what_kafka_has_lost_for_ever_is_not_waited_for(watcher: Watcher) -> None:
    watcher.deliver(1)
    watcher.world.produce([watcher.world.event(n, seq=n, spool="a") for n in (2, 3)])
    watcher.deliver(4)
    assert watcher.look(a=4) == {}
    watcher.world.log.expire(LIVE, 3)
    archive_range(watcher.world.place, [hour(0)], "run")
    assert watcher.look(a=4) == {"a": [(2, 3)]}


def test_a_finished_spool_is_judged_by_its_last_number(watcher: Watcher) -> None:
    watcher.deliver(1, 3)
    assert watcher.look() == {"a": [(2, 2)]}


def test_quarantine_explains_a_gap(watcher: Watcher) -> None:
    watcher.deliver(1, 5)
    watcher.deliver(2, v=9)  # a dead letter of the topic
    watcher.world.spools.set_aside = [Lost("a", 3, 3, "damaged"), Lost("b", 4, 4, "damaged")]
    assert watcher.look(a=5) == {"a": [(4, 4)]}
    watcher.world.spools.set_aside = [Lost("a", 3, 4, "damaged"), Lost("a", 6, 0, "damaged")]
    assert watcher.look(a=5) == {}


def test_lines_of_imports_are_not_judged(watcher: Watcher) -> None:
    watcher.world.deliver([watcher.world.event(0, seq=n, spool="log") for n in (10, 20)], BULK)
    assert watcher.look() == {}
    assert watcher.watch.spools == {}


def test_finished_spools_are_remembered_within_bounds(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_gaps, "SPOOLS_MAX", 2)
    for spool in ("a", "b", "c", "d"):
        watcher.deliver(1, 2, spool=spool)
    assert watcher.look(d=2) == {}
    assert sorted(watcher.watch.spools) == ["c", "d"]
    watcher.deliver(2, spool="a")  # a letter that comes back
    assert watcher.look(d=2) == {}
    assert "a" not in watcher.watch.spools


def test_an_outage_changes_nothing(watcher: Watcher) -> None:
    watcher.world.log.away = True
    with pytest.raises(Unavailable):
        watcher.look(a=1)
