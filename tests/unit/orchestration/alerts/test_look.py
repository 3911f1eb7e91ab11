"""What a look around finds in the topics, the tables and the hours."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from orchestration.alerts.look import Found, Watch, look_around, severity_of
from orchestration.alerts.problems import Links, Problem
from orchestration.groups import GroupLag
from orchestration.steps.completeness import Interval
from recount.errors import Unavailable
from recount.periods import HOUR_MS, MINUTE_MS, hour_of
from recount.reconciliation import Compared, HourCompared, Side
from recount.settings import Settings
from tests.unit.orchestration.world import BULK, LIVE, START, World, hour

LINKS = Links("http://dagster")
DAY_MS = 24 * HOUR_MS


@dataclass
class FakeGroups:
    """As a test sets them."""

    found: list[GroupLag] = field(default_factory=list)
    letters: int = 0
    is_away: bool = False

    def lags(self, now_ms: int) -> list[GroupLag]:
        if self.is_away:
            raise Unavailable("kafka", "no answer")
        return self.found

    def dead_letters(self) -> int:
        return self.letters


@dataclass
class FakeReaders:
    """As a test sets them."""

    counts: dict[str, int] = field(default_factory=dict)

    def denied(self) -> dict[str, int]:
        return self.counts


class Lookout:
    """Looks again and again; what it has to remember goes through the cursor each time."""

    def __init__(self, world: World) -> None:
        self.world, self.groups, self.watch = world, FakeGroups(), Watch()
        self.readers = FakeReaders()
        world.place.__dict__.update(groups=self.groups, readers=self.readers)

    def look(self, wait_ms: int = 0) -> Found:
        self.world.clock.ms += wait_ms
        self.watch = msgspec.json.decode(msgspec.json.encode(self.watch), type=Watch)
        return look_around(self.world.place, self.watch, LINKS)

    def problems(self, wait_ms: int = 0) -> dict[str, Problem]:
        return {problem.key: problem for problem in self.look(wait_ms).problems}


@pytest.fixture
def lookout(world: World) -> Lookout:
    return Lookout(world)


def lag(records: int, seconds: float, *topics: str) -> GroupLag:
    return GroupLag("g", topics or ("events",), records, seconds)


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (lag(49_999, 59), None),
        (lag(50_000, 1), "warning"),
        (lag(1, 60), "warning"),
        (lag(500_000, 1), "critical"),
        (lag(1, 300), "critical"),
        (lag(499_999, 599, "imports"), None),
        (lag(1, 600, "imports"), "warning"),
        (lag(1, 3_000, "imports"), "critical"),
    ],
)
def test_thresholds_of_lag_are_records_and_seconds(found: GroupLag, severity: str | None) -> None:
    assert severity_of(found, Settings()) == severity


def test_nothing_is_wrong(lookout: Lookout) -> None:
    found = lookout.look()
    assert found.problems == []
    assert {
        "lag",
        "dead_letters",
        "unpublished_hours",
        "stale_hours",
        "receipts_gap",
        "away",
    } <= found.checked


def test_a_group_that_is_behind(lookout: Lookout) -> None:
    lookout.groups.found = [lag(1_234, 90)]
    (problem,) = lookout.problems().values()
    assert (problem.key, problem.severity) == ("lag/g", "warning")
    assert problem.since_ms == lookout.world.clock.ms - 90_000
    assert "1,234 records of events" in problem.what
    assert problem.link == "http://dagster/assets/topics/events"


def test_an_hour_that_is_not_published_is_late_then_critical(lookout: Lookout) -> None:
    world = lookout.world
    world.clock.ms = START + MINUTE_MS
    world.deliver([world.event(0)])
    world.clock.ms = START + HOUR_MS + 599_000
    assert lookout.problems() == {}
    problem = lookout.problems(1_000)["unpublished_hours"]
    assert (problem.severity, problem.since_ms) == ("warning", START + HOUR_MS)
    assert hour(0) in problem.what
    assert lookout.problems(1_200_000)["unpublished_hours"].severity == "critical"
    world.publish(hour(0))
    assert lookout.problems() == {}


def test_late_events_that_stay_outside(lookout: Lookout) -> None:
    world = lookout.world
    world.deliver([world.event(0)])
    world.publish(hour(0))
    world.deliver([world.event(1)])
    assert lookout.problems(HOUR_MS - 1) == {}
    problem = lookout.problems(1)["stale_hours"]
    assert (problem.severity, problem.since_ms) == ("warning", world.clock.ms - HOUR_MS)
    world.publish(hour(0))
    assert lookout.problems() == {}


def test_an_import_is_not_late_while_it_is_waited_for(lookout: Lookout) -> None:
    world = lookout.world
    world.deliver([world.event(-400 * HOUR_MS)], BULK)
    assert lookout.problems(HOUR_MS) == {}
    assert "unpublished_hours" in lookout.problems(601_000)


def test_records_passed_over(lookout: Lookout) -> None:
    world = lookout.world
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[4:6])
    assert "receipts_gap" not in lookout.problems()
    problem = lookout.problems(world.place.settings.alert_settle_s * 1000)["receipts_gap"]
    assert "events/0 offsets 0 to 3" in problem.what
    assert "6 to" not in problem.what, "what comes after the newest receipt is lag"
    world.store(offsets[:4])
    assert "receipts_gap" not in lookout.problems()


def test_a_hole_is_told_for_a_week(lookout: Lookout) -> None:
    world = lookout.world
    world.place.proven.record(Interval(LIVE, 3, 9), world.clock.ms)
    problem = lookout.problems()["hole/events/0/3"]
    assert "offsets 3 to 8" in problem.what
    assert not problem.recovers
    assert lookout.problems(8 * DAY_MS) == {}


def test_new_dead_letters(lookout: Lookout) -> None:
    lookout.groups.letters = 7
    assert lookout.problems() == {}, "those that were there before are no news"
    lookout.groups.letters = 9
    assert "2 records" in lookout.problems(1_000)["dead_letters"].what
    lookout.groups.letters = 10
    assert "3 records" in lookout.problems(60_000)["dead_letters"].what
    assert lookout.problems(121_000) == {}


def test_segments_that_dax_denies(lookout: Lookout) -> None:
    lookout.readers.counts = {"one": 0}
    assert lookout.problems() == {}
    lookout.readers.counts = {"one": 2, "two": 1}
    assert "3 items" in lookout.problems(1_000)["dax_denies"].what
    lookout.readers.counts = {"two": 1}
    assert "3 items" in lookout.problems(60_000)["dax_denies"].what, "it has not settled yet"
    assert lookout.problems(61_000) == {}


def test_what_does_not_answer_is_told_once_it_lasts(lookout: Lookout) -> None:
    lookout.groups.is_away = lookout.world.log.away = True
    first = lookout.look()
    assert (first.problems, first.checked) == ([], {"away", "dax_denies"})
    problems = lookout.problems(lookout.world.place.settings.alert_settle_s * 1000)
    assert set(problems) == {"away/kafka", "away/log"}
    assert "no answer" in problems["away/kafka"].what
    lookout.groups.is_away = lookout.world.log.away = False
    assert lookout.problems() == {}


def test_accepted_events_that_did_not_arrive(lookout: Lookout) -> None:
    world = lookout.world
    world.deliver([world.event(n, seq=n, spool="a") for n in (1, 2, 5)])
    assert "spool_gap" not in lookout.problems()
    problem = lookout.problems(world.place.settings.alert_settle_s * 1000)["spool_gap"]
    assert problem.title == "2 accepted events did not arrive"
    assert "a 3 to 4" in problem.what
    world.deliver([world.event(n, seq=n, spool="a") for n in (3, 4)])
    assert "spool_gap" not in lookout.problems()


def test_an_hour_that_live_counted_differently_is_told_for_a_day(lookout: Lookout, world: World) -> None:
    now = hour_of(world.clock.ms)
    both = {"demo": Compared(Side(counted=9), Side(counted=5)), "fine": Compared(Side(), Side())}
    world.place.reconciliations.put(
        HourCompared(hour=now, generation="g", at_ms=1, state="compared", sites=both)
    )
    problem = lookout.problems()[f"live_disagrees/{now}"]
    assert (problem.severity, problem.since_ms) == ("warning", 1)
    assert "4 events of 1 sites" in problem.what
    assert "demo (4)" in problem.what
    assert f"live_disagrees/{now}" not in lookout.problems(25 * HOUR_MS)
