"""What should be published and is not, derived from receipts and from what is shown."""

from __future__ import annotations

from orchestration.steps.archive_range import archive_range
from orchestration.steps.reconcile import Patience, State, due, hour_end_ms, look
from recount.columns import positions
from recount.periods import HOUR_MS, MINUTE_MS
from recount.settings import Settings
from tests.unit.orchestration.world import BULK, LIVE, START, World, hour

MINUTE = MINUTE_MS
PATIENCE = Patience.of(Settings())


def after(world: World, state: State | None = None) -> State:
    """The state after a look, having survived as a cursor."""
    place = world.place
    looked = look(state or State(), place.raw, place.manifests, [LIVE, BULK], place.proven.spans())
    return State.of(looked.cursor())


def test_nothing_happened_nothing_is_expected(world: World) -> None:
    assert after(world).waiting == {}


def test_an_hour_is_expected_when_a_receipt_names_events_in_it(world: World) -> None:
    world.deliver([world.event(0), world.event(2 * HOUR_MS)])
    state = after(world)
    assert sorted(state.waiting) == [hour(0), hour(2)]
    assert state.at == {"events/00000": 2, "imports/00000": 0}


def test_a_published_hour_is_satisfied(world: World) -> None:
    world.deliver([world.event(0), world.event(2 * HOUR_MS)])
    state = after(world)
    world.publish(hour(0))
    assert sorted(after(world, state).waiting) == [hour(2)]
    assert sorted(after(world).waiting) == [hour(2)], "also for one who looks for the first time"


def test_a_late_event_makes_its_hour_stale_until_it_is_published_again(world: World) -> None:
    world.deliver([world.event(0)])
    world.publish(hour(0), run="run-1")
    state = after(world)
    assert state.waiting == {}
    world.deliver([world.event(1)])
    state = after(world, state)
    assert sorted(state.waiting) == [hour(0)]
    assert state.waiting[hour(0)].last == {"events/00000": 1}
    world.publish(hour(0), run="run-2")
    assert after(world, state).waiting == {}


def test_a_late_delivery_without_news_satisfies_as_well(world: World) -> None:
    """The output is equal, the generation stays, and yet the hour was looked at again."""
    world.deliver([value := world.event(0)])
    world.publish(hour(0), run="run-1")
    world.deliver([value])
    state = after(world)
    assert sorted(state.waiting) == [hour(0)]
    world.publish(hour(0), run="run-2")
    assert after(world, state).waiting == {}


def test_a_late_event_of_another_hour_leaves_this_one_alone(world: World) -> None:
    world.deliver([world.event(0)])
    world.publish(hour(0))
    world.deliver([world.event(-HOUR_MS)])
    assert sorted(after(world).waiting) == [hour(-1)]


def test_an_open_hour_waits_for_its_end(world: World) -> None:
    world.deliver([world.event(0)])
    world.clock.ms = START + 10 * MINUTE
    world.publish(hour(0), open_hour=True)
    assert sorted(after(world).waiting) == [hour(0)]


def test_the_hour_behind_a_changed_carry_waits(world: World) -> None:
    """The run that changed it ended before it reached the next hour."""
    world.deliver([world.event(50 * MINUTE), world.event(70 * MINUTE)])
    world.clock.ms = START + HOUR_MS + 2 * MINUTE
    world.publish(hour(0), run="run-1")
    world.clock.ms = START + 2 * HOUR_MS + 2 * MINUTE
    world.publish(hour(1), run="run-2")
    assert after(world).waiting == {}
    world.deliver([world.event(45 * MINUTE)])
    state = after(world)
    world.clock.ms = START + HOUR_MS + 2 * MINUTE  # so that the next hour is not over and does not follow
    world.publish(hour(0), run="run-3")
    state = after(world, state)
    assert sorted(state.waiting) == [hour(1)]
    assert state.waiting[hour(1)].carry
    world.clock.ms = START + 3 * HOUR_MS
    world.publish(hour(1), run="run-4")
    assert after(world, state).waiting == {}


def test_open_visits_make_the_next_hour_wait_without_any_event(world: World) -> None:
    world.deliver([world.event(50 * MINUTE)])
    state = after(world)
    world.clock.ms = START + HOUR_MS + 2 * MINUTE
    world.publish(hour(0))
    assert sorted(after(world, state).waiting) == [hour(1)]


def test_the_cursor_does_not_pass_a_gap_in_the_receipts(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[:3])
    world.store(offsets[6:])
    state = after(world)
    assert state.at["events/00000"] == 3
    world.store(offsets[3:6])
    assert after(world, state).at["events/00000"] == 10


def test_the_cursor_passes_a_hole_on_record(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(5)])
    world.store(offsets[:1])
    world.store(offsets[3:])
    assert after(world).at["events/00000"] == 1
    world.log.expire(LIVE, 3)
    found = archive_range(world.place, [hour(0)], "run")
    assert [(hole.start, hole.end) for hole in found.proof.holes] == [(1, 3)]
    assert after(world).at["events/00000"] == 5


def test_a_redelivery_that_reaches_over_what_was_read_is_seen(world: World) -> None:
    offsets = world.produce(
        [world.event(0), world.event(1), world.event(2 * HOUR_MS), world.event(3 * HOUR_MS)]
    )
    world.store(offsets[:2])
    state = after(world)
    assert state.at["events/00000"] == 2
    world.store(offsets[1:3])
    world.store(offsets[3:])
    state = after(world, state)
    assert state.at["events/00000"] == 4
    assert hour(2) in state.waiting


def test_work_begins_when_no_more_receipts_come(world: World) -> None:
    world.deliver([world.event(0)])
    state = after(world)
    now = world.clock.now_ms()
    assert due(state, PATIENCE, now_ms=now + PATIENCE.quiet_ms - 1, not_before=hour_end_ms) == []
    assert due(state, PATIENCE, now_ms=now + PATIENCE.quiet_ms, not_before=hour_end_ms) == [hour(0)]


def test_hours_of_an_import_wait_for_all_of_it(world: World) -> None:
    world.deliver([world.event(0)], BULK)
    world.clock.ms += 3 * MINUTE
    world.deliver([world.event(HOUR_MS)], BULK)
    state, now = after(world), world.clock.now_ms()
    quiet = now + PATIENCE.import_quiet_ms
    assert due(state, PATIENCE, now_ms=quiet - 1, not_before=hour_end_ms) == []
    assert due(state, PATIENCE, now_ms=quiet, not_before=hour_end_ms) == [hour(0), hour(1)]


def test_an_open_hour_without_any_event_is_closed_too(world: World) -> None:
    world.clock.ms = START + 10 * MINUTE
    world.publish(hour(0), run="run-1", open_hour=True)
    assert sorted(after(world).waiting) == [hour(0)]
    world.clock.ms = START + 2 * HOUR_MS
    world.publish(hour(0), run="run-2")
    assert after(world).waiting == {}


def test_live_events_cannot_postpone_their_hour_for_ever_but_an_import_is_waited_for(world: World) -> None:
    for source in (LIVE, BULK):
        for _ in range(12):
            world.clock.ms += MINUTE
            world.deliver([world.event(0 if source == LIVE else HOUR_MS)], source)
    state = after(world)
    now = world.clock.now_ms()
    assert now - state.waiting[hour(0)].since_ms > PATIENCE.longest_ms
    assert due(state, PATIENCE, now_ms=now, not_before=hour_end_ms) == [hour(0)]


def test_an_hour_is_not_due_before_it_may_be(world: World) -> None:
    world.deliver([world.event(0)])
    late = world.clock.now_ms() + PATIENCE.quiet_ms
    assert due(after(world), PATIENCE, now_ms=late, not_before=lambda name: late + 1) == []


def test_receipts_of_poison_alone_expect_nothing(world: World) -> None:
    offsets = world.produce([b"no event"])
    batch = world.place.raw.prepare([b"no event"], positions(*LIVE, offsets), START)
    world.place.raw.write(batch, world.place.quarantine)
    state = after(world)
    assert state.waiting == {}
    assert state.at["events/00000"] == 1
