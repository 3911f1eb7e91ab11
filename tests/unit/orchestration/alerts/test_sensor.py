"""The sensor as Dagster's daemon asks it: told once over restarts, failed runs, receivers that fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from orchestration.alerts.sensor import alerts_sensor
from orchestration.partitions import range_tags
from tests.receiving import Received, http_receiver
from tests.unit.orchestration.alerts.test_look import FakeGroups, FakeReaders, lag
from tests.unit.orchestration.world import World, hour


@pytest.fixture
def hook() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@pytest.fixture
def slack() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Daemon:
    """Asks the sensor; keeps only the cursor from one tick to the next."""

    def __init__(self, world: World, instance: dg.DagsterInstance, hook: Received, slack: Received) -> None:
        settings = replace(
            world.place.settings, alert_webhook=hook.address, alert_slack=slack.address, alert_settle_s=60
        )
        self.place = replace(world.place, settings=settings)
        self.groups = FakeGroups()
        self.place.__dict__.update(groups=self.groups, readers=FakeReaders())
        self.world, self.instance, self.cursor = world, instance, ""

    def tick(self, wait_ms: int = 30_000) -> str:
        """What it says of itself."""
        self.world.clock.ms += wait_ms
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result: Any = alerts_sensor(self.place.settings)(context, workplace=self.place)
        self.cursor = result.cursor
        return str(result.skip_reason.skip_message)


@pytest.fixture
def daemon(world: World, instance: dg.DagsterInstance, hook: Received, slack: Received) -> Daemon:
    return Daemon(world, instance, hook, slack)


def test_lag_is_told_once_and_over_once(daemon: Daemon, hook: Received, slack: Received) -> None:
    assert daemon.tick() == "nothing is wrong"
    daemon.groups.found = [lag(60_000, 61)]
    assert daemon.tick() == "g is behind"
    daemon.tick()
    daemon.groups.found = []
    daemon.tick()
    daemon.tick()
    daemon.tick()
    assert [(b["incident"], b["state"]) for b in hook.bodies] == [("lag/g", "open"), ("lag/g", "over")]
    assert len(slack.bodies) == 2


def test_a_receiver_that_fails_is_told_later(daemon: Daemon, hook: Received, slack: Received) -> None:
    hook.answers = [500, 503]
    daemon.groups.found = [lag(60_000, 61)]
    daemon.tick()
    assert (len(hook.bodies), len(slack.bodies)) == (0, 1)
    daemon.tick()
    daemon.tick()
    daemon.tick()
    assert (len(hook.bodies), len(slack.bodies)) == (1, 1)


def run_of(daemon: Daemon, job: str, tags: dict[str, str], *, fails: str = "") -> str:
    @dg.op
    def work() -> None:
        if fails:
            raise ValueError(fails)

    made = dg.GraphDefinition(name=job, node_defs=[work]).to_job()
    return made.execute_in_process(instance=daemon.instance, tags=tags, raise_on_error=False).run_id


def test_a_failed_run_is_told_until_a_later_one_covers_it(
    daemon: Daemon, hook: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    daemon.world.clock.ms = time.time_ns() // 1_000_000  # that of Dagster's own records
    daemon.tick(0)
    span = range_tags((hour(0), hour(2)))
    failed = run_of(daemon, "hour", span, fails="the disk is full")
    daemon.tick(0)
    daemon.tick(0)
    opened = next(body for body in hook.bodies if body["incident"].startswith("run/"))
    assert "the disk is full" in opened["what"]
    assert f"{hour(0)} to {hour(2)}" in opened["what"]
    assert opened["link"].endswith(f"/runs/{failed}")
    run_of(daemon, "hour", range_tags((hour(1), hour(2))))
    daemon.tick(61_000)
    assert [b["state"] for b in hook.bodies if b["incident"].startswith("run/")] == ["open"]
    run_of(daemon, "hour", range_tags((hour(0), hour(5))))
    daemon.tick(61_000)
    daemon.tick(61_000)
    assert [b["state"] for b in hook.bodies if b["incident"].startswith("run/")] == ["open", "over"]


def test_a_second_failure_of_the_same_hours_is_the_same_incident(daemon: Daemon, hook: Received) -> None:
    import time

    daemon.world.clock.ms = time.time_ns() // 1_000_000
    daemon.tick(0)
    for _ in range(2):
        run_of(daemon, "hour", range_tags((hour(0), hour(0))), fails="no")
        daemon.tick(0)
    assert len([b for b in hook.bodies if b["incident"].startswith("run/")]) == 1
