"""What 202 promises: kill -9 on either side, Kafka away, a full spool; what is acknowledged is not lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.edge_processes import Edge
from tests.stack import TestStack
from tests.waiting import eventually

NOBODY = "127.0.0.1:9"


@pytest.fixture
def edge(stack_parts: TestStack, tmp_path: Path) -> Iterator[Edge]:
    stack_parts.need("kafka", "dynamodb")
    made = Edge(stack_parts.settings, tmp_path)
    try:
        yield made
    finally:
        made.stop()


class Senders:
    """Threads that send one event after the other and remember what was acknowledged."""

    def __init__(self, edge: Edge, name: str, count: int = 4) -> None:
        self._edge = edge
        self._name = name
        self._stop = threading.Event()
        self.acknowledged: set[str] = set()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, thread: int) -> None:
        number = 0
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._stop.is_set():
                number += 1
                event_id = f"{self._name}-{thread}-{number}"
                try:
                    answer = client.post(self._edge.url + "/v1/events", json=self._edge.event(event_id))
                except httpx.TransportError:
                    self._stop.wait(0.05)
                    continue
                if answer.status_code == 202:
                    self.acknowledged.add(event_id)


def check_all_arrived(edge: Edge, acknowledged: set[str]) -> None:
    """Every acknowledged event is in Kafka, and no spool has a gap."""
    assert acknowledged
    eventually(
        lambda: acknowledged <= {e["id"] for e in edge.arrived()}, "every acknowledged event is in Kafka"
    )
    events = edge.arrived()
    for spool in {e["spool"] for e in events}:
        numbers = {e["seq"] for e in events if e["spool"] == spool}
        assert numbers == set(range(1, len(numbers) + 1))


@pytest.mark.parametrize("fsync", ["none", "group"])
def test_a_killed_ingest_has_lost_nothing_it_acknowledged(edge: Edge, fsync: str) -> None:
    edge.ship()
    ingest = edge.ingest(spool_fsync=fsync)
    senders = Senders(edge, "kill")
    eventually(lambda: len(senders.acknowledged) > 200, "200 events are acknowledged")
    edge.kill(ingest)
    edge.ingest(spool_fsync=fsync)
    before = len(senders.acknowledged)
    eventually(lambda: len(senders.acknowledged) > before + 200, "the new ingest acknowledges")
    senders.stop()
    check_all_arrived(edge, senders.acknowledged)
    eventually(lambda: len(edge.spools()) == 1, "the dead spool is taken over and removed")


def test_a_killed_shipper_skips_nothing(edge: Edge) -> None:
    edge.ingest()
    shipper = edge.ship()
    senders = Senders(edge, "ship")
    for round_ in range(1, 4):
        eventually(lambda n=round_: len(senders.acknowledged) > n * 150, "events are acknowledged")  # type: ignore[misc]
        edge.kill(shipper)
        shipper = edge.ship()
    senders.stop()
    check_all_arrived(edge, senders.acknowledged)


def test_kafka_away_fills_the_spool_then_refuses_then_loses_nothing(edge: Edge) -> None:
    edge.ingest(spool_max_bytes=200_000)
    shipper = edge.ship(kafka=NOBODY)
    acknowledged: set[str] = set()
    refused: httpx.Response | None = None
    for number in range(100):
        batch = [edge.event(f"away-{number}-{n}") for n in range(20)]
        answer = edge.post(batch)
        if answer.status_code != 202:
            refused = answer
            break
        acknowledged.update(event["id"] for event in batch)
    assert refused is not None
    assert (refused.status_code, refused.headers["Recount-Drop"]) == (503, "spool_full")
    assert int(refused.headers["Retry-After"]) > 0
    address = {"site": edge.site, "url": "https://shop.example/" + "x/" * 700}
    pixels = [edge.http.get(edge.url + "/p.gif", params=address) for _ in range(10)]
    assert {pixel.status_code for pixel in pixels} == {200}
    assert pixels[-1].headers["Recount-Drop"] == "spool_full"
    eventually(lambda: edge.http.get(edge.shipper_url + "/readyz").status_code == 503, "the shipper says so")
    assert edge.spools()[0]["oldest_unshipped_ms"] is not None

    edge.kill(shipper)
    edge.ship()
    check_all_arrived(edge, acknowledged)
    eventually(lambda: edge.post(edge.event("back")).status_code == 202, "the door takes events again")
    check_all_arrived(edge, acknowledged | {"back"})


def test_everything_dead_at_once_is_replayed(edge: Edge) -> None:
    ingest = edge.ingest()
    shipper = edge.ship(kafka=NOBODY)
    ids = {f"dead-{n}" for n in range(300)}
    for event_id in sorted(ids):
        assert edge.post(edge.event(event_id)).status_code == 202
    edge.kill(shipper)
    edge.kill(ingest)
    edge.ship()
    check_all_arrived(edge, ids)
    eventually(lambda: edge.spools() == [], "the dead spool is removed")
