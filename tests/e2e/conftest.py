"""What the end-to-end tests share: the browser of the browser tests, a page of a customer, patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

from tests.browser.conftest import chromium

__all__ = ["chromium", "customer_page", "eventually"]

T = TypeVar("T")
DEADLINE_S = 120.0


def eventually(look: Callable[[], T], is_right: Callable[[T], bool], deadline_s: float = DEADLINE_S) -> T:
    """What `look` sees once it is right; fails with the last sight when it never becomes so."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if is_right(seen):
            return seen
        assert time.monotonic() < end, f"still {seen!r} after {deadline_s:g} s"
        time.sleep(0.25)


@contextmanager
def customer_page(snippet: str) -> Iterator[str]:
    """A customer's site on loopback, every path the same small page; yields its origin."""
    html = f"<!doctype html><title>Shop</title><head>{snippet}</head><body><h1>Shop</h1></body>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
