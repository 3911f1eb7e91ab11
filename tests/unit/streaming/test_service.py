"""Streams: an event while something changes, a heartbeat otherwise, no thread while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recount.metrics import Metrics
from streaming.service import Service
from tests.unit.streaming.stage import Stage, seen


class Wire:
    """The side of the client: what was sent to it, and its leaving."""

    def __init__(self) -> None:
        self.status = 0
        self.sent: list[bytes] = []
        self.left = asyncio.Event()

    async def client_disconnect(self) -> None:
        await self.left.wait()

    def response_stream(self, status: int, headers: object) -> Wire:
        self.status = status
        return self

    def response_bytes(self, status: int, headers: object, body: bytes) -> None:
        self.status = status
        self.sent.append(body)

    def response_str(self, status: int, headers: object, body: str) -> None:
        self.status = status

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)

    async def until(self, wanted: Callable[[list[bytes]], bool]) -> None:
        async with asyncio.timeout(60):
            while not wanted(self.sent):
                await asyncio.sleep(0.01)


async def ask(service: Service, wire: Any, path: str, query: str = "") -> None:
    await service.__rsgi__(scope(path, query), wire)


def scope(path: str, query: str = "") -> Any:
    given = {"path": path, "query_string": query, "method": "GET", "scheme": "http"}
    return SimpleNamespace(**given, server="127.0.0.1:8180", headers={"host": "127.0.0.1:8180"})


def run(stage: Stage, talk: Callable[[Service], Awaitable[None]], **limits: int) -> None:
    async def session() -> None:
        await talk(Service(stage.app, stage.views, Metrics(), **limits))

    asyncio.run(session())


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("streaming.service.TICK_S", 0.01)
    monkeypatch.setattr("streaming.service.HEARTBEAT_S", 0.05)
    monkeypatch.setattr("streaming.views.SNAPSHOT_S", 0.0)
    return Stage(tmp_path)


def test_a_stream_sends_changes_and_heartbeats_until_the_client_leaves(stage: Stage) -> None:
    async def talk(service: Service) -> None:
        wire = Wire()
        stream = asyncio.ensure_future(ask(service, wire, "/v1/live/demo/stream", "minutes=5"))
        await wire.until(lambda sent: b": heartbeat\n\n" in sent)
        assert wire.status == 200
        assert [s.startswith(b"data: ") for s in wire.sent[:2]] == [True, False]
        stage.given(seen(39))
        await wire.until(lambda sent: sum(s.startswith(b"data: ") for s in sent) == 2)
        assert b'"visitors":1' in wire.sent[-1] or b'"visitors":1' in wire.sent[-2]
        wire.left.set()
        await asyncio.wait_for(stream, 60)

    run(stage, talk)


def test_streams_end_when_the_service_does(stage: Stage) -> None:
    async def talk(service: Service) -> None:
        wire = Wire()
        stream = asyncio.ensure_future(ask(service, wire, "/v1/live/demo/stream"))
        await wire.until(bool)
        service.close()
        await asyncio.wait_for(stream, 60)

    run(stage, talk)


def test_one_stream_too_many_is_refused(stage: Stage) -> None:
    async def talk(service: Service) -> None:
        first, second = Wire(), Wire()
        stream = asyncio.ensure_future(ask(service, first, "/v1/live/demo/stream"))
        await first.until(bool)
        await ask(service, second, "/v1/live/demo/stream")
        assert second.status == 503
        first.left.set()
        await asyncio.wait_for(stream, 60)
        third = Wire()
        stream = asyncio.ensure_future(ask(service, third, "/v1/live/demo/stream"))
        await third.until(bool)
        third.left.set()
        await asyncio.wait_for(stream, 60)

    run(stage, talk, streams_max=1)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/live/demo", 200),
        ("/v1/live/de%6Do", 200),
        ("/v1/live/nowhere/stream", 404),
        ("/healthz", 200),
        ("/x", 404),
    ],
)
def test_the_rest_is_answered_by_the_routes(stage: Stage, path: str, status: int) -> None:
    async def talk(service: Service) -> None:
        wire = Wire()
        await ask(service, wire, path)
        assert wire.status == status

    run(stage, talk)
