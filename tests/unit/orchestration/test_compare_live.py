"""Each published hour is compared with what live had counted of it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from orchestration.jobs import HOUR_JOB
from orchestration.live_totals import Heard, LiveHttp
from orchestration.steps.compare_live import WAIT_S, compare_live
from recount.discovery import FileDirectory, Instance
from recount.errors import Unavailable
from recount.periods import HOUR_MS, MINUTE_MS
from recount.reconciliation import Side
from recount.store.reconciliations import HourSummary
from tests.unit.orchestration.runner import Runner, checks
from tests.unit.orchestration.world import BULK, HOUR, START, World

MINUTE = MINUTE_MS
FIVE = Side(visitors=5, visits=5, pageviews=5, events=0, counted=5)


def heard(side: Side = FIVE, position: int = 5, hours: tuple[str, ...] = (HOUR,)) -> Heard:
    return Heard({(HOUR, "demo"): side}, {0: position}, hours)


@pytest.fixture
def five(world: World) -> World:
    """Five visitors in the hour, and the clock a little after it."""
    world.deliver([world.event(n * MINUTE, visitor=n) for n in range(5)])
    world.clock.ms = START + HOUR_MS + MINUTE
    return world


def compared(world: World) -> list[HourSummary]:
    found = world.publish(HOUR)
    assert found is not None
    return compare_live(world.place, found.hours)


def test_live_and_published_agree(five: World) -> None:
    five.live.answers = [heard()]
    (summary,) = compared(five)
    assert (summary.state, summary.sites, summary.unexplained_events) == ("compared", 1, 0)
    ((hour, one),) = five.place.reconciliations.of_site("demo", HOUR, HOUR)
    assert hour.generation == five.confirmed(HOUR)
    assert one is not None
    assert one.live == one.published == FIVE
    assert one.ledger["accepted"] == 5


def test_what_live_lacks_and_has_too_much_is_unexplained(five: World) -> None:
    five.live.answers = [heard(Side(visitors=4, visits=4, pageviews=4, counted=4))]
    (summary,) = compared(five)
    assert summary.unexplained == {"demo": 1}
    five.live.answers = [Heard({(HOUR, "demo"): FIVE, (HOUR, "ghost"): FIVE}, {0: 5}, (HOUR,))]
    (summary,) = compared(five)
    assert summary.unexplained == {"ghost": 5}


def test_late_events_that_live_has_seen_already_explain_more(five: World) -> None:
    five.live.answers = [heard(Side(visitors=6, visits=6, pageviews=6, counted=6), position=6)]
    found = five.publish(HOUR)
    assert found is not None
    five.produce([five.event(7 * MINUTE, visitor=9)])  # stored by nobody yet
    (summary,) = compare_live(five.place, found.hours)
    assert (summary.state, summary.unexplained_events) == ("compared", 0)


def test_imports_explain_what_live_does_not_follow(five: World) -> None:
    five.deliver([five.event(n * MINUTE, visitor=20 + n) for n in range(3)], BULK)
    five.live.answers = [heard()]
    (summary,) = compared(five)
    assert summary.unexplained_events == 0
    ((_, one),) = five.place.reconciliations.of_site("demo", HOUR, HOUR)
    assert one is not None
    assert one.imported == 3


@pytest.mark.parametrize("answer", [Heard(), heard(hours=())])
def test_where_live_is_away_nothing_is_compared(five: World, answer: Heard) -> None:
    five.live.answers = [answer]
    (summary,) = compared(five)
    assert (summary.state, summary.unexplained_events) == ("live_away", 0)


def test_live_is_waited_for_until_it_reaches_the_cut(five: World) -> None:
    five.live.answers = [heard(position=2), heard(position=4), heard()]
    (summary,) = compared(five)
    assert summary.state == "compared"
    five.live.answers = [heard(position=2)]
    five.clock.slept.clear()
    (summary,) = compared(five)
    assert summary.state == "live_behind"
    assert sum(five.clock.slept) == WAIT_S


def test_hours_that_live_has_forgotten_and_running_ones_are_left_out(five: World) -> None:
    five.live.answers = [heard()]
    five.clock.ms = START + 5 * HOUR_MS
    assert compared(five) == []
    five.clock.ms = START + 30 * MINUTE
    found = five.publish(HOUR, open_hour=True)
    assert found is not None
    assert compare_live(five.place, found.hours) == []


def test_a_table_that_is_away_holds_up_nothing(five: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise Unavailable("dynamodb", "gone")

    five.live.answers = [heard()]
    monkeypatch.setattr(five.place.reconciliations, "put", away)
    assert compared(five) == []


def test_the_check_warns_and_blocks_nothing(runner: Runner, five: World) -> None:
    five.live.answers = [heard(Side(counted=2))]
    result = runner.run(HOUR_JOB, HOUR, HOUR)
    assert result.success
    assert checks(result)["agrees_with_live"] is False
    (warning,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "demo 3" in (warning.description or "")
    assert five.total(f"hour/{HOUR}")["pageviews"] == 5


def test_every_instance_is_asked_and_each_partition_counted_once(tmp_path: Path) -> None:
    directory = FileDirectory(tmp_path)
    for name, port in (("a", 1), ("b", 2), ("c", 3)):
        directory.register(Instance("live", name, "host", port, {}))

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 3:
            raise httpx.ConnectError("gone")
        own = [0] if request.url.port == 1 else [0, 1]
        rows = [[HOUR, "demo", n, 1, 1, 2, 0, 2, 0] for n in own]
        hours = [HOUR, "2026-01-01T00"] if request.url.port == 1 else [HOUR]
        return httpx.Response(200, json={"hours": hours, "positions": {str(n): 9 for n in own}, "rows": rows})

    found = LiveHttp(directory, transport=httpx.MockTransport(answer)).hours([HOUR])
    assert found.sites == {(HOUR, "demo"): Side(2, 2, 4, 0, 4, 0)}
    assert (found.positions, found.hours) == ({0: 9, 1: 9}, {HOUR})
