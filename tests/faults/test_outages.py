"""Kafka and DynamoDB away for a while: the door goes on as far as it promised, and nothing is dropped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from cli.dagster_client import DagsterClient
from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from orchestration.jobs import PUBLISH_OPEN_JOB
from orchestration.partitions import range_tags
from recount.store.manifests import Manifests
from recount.store.tables import open_tables
from tests.faults.room import Room
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600)]
SMALL_SPOOL_BYTES = 256 * 1024


def test_kafka_frozen_then_killed_under_load(room: Room) -> None:
    with room.load("kafka-killed") as load:
        load.wait_for(300)
        for pid in room.pids("kafka"):
            os.kill(pid, signal.SIGSTOP)
        load.wait_for(1000)  # acknowledged while Kafka takes nothing
        room.kill("kafka")
        load.wait_for(600)
        room.wait_until_healthy(["kafka"])
        load.wait_for(300)
    assert not load.refusals
    assert load.acknowledged == load.sent
    room.check(load)


def test_a_full_spool_refuses_and_the_rest_is_counted_once_kafka_is_back(room: Room) -> None:
    with small_ingest(room) as url:
        with room.load("kafka-away", url) as load:
            load.wait_for(100)
            room.stop("kafka")
            eventually(lambda: load.refusals, "the spool full")
            answer = full(url, load.site)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Recount-Drop"] == "spool_full"
            assert answer.json()["accepted"] == 0
            before = len(load.acknowledged)
            room.start("kafka")
            eventually(lambda: len(load.acknowledged) > before + 100, "the door open again")
        assert set(load.refusals) == {"503 spool_full"}
        assert load.acknowledged == load.sent
        room.check(load)


def test_dynamodb_away_under_load(room: Room) -> None:
    manifests = Manifests(open_tables(room.settings).manifests)
    dagster = DagsterClient(room.stack.urls["dagster"])
    with room.load("dynamodb-away") as load:
        load.wait_for(300)
        root = manifests.current()
        room.stop("dynamodb")
        load.wait_for(1000)  # sites and salts are known to the door
        run = dagster.launch(PUBLISH_OPEN_JOB, range_tags((room.hours()[-1], room.hours()[-1])))
        eventually(lambda: dagster.state(run).is_over, "the run over")
        assert dagster.state(run).status == "FAILURE"
        room.start("dynamodb")
        assert manifests.current() == root
        load.wait_for(300)
    assert not load.refusals
    assert load.acknowledged == load.sent
    room.check(load)


@contextmanager
def small_ingest(room: Room) -> Iterator[str]:
    """A second door with a small spool, on the same spool folder, so that the stack's shipper empties it."""
    port = free_port()
    env = {**os.environ, **room.stack.manifest.env, "PYTHONPATH": os.pathsep.join(python_path())}
    env |= {"RECOUNT_INGEST_PORT": str(port), "RECOUNT_SPOOL_MAX_BYTES": str(SMALL_SPOOL_BYTES)}
    process = subprocess.Popen([sys.executable, "-m", "edge.ingest"], env=env, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _ready(url), "the small ingest ready")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def full(url: str, site: str) -> httpx.Response:
    event = {"site": site, "url": "https://faults.example/" + "x" * 1900, "id": "refused"}
    return httpx.post(url + "/v1/events", json=[event] * 500, trust_env=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
