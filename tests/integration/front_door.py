"""The front door of the session's stack, and further HAProxies with other settings beside it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.layout import ROOT
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.stack import TestStack
from tests.waiting import eventually

DEADLINE_S: Final = 120.0
BROWSER: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


class FrontDoor:
    """HAProxy before Traefik before ingest and dashboard, with a site of its own."""

    def __init__(self, stack: TestStack) -> None:
        stack.need("ingest", "shipper", "live", "dashboard", "traefik", "haproxy")
        self.stack = stack
        self.settings = stack.settings
        self.url = self.settings.public_url
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=60)
        self.site = f"front-{uuid.uuid4().hex[:8]}"
        self.catalog.add(Site(id=self.site, domain="front.example"))
        eventually(lambda: self.http.get("/recount.js").status_code == 200, "the ingest is routed to")
        eventually(lambda: self.http.get(f"/{self.site}").status_code == 200, "the dashboard is routed to")
        eventually(lambda: self.send().status_code == 202, "the ingest knows the site")

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog(open_tables(self.settings).catalog)

    def event(self, **fields: Any) -> dict[str, Any]:
        return {"site": self.site, "url": "https://front.example/"} | fields

    def send(self, **headers: str) -> httpx.Response:
        return self.http.post("/v1/events", json=self.event(), headers={"User-Agent": BROWSER} | headers)

    def metric(self, name: str, **labels: str) -> dict[str, float]:
        """The values of one of HAProxy's metrics, by server (by proxy where it has none)."""
        url = f"http://127.0.0.1:{self.settings.front_admin_port}/metrics"
        families = text_string_to_metric_families(httpx.get(url, trust_env=False).text)
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return {
            sample.labels.get("server", sample.labels["proxy"]): sample.value
            for sample in samples
            if labels.items() <= sample.labels.items()
        }

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes, until the front hangs up."""
        with self.connection() as connection:
            connection.sendall(request)
            return received(connection)

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        address = (self.settings.host, self.settings.front_port)
        with socket.create_connection(address, timeout=DEADLINE_S) as connection:
            yield connection


def received(connection: socket.socket) -> bytes:
    """Everything until the other side ends."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def status_of(answer: bytes) -> int:
    """The status of an answer of HTTP/1; 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1") else 0


@contextmanager
def another_haproxy(
    front: FrontDoor, folder: Path, *, health: int = 200, **changes: Any
) -> Iterator[Settings]:
    """One more HAProxy before the same Traefiks, with changed settings; yields them once it says `health`."""
    ports = free_settings(folder)
    settings = replace(
        front.settings,
        state=folder,
        front_port=ports.front_port,
        front_admin_port=ports.front_admin_port,
        **changes,
    )
    env = {**os.environ, **settings.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}
    process = subprocess.Popen([sys.executable, "-m", "deploy.local.haproxy"], cwd=ROOT, env=env)
    try:
        with httpx.Client(trust_env=False, verify=False) as client:

            def serves() -> bool:
                assert process.poll() is None, "it ended"
                try:
                    return client.get(settings.public_url + "/healthz").status_code == health
                except httpx.TransportError:
                    return False

            eventually(serves, "the other HAProxy serves")
        yield settings
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
