"""The live service as processes on a real Kafka: rebuilt after a kill, shared by instances, streamed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.layout import ROOT
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from recount.event import encode
from recount.ids import new_id
from recount.kafka import EVENTS, ensure_topics, producer
from recount.keys import kafka_partition
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import ensure_tables, open_tables
from tests.made import event
from tests.stack import TestStack
from tests.unit.streaming.stage import CHROME

DEADLINE_S = 120
SITE = Site(id="live-small", domain="small.example")
WIDE = Site(id="live-wide", domain="wide.example", spread=6)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """The first answer as wanted; the last one when time is up."""
    deadline = time.monotonic() + DEADLINE_S
    answer = None
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except httpx.TransportError:
            answer = None
        if answer is not None and wanted(answer):
            return answer
        time.sleep(0.2)
    pytest.fail(f"not in time; last answer: {answer}")


class Fleet:
    """Instances of one live service."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> str:
        """Start an instance unless it runs, and wait until it has read what there is; its URL."""
        port = self.settings.live_port + number
        if number in self.processes:
            return f"http://127.0.0.1:{port}"
        env = os.environ | replace(self.settings, live_port=port).to_env()
        env["PYTHONPATH"] = os.pathsep.join(python_path())
        log = (self.folder / f"live-{port}.log").open("ab")
        self.processes[number] = subprocess.Popen(
            [sys.executable, "-m", "streaming.live"], cwd=ROOT, env=env, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: httpx.get(f"{url}/readyz"), lambda answer: bool(answer.status_code == 200))
        return url

    def end(self, number: int, how: signal.Signals) -> None:
        process = self.processes.pop(number)
        process.send_signal(how)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def settings(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    stack_parts.need("kafka", "dynamodb")
    shared = stack_parts.settings
    own = replace(  # a directory of its own too: the session's live instances read other tables
        free_settings(tmp_path_factory.mktemp("live")),
        kafka=shared.kafka,
        dynamodb=shared.dynamodb,
        table_prefix=f"live-{uuid.uuid4().hex[:12]}-",
    )
    ensure_tables(own)
    ensure_topics(own)
    catalog = Catalog(open_tables(own).catalog)
    for site in (SITE, WIDE):
        catalog.add(site)
    return own


@pytest.fixture(scope="module")
def fleet(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(settings, tmp_path_factory.mktemp("logs"))
    yield fleet
    for number in list(fleet.processes):
        fleet.end(number, signal.SIGTERM)


def send(settings: Settings, site: Site, visitors: range, **given: object) -> None:
    """One pageview of each visitor, now."""
    out = producer(settings)
    for visitor in visitors:
        moment = now_ms()
        fields = {"id": new_id(), "ts": moment, "received": moment, "url": f"https://{site.domain}/a"}
        who = {"site": site.id, "visitor": f"{visitor:016x}", "ua": CHROME, "network": "residential"}
        made = event(**who, **(fields | given))
        home = kafka_partition(site.id, visitor, spread=site.spread, partitions=settings.kafka_partitions)
        out.produce(EVENTS, encode(made), partition=home)
    assert out.flush(30) == 0


def totals(url: str, site: Site, query: str = "") -> Any:
    return httpx.get(f"{url}/v1/live/{site.id}{query}").json()["totals"]


def test_events_show_and_survive_a_kill(settings: Settings, fleet: Fleet) -> None:
    url = fleet.start(0)
    send(settings, SITE, range(5))
    eventually(lambda: totals(url, SITE), lambda t: bool(t["visitors"] == 5))
    fleet.end(0, signal.SIGKILL)
    send(settings, SITE, range(5, 7))
    url = fleet.start(0)
    assert totals(url, SITE)["visitors"] == 7
    assert totals(url, SITE)["pageviews"] == 7
    delivered_again = {"id": "the-same", "ts": now_ms()}
    for _ in range(3):
        send(settings, SITE, range(1), **delivered_again)
    send(settings, SITE, range(7, 8))
    after = eventually(lambda: totals(url, SITE), lambda t: bool(t["visitors"] == 8))
    assert after["pageviews"] == 9


def test_instances_share_the_partitions_and_answer_for_each_other(settings: Settings, fleet: Fleet) -> None:
    first = fleet.start(0)
    send(settings, WIDE, range(60))
    eventually(lambda: totals(first, WIDE), lambda t: bool(t["visitors"] == 60))
    second = fleet.start(1)
    own = eventually(
        lambda: [totals(url, WIDE, "?local=1")["visitors"] for url in (first, second)],
        lambda counts: bool(sum(counts) == 60 and min(counts) > 0),
    )
    assert sum(own) == 60
    for url in (first, second):
        asked = partial(httpx.get, f"{url}/v1/live/{WIDE.id}")
        answer = eventually(asked, lambda a: bool(a.json()["complete"])).json()
        assert answer["totals"]["visitors"] == 60
    fleet.end(1, signal.SIGTERM)
    eventually(lambda: totals(first, WIDE, "?local=1"), lambda t: bool(t["visitors"] == 60))


def test_a_stream_tells_what_changes(settings: Settings, fleet: Fleet) -> None:
    url = fleet.start(0)
    before = totals(url, SITE)["pageviews"]
    with httpx.stream("GET", f"{url}/v1/live/{SITE.id}/stream", timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert json.loads(next(lines).removeprefix("data: "))["totals"]["pageviews"] == before
        send(settings, SITE, range(100, 103))
        seen = [before]
        while seen[-1] < before + 3:
            line = next(lines)
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: "))["totals"]["pageviews"])
    assert seen[-1] == before + 3


def test_many_streams_leave_room_for_questions(settings: Settings, fleet: Fleet) -> None:
    url = fleet.start(0)

    def first_line(_: int) -> str:
        with httpx.stream("GET", f"{url}/v1/live/{SITE.id}/stream", timeout=60) as stream:
            line = next(stream.iter_lines())
            assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
            time.sleep(1)
            return str(line)

    with ThreadPoolExecutor(60) as pool:
        assert all(line.startswith("data: ") for line in pool.map(first_line, range(60)))
    gone = eventually(
        lambda: httpx.get(f"{url}/metrics").text, lambda text: "recount_live_streams 0.0" in str(text)
    )
    assert 'recount_live_lag_records{partition="0"}' in gone


def test_unknown_sites_are_not_streamed(fleet: Fleet) -> None:
    url = fleet.start(0)
    answer = httpx.get(f"{url}/v1/live/nowhere/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
