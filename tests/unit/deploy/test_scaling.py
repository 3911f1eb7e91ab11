"""Scaling without a supervisor: what is stopped, when, and what is said meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest

from deploy.local.control import Control, NotRunning
from deploy.local.layout import Layout, Manifest
from deploy.local.scaling import SILENT_MAX_S, Scaler
from recount.drains import Drains
from recount.settings import Settings

SPOOL: dict[str, object] = {
    "last_seq": 7,
    "shipped_seq": 7,
    "waiting_bytes": 0,
    "quiet_s": 60.0,
    "left_s": 60.0,
}


@dataclass
class World:
    """A supervisor that does as it is told, and instances that say of their spools what a test wants."""

    folder: Path
    count: dict[str, int] = field(default_factory=lambda: {"ingest": 1, "live": 1})
    running: bool = True
    spools: dict[int, dict[str, object]] = field(default_factory=dict)
    kafka_away: bool = False
    unready: set[int] = field(default_factory=set)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.settings = Settings(state=self.folder)
        self.layout = Layout.of(self.settings)
        self.layout.make()
        self.drains = Drains(self.settings.drains_root)

    def instances(self, part: str) -> int:
        return self.count[part]

    def scale(self, part: str, instances: int) -> None:
        self.count[part] = instances

    def active(self, part: str) -> bool:
        return self.running

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == self.settings.shipper_port:
            return httpx.Response(503 if self.kafka_away else 200)
        if request.url.port not in self.spools:
            raise httpx.ConnectError("nobody")
        if request.url.path == "/readyz":
            return httpx.Response(503 if request.url.port in self.unready else 200)
        return httpx.Response(200, json=self.spools[request.url.port])

    @property
    def draining(self) -> list[int]:
        return [n for n in range(1, 6) if self.drains.asked(f"ingest-{self.settings.ingest_port + n - 1}")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    Manifest(made.settings.to_env()).save(made.layout)
    return made


@pytest.fixture
def scaler(world: World) -> Scaler:
    transport = httpx.MockTransport(world.answer)
    return Scaler(
        world.layout,
        cast(Control, world),
        world.settings,
        clock=lambda: world.now,
        transport=transport,
    )


def three_of_which_two_go(world: World, scaler: Scaler, **state: object) -> None:
    world.count["ingest"] = 3
    world.spools = {world.settings.ingest_port + n: SPOOL | state for n in range(3)}
    scaler.ask("ingest", 1)


def test_more_are_started_at_once(world: World, scaler: Scaler) -> None:
    scaler.ask("ingest", 4)
    assert scaler.step("ingest").done
    assert (world.count["ingest"], scaler.wanted("ingest")) == (4, 4)


def test_drained_instances_go_one_by_one_from_the_highest(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler)
    first = scaler.step("ingest")
    assert (first.running, first.done, world.count["ingest"], world.draining) == (2, False, 2, [2])
    assert scaler.step("ingest").done
    assert (world.count["ingest"], world.draining) == (1, [])


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"left_s": None}, "leaves the directory"),
        ({"left_s": 0.5}, "serves what still comes"),
        ({"quiet_s": 0.1}, "serves what still comes"),
        ({"shipped_seq": 3}, "drains, 4 events wait for the shipper"),
        ({"waiting_bytes": 9}, "drains, 0 events wait for the shipper"),
    ],
)
def test_an_instance_stays_until_it_is_drained(
    world: World, scaler: Scaler, state: dict[str, object], said: str
) -> None:
    three_of_which_two_go(world, scaler, **state)
    scaling = scaler.step("ingest")
    assert (world.count["ingest"], world.draining) == (3, [2, 3])
    assert said in str(scaling)
    assert str(scaling).startswith("ingest: 3 instances, 1 wanted; ingest-8082 ")


def test_nobody_leaves_before_the_others_can_serve(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler)
    world.unready = {world.settings.ingest_port}
    assert "ingest-8080 is not ready to serve alone" in str(scaler.step("ingest"))
    assert (world.count["ingest"], world.draining) == (3, [])
    world.unready = set()
    scaler.step("ingest")
    assert world.draining == [2]


def test_it_waits_for_kafka_and_says_so(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler, last_seq=3207)
    world.kafka_away = True
    for _ in range(100):
        world.now += 60
        assert "ingest-8082 drains, 3,200 events wait for Kafka" in str(scaler.step("ingest"))
    assert world.count["ingest"] == 3


def test_asking_for_more_again_cancels_the_drain(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler, left_s=None)
    scaler.step("ingest")
    scaler.ask("ingest", 2)
    scaler.step("ingest")
    assert world.draining == [3]
    scaler.ask("ingest", 3)
    assert scaler.step("ingest").done
    assert (world.draining, world.count["ingest"]) == ([], 3)


def test_another_scaler_goes_on_with_the_drain(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler, left_s=None)
    scaler.step("ingest")
    world.spools = dict.fromkeys(world.spools, SPOOL)
    transport = httpx.MockTransport(world.answer)
    other = Scaler(world.layout, cast(Control, world), world.settings, transport=transport)
    other.step("ingest")
    assert other.step("ingest").done
    assert world.count["ingest"] == 1


def test_who_is_silent_for_long_is_stopped(world: World, scaler: Scaler) -> None:
    three_of_which_two_go(world, scaler)
    del world.spools[world.settings.ingest_port + 2]
    assert "ingest-8082 does not answer" in str(scaler.step("ingest"))
    world.now += SILENT_MAX_S - 1
    assert not scaler.step("ingest").done
    assert world.count["ingest"] == 3
    world.now += 1
    scaler.step("ingest")
    assert world.count["ingest"] == 2


def test_other_parts_have_nothing_to_drain(world: World, scaler: Scaler) -> None:
    world.count["live"] = 3
    scaler.ask("live", 1)
    assert not scaler.step("live").done
    assert scaler.step("live").done
    assert world.count["live"] == 1


def test_a_part_that_does_not_run_is_only_set(world: World, scaler: Scaler) -> None:
    world.running = False
    three_of_which_two_go(world, scaler, left_s=None)
    scaler.step("ingest")
    assert scaler.step("ingest").done
    assert world.draining == []


def test_without_a_stack_there_is_nothing_to_scale(world: World, scaler: Scaler) -> None:
    world.layout.manifest.unlink()
    with pytest.raises(NotRunning):
        scaler.ask("ingest", 2)
