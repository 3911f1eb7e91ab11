"""Under constant load through the front: instances added, removed and killed, every event counted once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest

from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from tests.faults.edge_room import EdgeRoom
from tests.faults.steady import REQUESTS_PER_S, SteadyLoad
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(900)]
SECOND = REQUESTS_PER_S  # requests of a second of load


def test_scaling_up_and_down_fails_no_request(edge: EdgeRoom) -> None:
    with SteadyLoad(edge.front, edge.add_site("scaled")) as load:
        load.wait_for(2 * SECOND)
        edge.scale("ingest", 4)
        eventually(lambda: all(taken > 0 for taken in edge.taken(4)), "each of four takes events")
        load.wait_for(2 * SECOND)
        edge.scale("ingest", 1)
        load.wait_for(2 * SECOND)
    assert not load.failures, load.kinds
    assert load.acknowledged == load.sent
    assert len(edge.pids("ingest")) == 1
    edge.check(load)


def test_an_instance_waits_for_kafka_before_it_goes(edge: EdgeRoom) -> None:
    """Also when whoever asked for it is gone and the autoscaler is killed; asking for more again keeps it."""
    edge.scale("ingest", 2)
    kafka = edge.pids("kafka")
    with SteadyLoad(edge.front, edge.add_site("kafka-away")) as load:
        eventually(lambda: all(edge.taken(2)), "both take events")
        for pid in kafka:
            os.kill(pid, signal.SIGSTOP)
        try:
            pids = edge.pids("ingest")
            edge.stack.stack.scaler.ask("ingest", 1)
            eventually(lambda: "events wait for Kafka" in edge.waiting("ingest"), "it says what it waits for")
            edge.kill("autoscaler")
            edge.wait_until_healthy(["autoscaler"])
            eventually(lambda: "events wait for Kafka" in edge.waiting("ingest"), "the new one goes on")
            load.wait_for(3 * SECOND)
            assert edge.pids("ingest") == pids, "stopped before its spool was empty"
            edge.stack.stack.scaler.ask("ingest", 2)
            eventually(lambda: len(edge.present("ingest")) == 2, "asked for again, it is back")
            edge.stack.stack.scaler.ask("ingest", 1)
            eventually(lambda: "events wait for Kafka" in edge.waiting("ingest"), "it drains again")
        finally:
            for pid in kafka:
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: len(edge.pids("ingest")) == 1, "drained and stopped")
        load.wait_for(SECOND)
    assert not load.failures, load.kinds
    assert load.acknowledged == load.sent
    edge.check(load)


def test_one_of_three_ingests_killed(edge: EdgeRoom) -> None:
    """A client sees no answer or a 502 while the dead one is still routed to; sent again, it succeeds."""
    edge.scale("ingest", 3)
    with SteadyLoad(edge.front, edge.add_site("killed"), again=True) as load:
        eventually(lambda: all(edge.taken(3)), "each of three takes events")
        for _ in range(3):
            load.wait_for(SECOND)
            victim = max(edge.pids("ingest"))
            os.kill(victim, signal.SIGKILL)
            eventually(partial(is_gone, edge, victim), "it is gone")
            eventually(lambda: len(edge.present("ingest")) == 3, "its successor is in the directory")
        load.wait_for(2 * SECOND)
    assert load.acknowledged == load.sent
    edge.tell("ingest killed", load)
    edge.check(load)


def is_gone(edge: EdgeRoom, pid: int) -> bool:
    return pid not in edge.pids("ingest")


@contextmanager
def autoscaler(edge: EdgeRoom, **settings: object) -> Iterator[str]:
    """One more autoscaler with settings of its own; that of the stack decides nothing in these tests."""
    port = edge.settings.autoscaler_port + 1
    changes = {f"RECOUNT_{name.upper()}": str(value) for name, value in settings.items()}
    env = {**os.environ, **edge.stack.manifest.env, **changes, "RECOUNT_AUTOSCALER_PORT": str(port)}
    env["PYTHONPATH"] = os.pathsep.join(python_path())
    log = (edge.stack.folder / "own-autoscaler.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.autoscaler"], env=env, cwd=ROOT, stdout=log, stderr=log
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def decisions(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(url + "/v1/decisions", trust_env=False, timeout=30).json()
    return found


def reported(url: str) -> float:
    """What it says of the load on the ingest."""
    text = httpx.get(url + "/metrics", trust_env=False, timeout=30).text
    found = re.search(r'^recount_autoscale_load_per_second\{service="ingest"\} (\S+)$', text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_a_ramp_adds_instances_and_its_end_removes_them(edge: EdgeRoom) -> None:
    target = REQUESTS_PER_S // 5
    own = autoscaler(
        edge,
        autoscale="on",
        autoscale_interval_s=1,
        target_requests_per_s=target,
        ingest_max=3,
        live_max=1,
        scale_up_cooldown_s=2,
        scale_down_cooldown_s=10,
    )
    with SteadyLoad(edge.front, edge.add_site("ramp"), per_second=target / 2) as load, own as url:
        load.wait_for(target)
        assert edge.stack.stack.scaler.wanted("ingest") == 1
        for load.per_second in (target, 1.5 * target, 2 * target, 2.6 * target):
            load.wait_for(2 * target)
        eventually(lambda: len(edge.present("ingest")) == 3, "the ramp is met")
        said, answered = reported(url), load.measured(4.0)
        assert answered / 2 < said < answered * 2, "what it reports is what is sent"
        load.per_second = target / 10
        eventually(lambda: len(edge.pids("ingest")) == 1, "the end of the ramp is met")
        changes = [c for c in decisions(url)["changes"] if c["service"] == "ingest"]
    assert not load.failures, load.kinds
    *_, first = changes  # newest first; a dip of the load on the way up may have let one go
    last = changes[0]
    assert (first["instances"], last["wanted"]) == (1, 1)
    assert max(change["wanted"] for change in changes) == 3
    assert all(change["done"] for change in changes)
    for change in changes:
        up = change["wanted"] > change["instances"]
        assert f"target {target:,} each{': needs' if up else ', fits into'}" in change["reason"]
    log = (edge.stack.folder / "own-autoscaler.log").read_text()
    assert all(change["reason"] in log for change in changes), "its log says why"
    edge.check(load)
