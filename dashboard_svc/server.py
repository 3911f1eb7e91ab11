"""granian in this process: the application on threads, live streams on the event loop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Collection
from typing import Any, Final
from urllib.parse import unquote

import structlog
from granian._granian import RSGIProtocolClosed
from granian.constants import Interfaces

from dashboard_svc.bridge import Answer, Bridge, Scope, plain, refusal
from dashboard_svc.parts import PartSender
from dashboard_svc.security import HEADERS, is_own_name
from dashboard_svc.streams import Streams, TooMany
from recount.errors import Unavailable
from recount.serving import SHUTDOWN_TIMEOUT_S, StoppingMaker, ThreadServer, granian_server

REQUESTS_MAX: Final = 2_048
_STREAM: Final = re.compile(r"/([^/]+)/live")
_STREAM_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
    *HEADERS,
]


class Front:
    """The RSGI application: `/<site>/live` is a stream, everything else goes to Flask."""

    def __init__(
        self, bridge: Bridge, streams: Streams, is_site: Callable[[str], bool], *, names: Collection[str]
    ) -> None:
        """`names`: the hosts under which the dashboard is asked for, besides those of loopback."""
        self._names = names
        self._bridge = bridge
        self._streams = streams
        self._parts = PartSender()
        self._is_site = is_site

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._closing: asyncio.Future[None] = loop.create_future()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._streams.close())
        self._bridge.close()
        self._parts.close()

    def end_streams(self) -> None:
        """Called from another thread when the server is to stop."""
        self._loop.call_soon_threadsafe(self._closing.set_result, None)

    async def __rsgi__(self, scope: Scope, protocol: Any) -> None:
        if not is_own_name(scope.headers.get("host", ""), self._names):
            text = "Not a name of this dashboard."
            _send(protocol, refusal(scope.path, "misdirected", text, list(HEADERS)))
            return
        stream = _STREAM.fullmatch(scope.path) if scope.method == "GET" else None
        if stream is None:
            answer = await self._bridge(scope, protocol)
            if answer.parts is None:
                _send(protocol, answer)
            else:
                await self._parts.send(answer, scope, protocol)
            return
        site = unquote(stream[1])
        refused = await self._refusal(site)
        if refused is None:
            await self._stream(site, protocol)
        else:
            _send(protocol, refused)

    async def _refusal(self, site: str) -> Answer | None:
        try:
            known = await asyncio.get_running_loop().run_in_executor(None, self._is_site, site)
        except Unavailable:
            return plain(503, "The catalog of sites is away.\n", [("retry-after", "5"), *HEADERS])
        return None if known else plain(404, "No such site.\n", list(HEADERS))

    async def _stream(self, site: str, protocol: Any) -> None:
        transport: Any = None
        messages = self._streams.watch(site)
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            async for message in until(messages, gone, self._closing):
                if transport is None:
                    transport = protocol.response_stream(200, _STREAM_HEADERS)
                await transport.send_bytes(message)
        except TooMany:
            text = "Too many live views are open. The page goes on without.\n"
            _send(protocol, plain(503, text, [("retry-after", "30"), *HEADERS]))
        except RSGIProtocolClosed:
            structlog.get_logger().debug("watcher_gone")
        finally:
            gone.cancel()
            await messages.aclose()


async def until(
    messages: AsyncGenerator[bytes, None], *ends: asyncio.Future[None]
) -> AsyncGenerator[bytes, None]:
    """The messages until one of `ends` is done."""
    while True:
        upcoming = asyncio.ensure_future(anext(messages))
        try:
            watched: set[asyncio.Future[Any]] = {upcoming, *ends}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not upcoming.done():
                upcoming.cancel()
                await asyncio.wait({upcoming})
        if any(end.done() for end in ends):
            return
        yield upcoming.result()


def _send(protocol: Any, answer: Answer) -> None:
    protocol.response_bytes(answer.status, answer.headers, answer.body)


class _Server(ThreadServer):
    front: Front

    def shutdown(self, exit_code: int = 0) -> None:
        self.front.end_streams()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def serve(front: Front, host: str, port: int, stopping: StoppingMaker) -> None:
    """Serve until told to stop; requests under way are finished, streams ended."""
    server = granian_server(
        _Server,
        Interfaces.RSGI,
        host,
        port,
        requests_max=REQUESTS_MAX,
        workers_kill_timeout=SHUTDOWN_TIMEOUT_S,
    )
    server.front = front
    server.run(front, stopping)
