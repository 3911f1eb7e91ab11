"""granian in this process: one process an instance, so that its death leaves nothing behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import MTServer
from werkzeug.serving import WSGIRequestHandler, make_server

from recount.errors import SetupError

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
StoppingMaker = Callable[[Callable[[], None]], Callable[[int, object], None]]

HEADER_TIMEOUT_MS: Final = 10_000
BACKLOG: Final = 2048
SHUTDOWN_TIMEOUT_S: Final = 10


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log: it would hold addresses."""


class _Server(MTServer):
    """granian's threaded server: its one worker is a thread, which works as well with a GIL."""

    @staticmethod
    def _check_gil() -> None:
        """The check that this overrides keeps several workers from sharing a GIL; we have one."""

    on_signal: Callable[[int, object], None] | None = None

    def signal_handler_interrupt(self, *given: Any) -> None:
        if self.on_signal is None:
            self.stop_serving()
        else:
            self.on_signal(*given)

    def stop_serving(self) -> None:
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def _stop_workers(self) -> None:
        """Like granian's own, but a sender that never ends its body cannot keep us from stopping."""
        for worker in self.wrks:
            worker.terminate()  # type: ignore[no-untyped-call]
        for worker in self.wrks:
            worker.join(SHUTDOWN_TIMEOUT_S)  # type: ignore[no-untyped-call]


def check_port(host: str, port: int) -> None:
    """Raises SetupError where something listens: granian would share the port with it unnoticed."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            cause = f"{host}:{port} cannot be used: {error.strerror}"
            raise SetupError("port", cause, "choose another port") from error


def serve(app: WsgiApp, host: str, port: int, *, threads: int, stopping: StoppingMaker | None = None) -> bool:
    """Serve until SIGTERM or SIGINT. Whether every request under way was finished, within a bounded time.

    `stopping` makes the handler of these signals, given what stops the server; without it they do so at once.
    """
    # granian copies the whole environment into every request.
    os.environ.clear()
    server = _Server(
        "recount",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        runtime_mode=RuntimeModes.mt,
        workers=1,
        blocking_threads=threads,
        backlog=BACKLOG,
        backpressure=max(threads * 2, 512),
        websockets=False,
        log_access=False,
        log_enabled=False,
    )
    if stopping is not None:
        server.on_signal = stopping(server.stop_serving)
    server.serve(target_loader=lambda *_: app, wrap_loader=False)
    return not any(worker.inner.is_alive() for worker in server.wrks)


@contextmanager
def run_in_background(app: WsgiApp, host: str, port: int) -> Iterator[None]:
    """A small server on a thread, for the health pages of a process whose work is elsewhere."""
    check_port(host, port)
    server = make_server(host, port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
