"""From the topic to what is shown, without Dagster: archive, fold, publish."""

from __future__ import annotations

import pytest

from orchestration.spools import SpoolReport
from orchestration.steps.archive_hour import Archiver
from orchestration.steps.archive_range import archive_range
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.errors import InvalidInput
from recount.periods import HOUR_MS, MINUTE_MS, hour_of
from recount.store.catalog import Site
from tests.unit.orchestration.world import ALL_INSIDE, BULK, LIVE, MONTH_OVER, START, World, hour

MINUTE = MINUTE_MS
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def test_what_was_delivered_is_what_is_shown(world: World) -> None:
    world.deliver([world.event(t * MINUTE, visitor=t % 5) for t in range(0, 180, 4)])
    found = world.publish(hour(0), hour(1), hour(2))
    assert found is not None
    shown = [world.total(f"hour/{hour(n)}") for n in range(3)]
    assert [s["pageviews"] for s in shown] == [15, 15, 15]
    assert world.total("day/2026-09-21")["pageviews"] == 45
    assert found.moved("day") == ["2026-09-21"]
    assert found.moved("month") == [], "the month still runs: its days answer for it"


def test_a_month_is_made_once_it_is_over(world: World) -> None:
    world.deliver([world.event(t * MINUTE, visitor=t % 5) for t in range(0, 120, 4)])
    world.publish(hour(0), hour(1))
    for clock_ms, months in ((MONTH_OVER - HOUR_MS, []), (MONTH_OVER, ["2026-09"])):
        before_ms = clock_ms - HOUR_MS
        world.clock.ms = clock_ms
        world.deliver([world.event(before_ms - START)])
        found = world.publish(hour_of(before_ms))
        assert found is not None
        assert found.moved("month") == months, "though nothing that is published now lies in it"
    assert world.total("month/2026-09")["visitor_count"] == 5


def test_a_visit_over_two_hours_is_one_visit(world: World) -> None:
    world.deliver([world.event(50 * MINUTE), world.event(70 * MINUTE)])
    world.publish(hour(0), hour(1))
    assert world.total(f"hour/{hour(0)}")["visits"] == 1
    assert world.total(f"hour/{hour(1)}") == {
        **{"visits": 0, "pageviews": 1, "ended_visits": 1, "accepted": 1, "visitor_count": 1}
    }
    assert world.total("day/2026-09-21")["visits"] == 1


def test_a_delivery_twice_is_shown_once(world: World) -> None:
    world.deliver([value := world.event(0), value, world.event(1, id="e1", spool="other")])
    world.publish(hour(0))
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 1


def test_publishing_again_moves_nothing(world: World) -> None:
    world.deliver([world.event(t * MINUTE, visitor=t) for t in range(0, 120, 7)])
    world.publish(hour(0), hour(1), run="run-1")
    before = world.entry(hour(0))
    found = world.publish(hour(0), hour(1), run="run-2")
    assert found is not None
    assert found.publication.moved == {}
    after = world.entry(hour(0))
    assert before is not None
    assert after is not None
    assert after.default == before.default
    assert after.confirmed > before.confirmed


def test_a_late_event_is_shown_after_its_hour_was_published_again(world: World) -> None:
    world.deliver([world.event(50 * MINUTE), world.event(70 * MINUTE)])
    world.publish(hour(0), hour(1), run="run-1")
    world.deliver([world.event(30 * MINUTE)])
    found = world.publish(hour(0), run="run-2")
    assert found is not None
    assert found.moved("hour") == [hour(0), hour(1)], "the visit began earlier, so the next hour follows"
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 2
    assert world.total("day/2026-09-21")["visits"] == 1


def test_bots_are_counted_as_such_and_balance(world: World) -> None:
    world.deliver([world.event(0), world.event(5, visitor=2, ua=CRAWLER)])
    world.publish(hour(0))
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 1
    entry = world.entry(hour(0))
    assert entry is not None
    info = world.place.candidates.info("hour", hour(0), entry.confirmed)
    assert info is not None
    line = {"accepted": 2, "counted": 1, "bot": 1, "excluded": 0, "duplicate": 0}
    assert info.ledger == {"demo": line | ALL_INSIDE}


def test_a_site_that_left_the_catalog_keeps_its_history(world: World) -> None:
    world.deliver([world.event(0, site="gone")])
    world.publish(hour(0))
    assert world.total(f"hour/{hour(0)}", "gone")["pageviews"] == 1


def test_days_are_those_of_the_site(world: World) -> None:
    world.place.catalog.add(Site(id="tokyo", domain="tokyo.example", timezone="Asia/Tokyo"))
    world.deliver([world.event(0, site="tokyo"), world.event(1)])
    found = world.publish(hour(0))
    assert found is not None
    assert found.moved("day") == ["2026-09-21", "2026-09-22"]
    assert world.total("day/2026-09-22", "tokyo")["pageviews"] == 1


def test_a_running_hour_is_shown_as_open_and_later_as_closed(world: World) -> None:
    world.deliver([world.event(5 * MINUTE)])
    world.clock.ms = START + 10 * MINUTE
    world.publish(hour(0), run="run-1", open_hour=True)
    entry = world.entry(hour(0))
    assert entry is not None
    assert entry.open_until == world.clock.ms
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 1
    world.deliver([world.event(20 * MINUTE)])
    world.clock.ms = START + HOUR_MS + 3 * MINUTE
    world.publish(hour(0), run="run-2")
    entry = world.entry(hour(0))
    assert entry is not None
    assert entry.open_until is None
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 2


def test_a_running_hour_waits_for_what_the_spools_took_until_now(world: World) -> None:
    world.clock.ms = START + 10 * MINUTE
    world.spools.answers = [[SpoolReport("a", 1, START + 9 * MINUTE)], [SpoolReport("a", 2)]]
    assert archive_range(world.place, [hour(0)], "run", open_hour=True).cut.waited_ms == 500


def test_an_hour_that_is_not_over_is_refused(world: World) -> None:
    world.clock.ms = START + 10 * MINUTE
    with pytest.raises(InvalidInput, match="not over yet"):
        archive_range(world.place, [hour(0)], "run")
    with pytest.raises(InvalidInput, match="not over yet"):
        archive_range(world.place, [hour(1)], "run", open_hour=True)


def test_the_rest_of_the_grace_is_waited_for(world: World) -> None:
    world.clock.ms = START + HOUR_MS + 20_000
    archive_range(world.place, [hour(0)], "run")
    assert world.clock.slept == [40.0]


def test_a_raw_item_that_is_lost_is_noticed(world: World) -> None:
    world.deliver([world.event(t) for t in range(4)])
    item = next(i for i in world.place.tables.raw.scan() if not i["pk"].startswith(("receipt", "layout")))
    world.place.tables.raw.delete((item["pk"], item["sk"]))
    found = archive_range(world.place, [hour(0)], "run")
    assert found.proof.complete
    assert found.lost == {hour(0): (4, 0)}


def test_a_candidate_of_an_older_archive_is_passed_over(world: World) -> None:
    """Two runs work on one hour; the one that archived first folds and publishes last."""
    world.deliver([world.event(0)])
    slow = [a.info for a in archive_range(world.place, [hour(0)], "slow").hours.values()]
    world.deliver([world.event(1)])
    world.publish(hour(0), run="fast")
    rollup_range(world.place, slow[:1], "slow", reason="test")
    assert publish_range(world.place, [hour(0)], "slow", reason="test") is None
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 2


def test_an_archive_with_an_earlier_cut_is_passed_over_though_it_was_sealed_last(world: World) -> None:
    world.deliver([world.event(0)])
    early, late = world.cut(), world.deliver([world.event(1)])
    slow = Archiver(
        world.place.raw,
        world.place.archive,
        early.offsets,
        slots=2,
        scratch=world.place.settings.state,
        run="slow",
    )
    slow.events(hour(0))  # it has read the archive, and what lies below its cut
    world.publish(hour(0), run="fast")
    sealed = slow.archive(hour(0), until_ms=START + HOUR_MS, now_ms=world.clock.ms).info
    rollup_range(world.place, [sealed], "slow", reason="test")
    assert publish_range(world.place, [hour(0)], "slow", reason="test") is None
    assert world.total(f"hour/{hour(0)}")["pageviews"] == 1 + len(late)


def test_many_hours_and_both_topics_at_once(world: World) -> None:
    for n in range(30):
        world.deliver(
            [world.event(n * HOUR_MS + t * MINUTE, visitor=t) for t in (1, 40)], (LIVE, BULK)[n % 2]
        )
    world.clock.ms = START + 40 * HOUR_MS
    world.publish(*[hour(n) for n in range(30)])
    days = [world.total(f"day/2026-09-{day}")["pageviews"] for day in (21, 22)]
    assert days == [18, 42]
