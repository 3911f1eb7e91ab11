"""granian in this process: one process an instance, so that its death leaves nothing behind on the port."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, TypeVar

from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.server import MTServer

from recount.errors import SetupError

StoppingMaker = Callable[[Callable[[], None]], Callable[[int, object], None]]
"""Makes the handler of SIGTERM and SIGINT, given what stops the server."""

HEADER_TIMEOUT_MS: Final = 10_000
SHUTDOWN_TIMEOUT_S: Final = 10


class ThreadServer(MTServer):
    """granian's threaded server: its one worker is a thread, which works as well with a GIL."""

    @staticmethod
    def _check_gil() -> None:
        """The check that this overrides keeps several workers from sharing a GIL; there is one."""

    on_signal: Callable[[int, object], None] | None = None

    def signal_handler_interrupt(self, *given: Any) -> None:
        if self.on_signal is None:
            self.stop_serving()
        else:
            self.on_signal(*given)

    def stop_serving(self) -> None:
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def run(self, app: Any, stopping: StoppingMaker | None = None) -> None:
        """Serve the application until SIGTERM or SIGINT; without `stopping` these stop it at once."""
        if stopping is not None:
            self.on_signal = stopping(self.stop_serving)
        self.serve(target_loader=lambda *_: app, wrap_loader=False)


S = TypeVar("S", bound=ThreadServer)


def granian_server(
    kind: type[S], interface: Interfaces, host: str, port: int, *, requests_max: int, **options: Any
) -> S:
    """A server to `run`. `options` are granian's, for what the services do not have in common."""
    return kind(
        "recount",
        address=host,
        port=port,
        interface=interface,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        runtime_mode=RuntimeModes.mt,
        workers=1,
        backpressure=requests_max,
        websockets=False,
        log_access=False,
        log_enabled=False,
        **options,
    )


def check_port(host: str, port: int) -> None:
    """Raises SetupError where something listens: granian would share the port with it unnoticed."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            cause = f"{host}:{port} cannot be used: {error.strerror}"
            raise SetupError("port", cause, "choose another port") from error
