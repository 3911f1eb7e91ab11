"""Several ingest instances as one: a visitor is the same at each, and one that drains serves on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from recount.discovery import FileDirectory
from recount.drains import Drains
from recount.store.catalog import Site
from recount.store.salts import Salts
from recount.store.tables import open_tables
from tests.integration.edge_processes import Edge
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = [pytest.mark.stack]
DOORS = 3
SITES = 12
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


@pytest.fixture(scope="module")
def edge(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    stack_parts.need("kafka", "dynamodb")
    made = Edge(stack_parts.settings, tmp_path_factory.mktemp("doors"))
    try:
        for n in range(SITES):
            made.catalog.add(Site(id=f"{made.site}-{n}", domain="shop.example", timezone="Asia/Kolkata"))
        made.ship()
        with ThreadPoolExecutor(DOORS) as pool:
            list(pool.map(lambda n: made.ingest(ingest_port=made.settings.ingest_port + n), range(DOORS)))
        yield made
    finally:
        made.stop()


def doors(edge: Edge) -> list[str]:
    return [f"http://127.0.0.1:{edge.settings.ingest_port + n}" for n in range(DOORS)]


def salted(edge: Edge) -> list[dict[str, Any]]:
    return [event for event in edge.arrived() if event["id"].startswith("salt-")]


def test_doors_that_all_need_a_days_salt_at_once_hash_alike(edge: Edge) -> None:
    """The first use of a day is the same for the first event ever and for the first one after midnight."""
    start = Barrier(DOORS)

    def send(door: str) -> None:
        with httpx.Client(trust_env=False, timeout=60, headers={"User-Agent": AGENT}) as client:
            for n in range(SITES):
                start.wait(60)
                event = edge.event(f"salt-{n}-{door[-5:]}", site=f"{edge.site}-{n}")
                assert client.post(f"{door}/v1/events", json=event).status_code == 202

    with ThreadPoolExecutor(DOORS) as pool:
        list(pool.map(send, doors(edge)))
    eventually(lambda: len(salted(edge)) == SITES * DOORS, "every event is in Kafka")
    visitors: dict[str, set[str]] = defaultdict(set)
    for event in salted(edge):
        visitors[event["site"]].add(event["visitor"])
    assert {len(hashes) for hashes in visitors.values()} == {1}, "one visitor, whichever door"
    assert len({hash_ for hashes in visitors.values() for hash_ in hashes}) == SITES, "no two sites share one"


def test_a_salt_of_the_real_table_is_made_once(edge: Edge) -> None:
    start = Barrier(8)

    def first(_: int) -> bytes:
        salts = Salts(open_tables(edge.settings).salts)
        start.wait(60)
        return salts.of(edge.site, "2026-12-31")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first, range(8)))) == 1


def test_a_draining_instance_leaves_serves_on_and_returns(edge: Edge) -> None:
    directory, drains = FileDirectory(edge.settings.directory_root), Drains(edge.settings.drains_root)
    last = f"ingest-{edge.settings.ingest_port + DOORS - 1}"

    def present() -> set[str]:
        return {instance.id for instance in directory.instances("ingest")}

    eventually(lambda: last in present(), "it is in the directory")
    drains.ask(last)
    eventually(lambda: last not in present(), "it has left")
    assert len(present()) == DOORS - 1
    url = doors(edge)[-1]
    assert edge.http.post(f"{url}/v1/events", json=edge.event("late")).status_code == 202
    state = edge.http.get(f"{url}/v1/spool").json()
    assert state["left_s"] >= 0
    assert state["quiet_s"] < 30

    def is_empty() -> bool:
        seen = edge.http.get(f"{url}/v1/spool").json()
        return bool(seen["shipped_seq"] == seen["last_seq"] and seen["waiting_bytes"] == 0)

    eventually(is_empty, "its spool is shipped")
    readiness = edge.http.get(f"{url}/readyz")
    assert (readiness.status_code, readiness.json()) == (503, {"status": "draining"})
    drains.cancel(last)
    eventually(lambda: last in present(), "it is back")
    assert edge.http.get(f"{url}/v1/spool").json()["left_s"] is None
    assert edge.http.get(f"{url}/readyz").status_code == 200


def test_no_request_makes_an_instance_drain(edge: Edge) -> None:
    for path in ("/v1/drain", "/v1/spool"):
        assert edge.http.post(edge.url + path).status_code in (404, 405)
    assert edge.http.get(edge.url + "/v1/spool").json()["left_s"] is None
