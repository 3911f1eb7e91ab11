"""The RSGI application of the live service: a stream is a coroutine without a thread, the rest is Flask."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope  # type: ignore[attr-defined] # re-exported
from granian.server.embed import Server

from recount.metrics import LIVE_STREAMS, Metrics
from streaming.answers import MINUTES_DEFAULT
from streaming.views import Asked, Snapshot, Views
from streaming.web import PREFIX

STREAMS_MAX: Final = 2_000
TICK_S: Final = 1.0
HEARTBEAT_S: Final = 15.0
HEARTBEAT: Final = b": heartbeat\n\n"
THREADS: Final = 8
BACKLOG: Final = 1_024
CONNECTIONS_MAX: Final = STREAMS_MAX + 512  # streams must leave room for questions
HEADER_TIMEOUT_MS: Final = 10_000

Headers = list[tuple[str, str]]
Answered = tuple[int, Headers, bytes]

_STREAM_HEADERS: Final[Headers] = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
]


class Service:
    """Serves until `close`."""

    def __init__(self, app: Flask, views: Views, metrics: Metrics, *, streams_max: int = STREAMS_MAX) -> None:
        self._app = app
        self._views = views
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="http")
        self._streams_max = streams_max
        self._streams = 0
        self._closing = asyncio.Event()
        metrics.gauge(LIVE_STREAMS).set_function(lambda: self._streams)

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        is_stream = scope.path.startswith(PREFIX) and scope.path.endswith("/stream") and scope.method == "GET"
        if is_stream and self._streams >= self._streams_max:
            protocol.response_str(503, [("retry-after", "5")], "too many streams\n")
            return
        status, headers, body = await self._in_thread(call, self._app, scope)
        if is_stream and status == 200:
            await self._stream(scope, protocol)
        else:
            protocol.response_bytes(status, headers, body)

    def close(self) -> None:
        """End the streams."""
        self._closing.set()

    async def _stream(self, scope: Scope, protocol: HTTPProtocol) -> None:
        ends = {
            asyncio.ensure_future(protocol.client_disconnect()),
            asyncio.ensure_future(self._closing.wait()),
        }
        self._streams += 1
        try:
            transport = protocol.response_stream(200, _STREAM_HEADERS)
            sent, sent_at, ended = b"", time.monotonic(), False
            while not ended and (snapshot := await self._in_thread(self._snapshot, scope)) is not None:
                due = time.monotonic() - sent_at >= HEARTBEAT_S
                if snapshot.state != sent or due:
                    changed = snapshot.state != sent
                    await transport.send_bytes(_event(snapshot.body) if changed else HEARTBEAT)
                    sent, sent_at = snapshot.state, time.monotonic()
                done, _ = await asyncio.wait(ends, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                ended = bool(done)
        except ProtocolClosed:
            return
        finally:
            self._streams -= 1
            for end in ends:
                end.cancel()

    def _snapshot(self, scope: Scope) -> Snapshot | None:
        """None where the site has gone from the catalog."""
        site = self._views.site(scope.path.removeprefix(PREFIX).removesuffix("/stream"))
        query = parse_qs(scope.query_string)
        minutes = int(query.get("minutes", [str(MINUTES_DEFAULT)])[0])
        if site is None:
            return None
        return self._views.snapshot(site, minutes, Asked(local=query.get("local") == ["1"]))

    async def _in_thread(self, work: Callable[..., Any], *given: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)


async def serve(service: Service, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; the process that holds the port is this one."""
    server = Server(
        service,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT_MS),
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_MAX,
        log_enabled=False,
    )
    serving = asyncio.ensure_future(server.serve())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    service.close()
    server.stop()  # type: ignore[no-untyped-call] # granian gives no types
    await serving
    stopping.cancel()


def call(app: Flask, scope: Scope) -> Answered:
    """One request without a body through a WSGI application."""
    started: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, _: object = None) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _: None

    chunks = app.wsgi_app(_environ(scope), start)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    return int(status[:3]), [(name.lower(), value) for name, value in headers], body


def _environ(scope: Scope) -> dict[str, Any]:
    host, _, port = scope.server.rpartition(":")
    return {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": scope.headers.get("host", scope.server),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _event(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"
