"""A whole ingest in memory: real policy, real spool, tables and Kafka replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from werkzeug.test import Client, TestResponse

from edge.app import create_app
from edge.bodies import Bodies
from edge.door import Door
from edge.geo import Place
from edge.imports import Importer
from edge.rules import DaySalts, Sites
from edge.spool import Spool
from edge.spool_reader import Reader
from edge.wsgi import Front
from recount.callers import Proxies
from recount.metrics import Metrics
from recount.store.catalog import Catalog, Site
from recount.store.salts import Salts
from recount.store.tables import Tables, memory_tables
from tests.unit.edge.fake_producer import FakeProducer
from tests.unit.edge.spooling import SPOOL_MAX_BYTES

UA = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


def place_of(address: str) -> Place:
    return Place("DE", "BE", "residential") if address.startswith("192.0.2.") else Place()


@dataclass
class Room:
    """One ingest and what it is made of."""

    tables: Tables
    catalog: Catalog
    sites: Sites
    spool: Spool
    door: Door
    front: Front
    producer: FakeProducer
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.front)

    def add(self, site: Site) -> None:
        self.catalog.add(site)
        self.sites.refresh()

    def token(self, site_id: str) -> dict[str, str]:
        """Headers that authorise for a site."""
        token = self.catalog.new_token(site_id)
        self.sites.refresh()
        return {"Authorization": f"Bearer {token}"}

    def post(self, body: Any, path: str = "/v1/events", **headers: str) -> TestResponse:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        given = {"Content-Type": "text/plain;charset=UTF-8", "User-Agent": UA} | headers
        return self.client.post(path, data=data, headers=given, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    def get(self, path: str, **headers: str) -> TestResponse:
        given = {"User-Agent": UA} | headers
        return self.client.get(path, headers=given, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    def spooled(self) -> list[dict[str, Any]]:
        """The events in the spool, oldest first, with their partition and number."""
        batch = Reader(self.spool.folder).read(1 << 20, writer_lives=True)
        return [orjson.loads(f.payload) | {"seq": f.seq, "partition": f.partition} for f in batch.frames]

    def last(self) -> dict[str, Any]:
        return self.spooled()[-1]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Closed by whoever wants its writer gone."""
    return Spool(tmp_path, max_bytes=SPOOL_MAX_BYTES)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    tables = memory_tables()
    catalog = Catalog(tables.catalog)
    salts = Salts(tables.salts)
    day_salts = DaySalts(salts)
    sites = Sites(catalog, day_salts, partitions=6)
    spool = Spool(tmp_path / "spool", max_bytes=1 << 22)
    door = Door(sites, day_salts, place_of, spool, catalog)
    producer = FakeProducer()
    bodies = Bodies(reading_max=4)
    metrics = Metrics()
    importer = Importer(door, salts, lambda: producer)  # type: ignore[arg-type, return-value]
    front = Front(door, create_app(door, importer, bodies, metrics), Proxies("198.51.100.0/24"), bodies)
    made = Room(tables, catalog, sites, spool, door, front, producer)
    made.add(Site(id="shop", domain="shop.example"))
    yield made
    spool.close()
