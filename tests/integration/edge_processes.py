"""Ingest and shipper as real processes, on ports of their own, on the session's Kafka and tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from confluent_kafka import TopicPartition

from deploy.local.layout import ROOT
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from recount import kafka
from recount.kafka import EVENTS
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import ensure_tables, open_tables
from tests.waiting import eventually

DEADLINE_S: Final = 120.0


class Edge:
    """One machine's door. `site` exists in a catalog of its own; `token` authorises for it."""

    def __init__(self, base: Settings, folder: Path) -> None:
        own = free_settings(folder)
        self.settings = replace(
            own, kafka=base.kafka, dynamodb=base.dynamodb, table_prefix=f"t{uuid.uuid4().hex[:8]}-"
        )
        ensure_tables(self.settings)
        kafka.ensure_topics(self.settings)
        self.site = f"site-{uuid.uuid4().hex[:8]}"
        self.catalog = Catalog(open_tables(self.settings).catalog)
        self.catalog.add(Site(id=self.site, domain="shop.example"))
        self.token = self.catalog.new_token(self.site)
        self.http = httpx.Client(trust_env=False, timeout=60)
        self._running: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "edge.log").open("ab")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingest_port}"

    @property
    def shipper_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.shipper_port}"

    def ingest(self, **changes: Any) -> subprocess.Popen[bytes]:
        port = changes.get("ingest_port", self.settings.ingest_port)
        return self._start("edge.ingest", f"http://127.0.0.1:{port}", changes)

    def ship(self, **changes: Any) -> subprocess.Popen[bytes]:
        return self._start("edge.ship", self.shipper_url, changes, page="/healthz")

    def environment(self, **changes: Any) -> dict[str, str]:
        """The variables of a process with these settings changed."""
        settings = replace(self.settings, **changes)
        return {**os.environ, **settings.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}

    def kill(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> int:
        process.send_signal(how)
        return process.wait(DEADLINE_S)

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                self.kill(process)
        self.http.close()
        self._log.close()

    def event(self, event_id: str, **fields: Any) -> dict[str, Any]:
        return {"site": self.site, "id": event_id, "url": "https://shop.example/"} | fields

    def post(self, body: Any) -> httpx.Response:
        return self.http.post(self.url + "/v1/events", json=body)

    def spools(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(self.shipper_url + "/v1/spools").json()["spools"]
        return found

    def arrived(self, topic: str = EVENTS) -> list[dict[str, Any]]:
        """Every event that Kafka has of our site, and of others whose name begins so, repeats included."""
        partitions = kafka.source_partitions(self.settings, (topic,))
        ends = kafka.offset_ranges(self.settings, partitions)
        client = kafka.consumer(self.settings, "edge-tests")
        client.assign([TopicPartition(t, p, start) for (t, p), (start, _) in ends.items()])
        left = {source for source, (start, end) in ends.items() if end > start}
        found: list[dict[str, Any]] = []
        while left:
            for message in client.consume(1000, timeout=1.0):
                assert message.error() is None, message.error()
                found.append(orjson.loads(message.value() or b""))
                source = (message.topic() or "", message.partition() or 0)
                if (message.offset() or 0) + 1 >= ends[source][1]:
                    left.discard(source)
        client.close()
        return [event for event in found if event["site"].startswith(self.site)]

    def _start(
        self, module: str, url: str, changes: dict[str, Any], *, page: str = "/readyz"
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=self.environment(**changes),
            stdout=self._log,
            stderr=self._log,
        )
        self._running.append(process)
        eventually(lambda: self._answers(process, url + page), f"{module} is up")
        return process

    def _answers(self, process: subprocess.Popen[bytes], url: str) -> bool:
        assert process.poll() is None, "it died; see edge.log"
        try:
            return self.http.get(url).status_code == 200
        except httpx.TransportError:
            return False
