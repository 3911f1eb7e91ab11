"""A node from start to stop."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from contextlib import AsyncExitStack
from typing import Final

import structlog

from dax.attribute_lists import AttributeLists
from dax.backend import Backend
from dax.cache import Clock
from dax.connection import Connection, Hub
from dax.errors import SetupError
from dax.metrics import Stats
from dax.node import Node
from dax.settings import Settings
from dax.web import Web

BACKLOG: Final = 1_024
TLS_HANDSHAKE_S: Final = 10.0
STOP_WAIT_S: Final = 5.0

_log = structlog.get_logger()


class Server:
    """Listens after `start`. `port` and `http_port` are those really taken, also where 0 was asked for."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self.port = 0
        self.http_port = 0

    async def start(self) -> None:
        """Raises SetupError where something must be changed first."""
        settings, stats = self._settings, Stats()
        tls, advertised = _tls(settings), _advertised(settings.advertise)
        async with AsyncExitStack() as opened:
            lists = AttributeLists(settings.state)
            opened.callback(lists.close)
            backend = Backend(settings, stats)
            opened.push_async_callback(backend.close)
            self.node = Node(settings, backend, lists, stats, self._clock)
            self.hub = Hub(self.node, advertised)
            opened.push_async_callback(self._finish)
            listener = await self._listen(tls)
            opened.callback(listener.close)
            web = Web(self.node, asyncio.get_running_loop())
            self.http_port = web.start(settings.http_host, settings.http_port)
            opened.push_async_callback(asyncio.to_thread, web.stop)
            self._opened = opened.pop_all()
        self._log_start(tls is not None, len(lists))

    def _log_start(self, tls: bool, lists: int) -> None:
        _log.info(
            "node started",
            address=f"{self._settings.host}:{self.port}",
            http=f"{self._settings.http_host}:{self.http_port}",
            dynamodb=self.node.backend.endpoint,
            tls=tls,
            attribute_lists=lists,
        )

    async def _listen(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        settings = self._settings
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self.hub),
                settings.host,
                settings.port,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_S,
                backlog=BACKLOG,
            )
        except OSError as error:
            raise SetupError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}") from None
        self.port = listener.sockets[0].getsockname()[1]
        return listener

    async def stop(self) -> None:
        """Answers what has been asked, then closes."""
        await self._opened.aclose()
        _log.info("node stopped")

    async def _finish(self) -> None:
        if self.hub.tasks:
            await asyncio.wait(self.hub.tasks, timeout=STOP_WAIT_S)
        for connection in list(self.hub.connections):
            connection.close()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        if settings.tls_key is not None:
            raise SetupError("--tls-key without --tls-certificate: give both, or one file with both in it")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(f"the TLS certificate or key cannot be read: {error}") from None
    return context


def _advertised(address: str) -> dict[int, tuple[bytes, int]]:
    """The packed address and port to tell clients, by address family."""
    if not address:
        return {}
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SetupError(f"--advertise {address!r}: give it as host:port")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise SetupError(f"--advertise {address!r} cannot be resolved: {error.strerror}") from None
    return {int(family): (ipaddress.ip_address(name[0]).packed, int(port)) for family, *_, name in found}
