"""A small real collector: serves a page, the tracker and whatever is linked, and keeps what is sent to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page

from edge import tracker

Event = dict[str, Any]
Visit = Callable[..., Page]  # the fixture `visit`

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

_PAGE = (Path(__file__).parent / "page.html").read_text()
_DEADLINE_S = 30


class Delivery(NamedTuple):
    """One request to the endpoint: its headers, its events, and the status it was answered with."""

    method: str
    headers: dict[str, str]
    events: list[Event]
    status: int


class Collector(ThreadingHTTPServer):
    """`origin` is the page's own; `other_origin` is the same server under a name foreign to the page."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.other_origin = f"http://localhost:{self.server_port}"
        self.status = 202
        self.attributes = ""  # of the script element
        self.head = ""
        self.script_origin = self.origin
        self.deliveries: list[Delivery] = []
        self.changed = threading.Condition()

    def page(self) -> bytes:
        page = _PAGE.replace("HEAD", self.head).replace("SCRIPT_ORIGIN", self.script_origin)
        return page.replace("ATTRIBUTES", self.attributes).replace("OTHER_ORIGIN", self.other_origin).encode()

    def keep(self, delivery: Delivery) -> None:
        with self.changed:
            self.deliveries.append(delivery)
            self.changed.notify_all()

    def events(self, kind: str | None = None, name: str | None = None) -> list[Event]:
        """What has been accepted, in order of arrival."""
        with self.changed:
            sent = [
                event for delivery in self.deliveries if delivery.status < 300 for event in delivery.events
            ]
        return [
            event
            for event in sent
            if kind in (None, event["kind"]) and (name is None or event.get("name") == name)
        ]

    def wait(self, kind: str, name: str | None = None, count: int = 1) -> list[Event]:
        """The accepted events of a kind (and name) as soon as there are `count` of them."""
        self.wait_until(lambda: len(self.events(kind, name)) >= count)
        return self.events(kind, name)

    def wait_until(self, fulfilled: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(fulfilled, _DEADLINE_S), f"waited in vain; got {self.deliveries}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_GET(self) -> None:
        if self.path.startswith("/recount.js"):
            self._answer(200, "text/javascript; charset=utf-8", tracker.load().plain)
        elif self.path.startswith("/files/"):
            self._answer(200, "application/octet-stream", b"content")
        else:
            self._answer(200, "text/html; charset=utf-8", self.server.page())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._keep(body if isinstance(body, list) else [body])
        self._answer(self.server.status, "application/json", b"{}")

    def do_OPTIONS(self) -> None:
        self._keep([])
        self._answer(204, "text/plain", b"")

    def _keep(self, events: list[Event]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
        self.server.keep(Delivery(self.command, headers, events, self.server.status))

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests speak through their assertions."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of the loopback interface, for the time of the block."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def settle(page: Page, collector: Collector) -> None:
    """Returns when an event sent now has arrived; what was to come before it has had its time."""
    page.evaluate("recount('settled')")
    collector.wait("event", "settled")
