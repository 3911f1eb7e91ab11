"""The front: who may ask, what is a stream, and what a stream is refused with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from dashboard_svc import streams
from dashboard_svc.bridge import Bridge
from dashboard_svc.security import is_own_name
from dashboard_svc.server import Front
from dashboard_svc.streams import Streams
from recount.errors import Unavailable
from recount.metrics import Metrics
from tests.unit.dashboard.test_bridge import FakeScope, Headers, Sent, echo
from tests.unit.dashboard.test_live import FakeDirectory


@dataclass
class FakeTransport:
    sent: list[bytes] = field(default_factory=list)

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


@dataclass
class FakeProtocol(Sent):
    status: int = 0
    transport: FakeTransport = field(default_factory=FakeTransport)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> FakeTransport:
        self.status = status
        asyncio.get_running_loop().call_later(0.05, self.gone.set)
        return self.transport

    async def client_disconnect(self) -> None:
        await self.gone.wait()


def ask(path: str, host: str = "127.0.0.1:8280", *, site_is: Any = lambda _: True) -> FakeProtocol:
    async def asked() -> FakeProtocol:
        front = Front(Bridge(echo), Streams(FakeDirectory(), Metrics()), site_is, names={"127.0.0.1"})
        front.__rsgi_init__(asyncio.get_running_loop())
        protocol = FakeProtocol()
        await front.__rsgi__(FakeScope(path=path, headers=Headers([("host", host)])), protocol)
        return protocol

    return asyncio.run(asked())


def away(_: str) -> bool:
    raise Unavailable("DynamoDB", "refused")


def test_pages_go_to_flask_and_streams_do_not() -> None:
    assert ask("/demo").status == 201
    watched = ask("/demo/live")
    assert watched.status == 200
    assert watched.transport.sent[0].startswith(b"event: away")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8280", "", "localhost.evil.example"]
)
def test_other_names_are_turned_away(host: str) -> None:
    assert ask("/demo", host).status == 421
    assert ask("/demo/live", host).status == 421


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8280", "localhost:8280", "LOCALHOST", "[::1]:8280", "10.0.0.7:1", "Stats.example.com"]
)
def test_own_names(host: str) -> None:
    assert is_own_name(host, {"10.0.0.7", "stats.example.com"})


def test_streams_are_refused_in_words() -> None:
    assert ask("/nobody/live", site_is=lambda _: False).status == 404
    assert ask("/demo/live", site_is=away).status == 503


def test_too_many_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WATCHERS_MAX", 0)
    assert ask("/demo/live").status == 503
