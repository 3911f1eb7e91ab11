"""The door on real parts: granian, the spool, the shipper, Kafka, DynamoDB."""

from __future__ import annotations

import gzip
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import orjson
import pytest

from deploy.local.layout import ROOT
from edge.ingest import READING_MAX
from recount.discovery import FileDirectory
from recount.kafka import IMPORTS
from tests.integration.edge_processes import Edge
from tests.stack import TestStack
from tests.waiting import eventually


@pytest.fixture(scope="module")
def edge(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    stack_parts.need("kafka", "dynamodb")
    made = Edge(stack_parts.settings, tmp_path_factory.mktemp("edge"))
    try:
        made.ingest()
        made.ship()
        yield made
    finally:
        made.stop()


def arrived(edge: Edge, *ids: str, topic: str = "events") -> None:
    eventually(lambda: {e["id"] for e in edge.arrived(topic)} >= set(ids), f"{ids} in {topic}")


def test_events_reach_kafka_by_every_way_in(edge: Edge) -> None:
    packed = gzip.compress(orjson.dumps([edge.event("w-2"), edge.event("w-3")]))
    assert edge.post(edge.event("w-1")).status_code == 202
    batch = edge.http.post(
        edge.url + "/v1/events",
        content=packed,
        headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"},
    )
    assert batch.json() == {"accepted": 2, "rejected": []}

    def chunks() -> Iterator[bytes]:
        yield orjson.dumps(edge.event("w-4"))[:20]
        yield orjson.dumps(edge.event("w-4"))[20:]

    chunked = edge.http.post(
        edge.url + "/v1/events", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert chunked.status_code == 202
    pixel = edge.http.get(
        edge.url + "/p.gif",
        params={"site": edge.site, "id": "w-5", "url": "https://shop.example/ü?utm_source=a b"},
    )
    assert (pixel.status_code, len(pixel.content)) == (200, 43)
    arrived(edge, "w-1", "w-2", "w-3", "w-4", "w-5")
    events = {e["id"]: e for e in edge.arrived()}
    assert events["w-5"]["source_kind"] == "pixel"
    assert events["w-5"]["url"] == "https://shop.example/ü?utm_source=a b"
    assert len({e["visitor"] for e in events.values()}) == 1


def test_a_site_lives_in_one_partition_with_numbers_without_gaps(edge: Edge) -> None:
    edge.post([edge.event(f"n-{n}") for n in range(200)])
    arrived(edge, "n-199")
    events = edge.arrived()
    for spool in {e["spool"] for e in events}:
        numbers = [e["seq"] for e in events if e["spool"] == spool]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        assert numbers == sorted(numbers)  # one partition keeps the order


def test_the_spool_says_that_it_is_shipped(edge: Edge) -> None:
    edge.post(edge.event("s-1"))
    arrived(edge, "s-1")

    def is_shipped() -> bool:
        state = edge.http.get(edge.url + "/v1/spool").json()
        return state["shipped_seq"] == state["last_seq"] and state["oldest_unshipped_ms"] is None

    eventually(is_shipped, "the spool is shipped")
    (spool,) = edge.spools()
    assert spool["waiting_bytes"] == 0


def test_instances_are_in_the_directory(edge: Edge) -> None:
    directory = FileDirectory(edge.settings.directory_root)
    (ingest,) = directory.instances("ingest")
    assert (ingest.url, ingest.meta["spool"]) == (edge.url, edge.spools()[0]["spool"])
    (shipper,) = directory.instances("shipper")
    assert shipper.url == edge.shipper_url


def test_an_import_is_in_kafka_when_it_is_answered(edge: Edge) -> None:
    headers = {"Authorization": f"Bearer {edge.token}"}
    lines = [
        {
            "line": n,
            "id": f"i-{n}",
            "ts": 1_431_820_800_000 + n,
            "ip": "192.0.2.1",
            "url": "https://shop.example/",
        }
        for n in range(1000)
    ]
    answer = edge.http.post(edge.url + "/v1/import", json={"import": "imp", "events": lines}, headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1000, "rejected": []})
    imported = edge.arrived(IMPORTS)
    assert sorted(e["seq"] for e in imported) == list(range(1000))
    assert {e["spool"] for e in imported} == {"imp"}
    closed = edge.http.post(edge.url + "/v1/import/imp/close", headers=headers)
    assert closed.json() == {"keys_destroyed": 1}


def test_metrics_and_script(edge: Edge) -> None:
    assert edge.http.get(edge.url + "/recount.js").status_code == 200
    metrics = edge.http.get(edge.url + "/metrics").text
    assert 'recount_ingest_events_total{source_kind="tracker"}' in metrics
    assert "recount_spool_shipped_total" in edge.http.get(edge.shipper_url + "/metrics").text


def raw(edge: Edge, request: bytes) -> bytes:
    """Whatever is answered to bytes that no client library would send."""
    with socket.create_connection(("127.0.0.1", edge.settings.ingest_port), timeout=60) as connection:
        answer = b""
        with suppress(OSError):  # a server may hang up in the middle of what it cannot read
            connection.sendall(request)
            if b"Connection: close" not in request:
                connection.shutdown(socket.SHUT_WR)  # or a server that waits for more would let us wait
            while piece := connection.recv(65_536):
                answer += piece
        return answer


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        b"GET /p.gif?" + b"a" * 500_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /p.gif HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\xfd\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_broken_requests_break_nothing(edge: Edge, request_: bytes) -> None:
    raw(edge, request_)
    assert edge.http.get(edge.url + "/healthz").status_code == 200


def test_an_unprintable_user_agent_is_no_obstacle(edge: Edge) -> None:
    path = f"/p.gif?site={edge.site}&id=ua-1&url=https://shop.example/".encode()
    answer = raw(
        edge, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: caf\xe9\r\nConnection: close\r\n\r\n"
    )
    assert b"200 OK" in answer
    assert b"recount-drop" not in answer.lower()
    arrived(edge, "ua-1")


def test_dawdling_senders_do_not_stop_the_door(edge: Edge) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{"
    dawdlers = []
    try:
        for _ in range(READING_MAX + 20):
            dawdlers.append(socket.create_connection(("127.0.0.1", edge.settings.ingest_port), timeout=60))
            dawdlers[-1].sendall(head)
        pixel = edge.http.get(
            edge.url + "/p.gif", params={"site": edge.site, "id": "d-1", "url": "https://shop.example/"}
        )
        assert (pixel.status_code, pixel.headers.get("Recount-Drop")) == (200, None)
    finally:
        for connection in dawdlers:
            connection.close()
    eventually(lambda: edge.post(edge.event("d-2")).status_code == 202, "the door takes events again")


def test_a_stopped_ingest_leaves_and_its_spool_is_taken_over(edge: Edge) -> None:
    second = edge.settings.ingest_port
    extra = edge.ingest(ingest_port=_free_port())
    port = next(
        i.port for i in FileDirectory(edge.settings.directory_root).instances("ingest") if i.port != second
    )
    httpx.post(f"http://127.0.0.1:{port}/v1/events", json=edge.event("t-1"), trust_env=False)
    assert edge.kill(extra, signal.SIGTERM) == 0
    arrived(edge, "t-1")
    eventually(lambda: len(edge.spools()) == 1, "the spool of the stopped ingest is removed")
    assert [i.port for i in FileDirectory(edge.settings.directory_root).instances("ingest")] == [second]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_dawdling_sender_does_not_keep_an_ingest_from_stopping(edge: Edge) -> None:
    port = _free_port()
    extra = edge.ingest(ingest_port=port)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as dawdler:
        dawdler.sendall(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        edge.http.post(f"http://127.0.0.1:{port}/v1/events", json=edge.event("stop-1"))
        assert edge.kill(extra, signal.SIGTERM) == 0
    arrived(edge, "stop-1")


@pytest.mark.parametrize("module", ["edge.ingest", "edge.ship"])
def test_a_port_in_use_says_so(edge: Edge, tmp_path: Path, module: str) -> None:
    """A second one on the same port must not run beside the first unnoticed."""
    second = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=edge.environment(state=tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert second.returncode != 0
    assert "choose another port" in second.stderr
