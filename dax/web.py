"""The HTTP side: /healthz, /readyz, /metrics, and POST /flush."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dax.errors import SetupError
from dax.metrics import Exposition
from dax.node import Node

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

WAIT_S: Final = 5.0
THREADS_MAX: Final = 16
PLAIN: Final = "text/plain; charset=utf-8"

_Answer = tuple[str, str, bytes]
"""Status line, type and body."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a request, up to a number of them."""

    daemon_threads = True

    def __init__(self, *given: Any) -> None:
        self._turns = threading.BoundedSemaphore(THREADS_MAX)
        super().__init__(*given)

    def server_bind(self) -> None:
        """Without the question to the name service that the standard library asks here."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._turns.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._turns.release()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever probes a health page every second need not be in the log."""


class Web:
    """Serves from threads; what touches the node runs in the node's loop."""

    def __init__(self, node: Node, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop
        self._exposition = Exposition(node.stats, {"item": node.items, "query": node.queries})
        self._server: WSGIServer | None = None

    def start(self, host: str, port: int) -> int:
        """The port that it listens on."""
        try:
            kind = _Server6 if ":" in host else _Server
            server = make_server(host, port, self, server_class=kind, handler_class=_Handler)
        except OSError as error:
            raise SetupError(f"cannot serve HTTP on {host}:{port}: {error.strerror}") from None
        self._server = server
        threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
        return int(server.server_port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        status, kind, body = self._answer(environ)
        start(
            status,
            [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")],
        )
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> _Answer:
        route = (environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        pages: dict[tuple[str, str], Callable[[], _Answer]] = {
            ("GET", "/healthz"): lambda: ("200 OK", PLAIN, b"ok\n"),
            ("GET", "/readyz"): self._ready,
            ("GET", "/metrics"): lambda: ("200 OK", self._exposition.content_type, self._exposition.text()),
            ("POST", "/flush"): lambda: self._flush(environ),
        }
        page = pages.get(route)
        if page is None:
            return (
                "404 Not Found",
                PLAIN,
                b"try GET /healthz, /readyz, /metrics or POST /flush?table=NAME\n",
            )
        return page()

    def _ready(self) -> _Answer:
        try:
            reachable = self._in_loop(self._node.backend.is_reachable())
        except TimeoutError:
            reachable = False
        if reachable:
            return "200 OK", PLAIN, b"ready\n"
        away = f"DynamoDB at {self._node.backend.endpoint} cannot be reached\n"
        return "503 Service Unavailable", PLAIN, away.encode()

    def _flush(self, environ: WSGIEnvironment) -> _Answer:
        if "HTTP_ORIGIN" in environ:
            return "403 Forbidden", PLAIN, b"not from a web page\n"
        tables = parse_qs(environ.get("QUERY_STRING", "")).get("table", [None])

        async def flush() -> int:
            return self._node.flush(tables[0])

        return "200 OK", PLAIN, f"{self._in_loop(flush())} entries forgotten\n".encode()

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)
