"""The alerts read off the dashboards' own metrics what DAX denied them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestration.readers import DirectoryReaders
from recount.discovery import FileDirectory, Instance
from recount.metrics import DAX_READS, Metrics


@pytest.fixture
def port() -> Iterator[int]:
    """Of a dashboard that DAX denied three items."""
    metrics = Metrics()
    reads = metrics.counter(DAX_READS)
    reads.labels("dax").inc(100)
    reads.labels("denied").inc(3)
    body, _ = metrics.exposition()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_each_dashboard_was_denied(tmp_path: Path, port: int) -> None:
    directory = FileDirectory(tmp_path)
    directory.register(Instance("dashboard", "one", "127.0.0.1", port))
    directory.register(Instance("dashboard", "gone", "127.0.0.1", 9))
    assert DirectoryReaders(directory).denied() == {"one": 3}
