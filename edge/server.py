"""The servers of this tier: the ingest on granian, small ones beside other work."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from granian.constants import Interfaces
from werkzeug.serving import WSGIRequestHandler, make_server

from recount.serving import SHUTDOWN_TIMEOUT_S, StoppingMaker, ThreadServer, check_port, granian_server

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

BACKLOG: Final = 2048


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log: it would hold addresses."""


class _Server(ThreadServer):
    def _stop_workers(self) -> None:
        """Like granian's own, but a sender that never ends its body cannot keep us from stopping."""
        for worker in self.wrks:
            worker.terminate()  # type: ignore[no-untyped-call]
        for worker in self.wrks:
            worker.join(SHUTDOWN_TIMEOUT_S)  # type: ignore[no-untyped-call]


def serve(app: WsgiApp, host: str, port: int, *, threads: int, stopping: StoppingMaker | None = None) -> bool:
    """Serve until told to stop. Whether every request under way was finished, within a bounded time."""
    # granian copies the whole environment into every request.
    os.environ.clear()
    server = granian_server(
        _Server,
        Interfaces.WSGI,
        host,
        port,
        requests_max=max(threads * 2, 512),
        blocking_threads=threads,
        backlog=BACKLOG,
    )
    server.run(app, stopping)
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
