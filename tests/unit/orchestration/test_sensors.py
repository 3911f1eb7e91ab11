"""The sensors as Dagster's daemon asks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from orchestration import external
from orchestration.jobs import HOUR_JOB, hourly
from orchestration.partitions import PARTITION, range_tags
from orchestration.sensors import SCHEDULE_FIRST_MS, reconcile_sensor, topic_lag
from orchestration.steps import lag
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms
from recount.settings import Settings
from tests.unit.orchestration.world import BULK, LIVE, START, World, hour

reconcile = reconcile_sensor(Settings())


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def ask(
    sensor: Any, world: World, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    result = sensor(context, workplace=world.place)
    assert isinstance(result, dg.SensorResult)
    return result


def spans(result: dg.SensorResult) -> list[dict[str, str]]:
    return [dict(request.tags) for request in result.run_requests or []]


class TestReconcile:
    def test_says_that_all_is_published(self, world: World, instance: dg.DagsterInstance) -> None:
        result = ask(reconcile, world, instance)
        assert result.skip_reason is not None
        assert result.skip_reason.skip_message == "all is published"

    def test_neighbouring_hours_are_one_run(self, world: World, instance: dg.DagsterInstance) -> None:
        world.deliver([world.event(n * HOUR_MS) for n in (0, 1, 4, 30)], BULK)
        world.clock.ms = START + 40 * HOUR_MS
        result = ask(reconcile, world, instance)
        assert spans(result) == [range_tags((hour(0), hour(4))), range_tags((hour(30), hour(30)))]

    def test_the_same_need_has_the_same_key_for_a_while(
        self, world: World, instance: dg.DagsterInstance
    ) -> None:
        world.deliver([world.event(0)])
        world.clock.ms = START + 20 * HOUR_MS
        first = ask(reconcile, world, instance)
        world.clock.ms += MINUTE_MS
        again = ask(reconcile, world, instance, first.cursor)
        world.clock.ms += 10 * MINUTE_MS
        later = ask(reconcile, world, instance, first.cursor)
        keys = [[r.run_key for r in result.run_requests or []] for result in (first, again, later)]
        assert keys[0] == keys[1] != keys[2]

    def test_a_new_late_event_is_a_new_need(self, world: World, instance: dg.DagsterInstance) -> None:
        world.deliver([world.event(0)])
        world.clock.ms = START + 20 * HOUR_MS
        first = ask(reconcile, world, instance)
        world.deliver([world.event(1)])
        world.clock.ms += world.place.settings.late_quiet_s * 1000
        again = ask(reconcile, world, instance, first.cursor)
        assert (first.run_requests or [])[0].run_key != (again.run_requests or [])[0].run_key

    def test_the_schedule_has_the_first_word(self, world: World, instance: dg.DagsterInstance) -> None:
        world.clock.ms = START + HOUR_MS - 5 * MINUTE_MS
        world.deliver([world.event(0)])
        grace = world.place.settings.grace_s * 1000
        world.clock.ms = START + HOUR_MS + grace + SCHEDULE_FIRST_MS - 1
        first = ask(reconcile, world, instance)
        assert first.skip_reason is not None
        assert first.skip_reason.skip_message == "1 hours wait, 0 of them are due"
        world.clock.ms += 1
        assert spans(ask(reconcile, world, instance, first.cursor)) == [range_tags((hour(0), hour(0)))]

    def test_hours_of_a_run_under_way_are_left_to_it(self, world: World) -> None:
        world.deliver([world.event(n * HOUR_MS) for n in range(10)])
        world.clock.ms = START + 20 * HOUR_MS
        with dg.DagsterInstance.ephemeral() as busy:
            for tags in (range_tags((hour(0), hour(3))), {PARTITION: hour(8)}, {PARTITION: "2026-09-21"}):
                busy.create_run_for_job(
                    dg.job(name=HOUR_JOB)(lambda: None), status=dg.DagsterRunStatus.STARTED, tags=tags
                )
            assert spans(ask(reconcile, world, busy)) == [range_tags((hour(5), hour(7)))]

    def test_hours_without_a_partition_do_not_stop_the_others(
        self, world: World, instance: dg.DagsterInstance
    ) -> None:
        before_all = hour_start_ms("2014-12-31T23") - START
        world.deliver([world.event(before_all), world.event(0)])
        world.clock.ms = START + 20 * HOUR_MS
        assert spans(ask(reconcile, world, instance)) == [range_tags((hour(0), hour(0)))]

    def test_an_outage_keeps_the_cursor(self, world: World, instance: dg.DagsterInstance) -> None:
        world.log.away = True
        result = ask(reconcile, world, instance, '{"at":{},"waiting":{}}')
        assert result.cursor is None, "Dagster keeps the old one"
        assert result.skip_reason is not None
        assert "unavailable" in (result.skip_reason.skip_message or "")


class TestTopicLag:
    def test_tells_where_the_topics_end(self, world: World, instance: dg.DagsterInstance) -> None:
        world.deliver([world.event(0), world.event(1)])
        world.produce([world.event(2)])
        events = ask(topic_lag, world, instance).asset_events
        first = events[0]
        assert isinstance(first, dg.AssetObservation)
        assert first.asset_key == external.EVENTS
        assert first.metadata["records"].value == 3
        assert first.metadata["not_yet_stored"].value == 1
        check = events[1]
        assert isinstance(check, dg.AssetCheckEvaluation)
        assert check.passed

    def test_warns_when_storing_falls_behind(
        self, world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orchestration.sensors.LAG_MAX_RECORDS", 3)
        world.produce([world.event(n) for n in range(4)])
        checks = [
            e for e in ask(topic_lag, world, instance).asset_events if isinstance(e, dg.AssetCheckEvaluation)
        ]
        assert [check.passed for check in checks] == [False, True]

    def test_does_not_repeat_itself(self, world: World, instance: dg.DagsterInstance) -> None:
        world.deliver([world.event(0)])
        first = ask(topic_lag, world, instance)
        assert ask(topic_lag, world, instance, first.cursor).asset_events == []
        world.deliver([world.event(1)])
        assert ask(topic_lag, world, instance, first.cursor).asset_events == []
        world.clock.ms += 5 * MINUTE_MS
        assert ask(topic_lag, world, instance, first.cursor).asset_events != []

    def test_an_outage_is_said(self, world: World, instance: dg.DagsterInstance) -> None:
        world.log.away = True
        assert ask(topic_lag, world, instance).skip_reason is not None


def test_lag_counts_what_no_receipt_covers(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[2:5])
    found = {each.source: each.unstored for each in lag.lags(world.log, world.place.raw, world.place.proven)}
    assert found == {LIVE: 7, BULK: 0}


def test_the_schedule_asks_for_the_hour_that_has_ended() -> None:
    when = dg.build_schedule_context(scheduled_execution_time=_utc("2026-03-01T00:01:00+00:00"))
    request = hourly(when)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2026-02-28T23"
    assert dict(request.tags) == range_tags(("2026-02-28T23", "2026-02-28T23"))


def _utc(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)
