"""An hour's archive: each event once, visits across hours, nothing lost by archiving again."""

from __future__ import annotations

import pytest

from orchestration.steps.archive_hour import OPEN_NOTE, Archived, Archiver
from orchestration.steps.hours import archive_all, made_by
from recount.errors import Incomplete
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms
from recount.store.archive import ArchiveInfo
from tests.unit.orchestration.world import ALL_INSIDE, BULK, LIVE, START, World, hour

MINUTE = MINUTE_MS


def archiver(world: World, run: str = "run-1") -> Archiver:
    place = world.place
    slots, scratch = place.settings.event_slots, place.settings.state
    return Archiver(place.raw, place.archive, world.cut().offsets, slots=slots, scratch=scratch, run=run)


def archive(world: World, name: str, until_ms: int | None = None) -> ArchiveInfo:
    until = hour_start_ms(name) + HOUR_MS if until_ms is None else until_ms
    return archiver(world).archive(name, until_ms=until, now_ms=world.clock.now_ms()).info


def run(world: World, *hours: str, name: str = "run-1") -> list[str]:
    """Archive as a run does; the hours that were archived, in order."""
    work, done = archiver(world, name), []

    def one(h: str) -> Archived:
        return work.archive(h, until_ms=hour_start_ms(h) + HOUR_MS, now_ms=world.clock.now_ms())

    archive_all(
        hours,
        world.place.archive,
        one,
        closed_before_ms=world.clock.now_ms(),
        progress=lambda archived: done.append(archived.info.hour),
    )
    return done


def ids(world: World, info: ArchiveInfo) -> list[str]:
    events = world.place.archive.read_events(info.hour, info.generation)
    return sorted(events["id"].to_list())


class TestOneHour:
    def test_events_of_the_hour_and_no_others(self, world: World) -> None:
        world.deliver([world.event(t) for t in (-1, 0, HOUR_MS - 1, HOUR_MS)])
        world.deliver([world.event(9)], BULK)
        info = archive(world, hour(0))
        assert ids(world, info) == ["e2", "e3", "e5"]
        assert info.cut == {"events/00000": 4, "imports/00000": 1}
        assert info.ledger == {"demo": {"accepted": 3, "duplicate": 0} | ALL_INSIDE}
        assert info.notes == {"run": "run-1"}

    def test_a_delivery_twice_is_counted_once(self, world: World) -> None:
        offsets = world.deliver([world.event(n) for n in range(4)])
        world.store(offsets[1:])
        value = world.event(50)
        world.deliver([value, value])
        info = archive(world, hour(0))
        assert info.events == 5
        assert info.ledger == {"demo": {"accepted": 5, "duplicate": 0} | ALL_INSIDE}

    def test_a_retried_beacon_is_a_duplicate(self, world: World) -> None:
        world.deliver([world.event(0, id="a"), world.event(1, id="a", spool="other", seq=1)])
        info = archive(world, hour(0))
        assert ids(world, info) == ["a"]
        assert info.ledger == {"demo": {"accepted": 2, "duplicate": 1} | ALL_INSIDE}

    def test_a_retry_across_the_hour_is_counted_in_one_hour(self, world: World) -> None:
        world.deliver([world.event(HOUR_MS - 5, id="a"), world.event(HOUR_MS + 5, id="a")])
        world.deliver([world.event(HOUR_MS + 11 * MINUTE)])
        first, second = archive(world, hour(0)), archive(world, hour(1))
        assert (first.events, second.events) == (1, 1)
        assert second.ledger["demo"] == {"accepted": 2, "duplicate": 1} | ALL_INSIDE

    def test_what_lies_beyond_the_cut_waits(self, world: World) -> None:
        world.deliver([world.event(0)])
        work = archiver(world)
        world.deliver([world.event(1)])
        assert work.archive(hour(0), until_ms=START + HOUR_MS, now_ms=START).info.events == 1

    def test_an_archive_keeps_what_the_raw_table_has_let_go(self, world: World) -> None:
        world.deliver([world.event(0, id="a"), world.event(1, id="a", spool="b"), world.event(2)])
        first = archive(world, hour(0))
        for item in list(world.place.tables.raw.scan()):
            world.place.tables.raw.delete((item["pk"], item["sk"]))
        world.deliver([world.event(3)])
        again = archive(world, hour(0))
        assert (first.events, again.events) == (2, 3)
        assert again.ledger == {"demo": {"accepted": 4, "duplicate": 1} | ALL_INSIDE}

    def test_an_hour_without_events_is_an_archive_too(self, world: World) -> None:
        info = archive(world, hour(0))
        assert info.events == 0
        assert world.place.archive.read_carry(hour(0), info.generation).is_empty()

    def test_a_running_hour_ends_no_visit_early(self, world: World) -> None:
        world.deliver([world.event(0, visitor=1), world.event(29 * MINUTE, visitor=2)])
        info = archive(world, hour(0), START + 31 * MINUTE)
        assert info.notes[OPEN_NOTE] == str(START + 31 * MINUTE)
        ends = world.place.archive.read_ends(hour(0), info.generation)
        carry = world.place.archive.read_carry(hour(0), info.generation)
        assert (ends["visitor"].to_list(), carry["visitor"].to_list()) == ([1], [2])

    def test_a_running_hour_takes_an_event_whose_clock_is_ahead(self, world: World) -> None:
        world.deliver([world.event(10 * MINUTE)])
        assert archive(world, hour(0), START + 9 * MINUTE).events == 1


class TestManyHours:
    def test_a_visit_goes_on_in_the_next_hour(self, world: World) -> None:
        world.deliver([world.event(50 * MINUTE), world.event(70 * MINUTE)])
        assert run(world, hour(0), hour(1)) == [hour(0), hour(1)]
        info = world.place.archive.newest(hour(1))
        assert info is not None
        event = world.place.archive.read_events(hour(1), info.generation).row(0, named=True)
        assert (event["visit_start"], event["position"]) == (START + 50 * MINUTE, 2)
        assert world.place.archive.read_ends(hour(1), info.generation).height == 1

    def test_the_carry_survives_another_number_of_slots(self, world: World) -> None:
        world.deliver([world.event(50 * MINUTE, visitor=v) for v in range(20)])
        world.deliver([world.event(70 * MINUTE, visitor=v) for v in range(20)])
        archive(world, hour(0))
        place = world.place
        work = Archiver(
            place.raw,
            place.archive,
            world.cut().offsets,
            slots=5,
            scratch=world.place.settings.state,
            run="r",
        )
        info = work.archive(hour(1), until_ms=START + 2 * HOUR_MS, now_ms=START).info
        positions_in_visit = place.archive.read_events(hour(1), info.generation)["position"]
        assert positions_in_visit.to_list() == [2] * 20

    def test_open_visits_are_ended_in_an_hour_without_events(self, world: World) -> None:
        world.deliver([world.event(50 * MINUTE)])
        assert run(world, hour(0)) == [hour(0), hour(1)]
        info = world.place.archive.newest(hour(1))
        assert info is not None
        assert world.place.archive.read_ends(hour(1), info.generation).height == 1

    def test_an_hour_that_is_not_over_does_not_follow(self, world: World) -> None:
        world.deliver([world.event(50 * MINUTE)])
        world.clock.ms = START + HOUR_MS + MINUTE
        assert run(world, hour(0)) == [hour(0)]

    def test_a_late_event_moves_the_hours_after_it_until_a_carry_is_unchanged(self, world: World) -> None:
        world.deliver([world.event(t * MINUTE) for t in (45, 65, 85, 105, 125, 200)])
        assert run(world, hour(0), hour(1), hour(2), hour(3)) == [hour(n) for n in range(4)] + []
        world.deliver([world.event(30 * MINUTE)])
        assert run(world, hour(0), name="run-2") == [hour(0), hour(1), hour(2)]
        third = world.place.archive.newest(hour(3))
        assert third is not None
        assert third.notes["run"] == "run-1"

    def test_archiving_again_without_news_hands_on_the_same_carry(self, world: World) -> None:
        world.deliver([world.event(t * MINUTE, visitor=t) for t in (5, 31, 45, 59, 65, 118)])
        run(world, hour(0), hour(1), hour(2))
        assert run(world, hour(0)) == [hour(0)]

    def test_a_missing_hour_before_is_an_empty_carry_until_it_comes(self, world: World) -> None:
        world.deliver([world.event(50 * MINUTE), world.event(70 * MINUTE)])
        assert archive(world, hour(1)).previous is None
        assert run(world, hour(0)) == [hour(0), hour(1)]

    def test_an_hour_before_that_counted_the_loser_is_corrected(self, world: World) -> None:
        """The copy in the hour after was received first, but arrived when this hour was archived already."""
        world.deliver([world.event(HOUR_MS - 5, id="a", received=START + HOUR_MS + 900, spool="x")])
        run(world, hour(0))
        world.deliver([world.event(HOUR_MS + 5, id="a", received=START + HOUR_MS + 10)])
        assert set(run(world, hour(1))) >= {hour(0), hour(1)}
        counts = {}
        for n in (0, 1):
            info = world.place.archive.newest(hour(n))
            assert info is not None
            counts[n] = info.events
        assert counts == {0: 0, 1: 1}
        assert hour(0) not in run(world, hour(1)), "once corrected, it stays"

    def test_followers_are_found_by_their_run(self, world: World) -> None:
        world.deliver([world.event(t * MINUTE) for t in (45, 65, 85, 105, 125)])
        run(world, hour(0), hour(1), hour(2))
        world.deliver([world.event(30 * MINUTE)])
        run(world, hour(0), name="run-2")
        made = made_by("run-2", [hour(0)], world.place.archive)
        assert [info.hour for info in made] == [hour(0), hour(1), hour(2)]
        assert [info.hour for info in made_by("run-3", [hour(1)], world.place.archive)] == [hour(1)]

    def test_hours_that_keep_changing_each_other_are_refused(self, world: World) -> None:
        world.deliver([world.event(0)])
        info = archive(world, hour(0))
        with pytest.raises(Incomplete, match="does not settle"):
            archive_all(
                [hour(0)],
                world.place.archive,
                lambda name: Archived(info, frozenset({hour(0)}), 1),
                closed_before_ms=world.clock.now_ms(),
                progress=lambda archived: None,
            )

    def test_repeats_from_both_topics_stay_apart(self, world: World) -> None:
        """An offset alone says nothing: a source partition is a topic and a partition."""
        world.deliver([world.event(0)], LIVE)
        world.deliver([world.event(1)], BULK)
        assert archive(world, hour(0)).events == 2
