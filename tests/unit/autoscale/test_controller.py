"""What becomes of decisions: carried out, only said, or not made at all; and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from edge.autoscale.app import create_app
from edge.autoscale.controller import Controller, Watched
from edge.autoscale.decide import Observation
from edge.autoscale.policy import Mode
from recount.errors import Unavailable
from recount.metrics import Metrics
from tests.unit.autoscale.test_decide import INGEST


@dataclass
class Hands:
    """An actuator of which a test can see what it was asked for."""

    count: int = 1
    fails: bool = False
    waits_for: str = ""
    asked: list[int] = field(default_factory=list)

    def current(self, service: str) -> int:
        if self.fails:
            raise Unavailable("supervisor", "no answer")
        return self.count

    def scale(self, service: str, instances: int) -> None:
        self.asked.append(instances)
        self.count = instances

    def advance(self, service: str) -> str:
        if self.fails:
            raise Unavailable("supervisor", "no answer")
        return self.waits_for


@dataclass
class World:
    """One service under control, with a load and a clock that a test sets."""

    mode: Mode = Mode.ON
    load: float | None = 100
    now: float = 0.0

    def __post_init__(self) -> None:
        self.hands, self.metrics = Hands(), Metrics()
        self.controller = Controller(
            [Watched(INGEST, self)],
            self.hands,
            self.metrics,
            self.mode,
            advanced=["dashboard"],
            clock=lambda: self.now,
        )

    def look(self, instances: int, now: float) -> Observation:
        return Observation(instances, now, self.load, missing="nobody says" if self.load is None else "")

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.controller.step()
            self.now += 5

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"service": "ingest"} | labels)


def test_a_ramp_goes_up_and_comes_down_after_the_pause_and_the_log_says_why() -> None:
    world = World()
    with capture_logs() as logs:
        for load in (100, 900, 1900, 3900, 3900, 3900, 3900):
            world.load = load
            world.steps(1)
        world.load = 10
        world.steps(62)
    assert world.hands.asked == [2, 4, 1]
    said = [(line["event"], line["wanted"], line["why"]) for line in logs if line["event"] == "scales"]
    assert [wanted for _, wanted, _ in said] == [2, 4, 1]
    assert said[0][2].startswith("1,900 requests/s on 1 instance, target 1,000 each: needs 2")
    assert world.sample("recount_autoscale_changes_total", direction="up", mode="on") == 2
    assert world.sample("recount_autoscale_changes_total", direction="down", mode="on") == 1
    assert world.sample("recount_autoscale_load_per_second") == 10


def test_a_dry_run_only_says() -> None:
    world = World(Mode.DRY_RUN, load=2900)
    with capture_logs() as logs:
        world.steps(7)
    assert world.hands.asked == []
    said = [line for line in logs if line["event"] == "would scale"]
    assert len(said) == 3, "once in every pause"
    assert {line["wanted"] for line in said} == {3}
    assert not any(change.done for change in world.controller.report()["changes"])


def test_off_decides_nothing_but_goes_on_with_what_was_asked_by_hand() -> None:
    world = World(Mode.OFF, load=9000)
    world.steps(3)
    assert world.controller.report()["now"] == {}
    world.hands.waits_for = "ingest: 2 instances, 1 wanted; ingest-8081 drains, 9 events wait for Kafka"
    with capture_logs() as logs:
        world.controller.advance()
        world.controller.advance()
    assert [line["state"] for line in logs] == [world.hands.waits_for] * 2, "once for each service"
    assert world.controller.report()["waiting"]["ingest"] == world.hands.waits_for
    world.hands.waits_for = ""
    world.controller.advance()
    assert world.controller.report()["waiting"] == {}


def test_without_hands_or_eyes_it_goes_on_trying() -> None:
    world = World(load=None)
    world.hands.fails = True
    world.steps(2)
    world.controller.advance()
    assert "supervisor is unavailable" in world.controller.report()["waiting"]["ingest"]
    world.hands.fails = False
    world.steps(1)
    assert world.sample("recount_autoscale_blind") == 1
    world.load = 2900
    world.steps(1)
    assert (world.hands.asked, world.sample("recount_autoscale_blind")) == ([3], 0)


@pytest.mark.parametrize("alive", [True, False])
def test_its_pages(alive: bool) -> None:
    world = World(load=2900)
    world.steps(1)
    http = create_app(world.controller, lambda: alive, world.metrics).test_client()
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == (200 if alive else 503)
    assert b"recount_autoscale_wanted_instances" in http.get("/metrics").data
    shown = http.get("/v1/decisions").get_json()
    assert shown["mode"] == "on"
    assert shown["now"]["ingest"]["wanted"] == 3
    assert [(c["instances"], c["wanted"], c["done"]) for c in shown["changes"]] == [(1, 3, True)]
    assert "needs 3" in shown["changes"][0]["reason"]
