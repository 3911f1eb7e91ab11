"""The live service without Kafka: events go in as values, questions are answered from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import polars as pl
from flask.testing import FlaskClient

from recount.columns import positions
from recount.discovery import FileDirectory
from recount.erasing.tombstone import Tombstone
from recount.event import RawEvent, encode
from recount.keys import kafka_partition
from recount.metrics import Metrics
from recount.periods import HOUR_MS
from recount.store.catalog import Site
from streaming.peers import Peers
from streaming.pipeline import Pipeline
from streaming.sites import SitesCache
from streaming.state import LiveState
from streaming.views import Views
from streaming.web import create_app
from tests.made import TS, event

PARTITIONS = 6
NOW = TS + 40 * 60_000 + 30_000  # 15:40:30
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
SITES = {
    "demo": Site(id="demo", domain="demo.example"),
    "wide": Site(id="wide", domain="wide.example", spread=3),
}


def seen(minute: float, visitor: int = 1, site: str = "demo", **given: object) -> RawEvent:
    """An event so many minutes after 15:00, from a real browser."""
    ts = TS + round(minute * 60_000)
    fields = {
        "url": f"https://{site}.example/",
        "ua": CHROME,
        "network": "residential",
        "id": f"{ts}-{visitor}",
    }
    return event(
        site=site,
        visitor=f"{visitor:016x}",
        ts=ts,
        received=ts,
        **(fields | given),
    )


def home(of: RawEvent, sites: Mapping[str, Site] = SITES) -> int:
    spread = sites[of.site].spread if of.site in sites else 1
    return kafka_partition(of.site, int(of.visitor, 16), spread=spread, partitions=PARTITIONS)


@dataclass
class Read:
    """Stands for the consumer."""

    partitions: frozenset[int] = frozenset(range(PARTITIONS))
    unread: frozenset[int] = frozenset()
    horizon_ms: int = TS - HOUR_MS
    as_of_ms: int = NOW
    read_to: int = 100

    @property
    def positions(self) -> dict[int, int]:
        return dict.fromkeys(self.whole, self.read_to)

    @property
    def whole(self) -> frozenset[int]:
        return self.partitions - self.unread

    @property
    def ready(self) -> bool:
        return not self.unread


@dataclass
class Stage:
    """One instance; `given` puts events in as one batch."""

    folder: Path
    id: str = "one"
    read: Read = field(default_factory=Read)

    def __post_init__(self) -> None:
        self.catalog = dict(SITES)
        self.sites = SitesCache(lambda: self.catalog)
        self.state = LiveState()
        self.buried: list[Tombstone] = []
        self.pipeline = Pipeline(self.state, self.sites, lambda: self.buried)
        self.directory = FileDirectory(self.folder)
        self.offset = 0
        self.client = httpx.Client()
        self.views = Views(
            self.state,
            self.read,
            self.sites,
            Peers(self.directory, self.id, self.client),
            lambda: TS,
            partitions=PARTITIONS,
            now_ms=lambda: NOW,
        )
        self.app = create_app(self.views, lambda: self.read.ready, Metrics(), minutes_max=180)

    def given(self, *events: RawEvent, until_ms: int = 0) -> int:
        """Take in those events whose partition this instance owns; returns how many counted."""
        own = [e for e in events if home(e) in self.read.partitions]
        places = (
            pl.concat([positions("events", home(e), [self.offset + n]) for n, e in enumerate(own)])
            if own
            else (positions("events", 0, []))
        )
        self.offset += len(own)
        return self.pipeline.take(list(map(encode, own)), places, self.read.horizon_ms, until_ms).events

    @property
    def http(self) -> FlaskClient:
        return self.app.test_client()

    def answer(self, site: str = "demo", query: str = "") -> dict[str, object]:
        found: dict[str, object] = self.http.get(f"/v1/live/{site}{query}").get_json()
        return found


def values(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["value"] for row in rows]
