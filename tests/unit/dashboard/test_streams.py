"""Streams: one connection a site, the newest state for each watcher, ends that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import orjson
import pytest

from dashboard_svc import streams
from dashboard_svc.server import until
from dashboard_svc.streams import Streams, TooMany, messages
from recount.metrics import Metrics
from tests.unit.dashboard.test_live import FakeDirectory, one

DEADLINE_S = 20.0


class Body(httpx.AsyncByteStream):
    """What an upstream sends: chunks put into a queue; None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.queue.get()) is not None:
            yield chunk

    def say(self, number: int) -> None:
        state = {"as_of": number, "current_visitors": number, "minutes": [], "top": {"page": ["much"]}}
        self.queue.put_nowait(b"data: " + orjson.dumps(state) + b"\n\n")


class Upstream:
    def __init__(self) -> None:
        self.bodies: list[Body] = []
        self.opened = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(Body())
        self.opened.set()
        return httpx.Response(200, stream=self.bodies[-1])


def run(test: Callable[[Upstream, Streams], Awaitable[None]], *, instances: int = 1) -> None:
    async def whole() -> None:
        upstream = Upstream()
        directory = FakeDirectory([one(n) for n in range(1, instances + 1)])
        opened = Streams(directory, Metrics(), transport=httpx.MockTransport(upstream))
        async with asyncio.timeout(DEADLINE_S):
            await test(upstream, opened)
        await opened.close()

    asyncio.run(whole())


def number_of(message: bytes) -> int:
    assert message.startswith(b"event: live\ndata: ")
    state = orjson.loads(message.split(b"data: ")[1])
    assert "top" not in state
    return int(state["current_visitors"])


def test_many_watchers_share_one_connection() -> None:
    async def test(upstream: Upstream, opened: Streams) -> None:
        watching = [opened.watch("demo") for _ in range(3)]
        first = [asyncio.ensure_future(anext(each)) for each in watching]
        await upstream.opened.wait()
        upstream.bodies[0].say(7)
        assert [number_of(message) for message in await asyncio.gather(*first)] == [7, 7, 7]
        assert len(upstream.bodies) == 1
        for each in watching:
            await each.aclose()

    run(test)


def test_who_comes_later_gets_the_newest_at_once_and_none_of_the_old() -> None:
    async def test(upstream: Upstream, opened: Streams) -> None:
        early = opened.watch("demo")
        waiting = asyncio.ensure_future(anext(early))
        await upstream.opened.wait()
        for number in (1, 2, 3):
            upstream.bodies[0].say(number)
        number = number_of(await waiting)
        while number != 3:
            number = number_of(await anext(early))
        late = opened.watch("demo")
        assert number_of(await anext(late)) == 3
        await early.aclose()
        await late.aclose()

    run(test)


def test_a_lost_connection_is_told_and_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RETRY_S", (0.01,))

    async def test(upstream: Upstream, opened: Streams) -> None:
        watching = opened.watch("demo")
        waiting = asyncio.ensure_future(anext(watching))
        await upstream.opened.wait()
        upstream.opened.clear()
        upstream.bodies[0].queue.put_nowait(None)
        assert (await waiting).startswith(b"event: away")
        await upstream.opened.wait()
        upstream.bodies[-1].say(5)
        message = b"event: away"
        while message.startswith(b"event: away"):
            message = await anext(watching)
        assert number_of(message) == 5
        await watching.aclose()

    run(test)


def test_nobody_to_ask_is_told() -> None:
    async def test(_: Upstream, opened: Streams) -> None:
        watching = opened.watch("demo")
        assert (await anext(watching)).startswith(b"event: away")
        await watching.aclose()

    run(test, instances=0)


def test_silence_is_filled_with_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)

    async def test(_: Upstream, opened: Streams) -> None:
        watching = opened.watch("demo")
        assert await anext(watching) == b": still here\n\n"
        await watching.aclose()

    run(test)


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WATCHERS_MAX", 1)

    async def test(upstream: Upstream, opened: Streams) -> None:
        watching = opened.watch("demo")
        waiting = asyncio.ensure_future(anext(watching))
        await upstream.opened.wait()
        with pytest.raises(TooMany):
            await anext(opened.watch("demo"))
        upstream.bodies[0].say(1)
        await waiting
        await watching.aclose()
        again = opened.watch("demo")
        assert number_of(await anext(again)) == 1
        await again.aclose()

    run(test)


def test_the_connection_ends_a_little_after_the_last_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINGER_S", 0.0)

    async def test(upstream: Upstream, opened: Streams) -> None:
        for expected in (1, 2):
            upstream.opened.clear()
            watching = opened.watch("demo")
            waiting = asyncio.ensure_future(anext(watching))
            await upstream.opened.wait()
            upstream.bodies[-1].say(expected)
            await waiting
            await watching.aclose()
            await asyncio.sleep(0.05)
            assert len(upstream.bodies) == expected

    run(test)


def test_a_stream_ends_when_its_browser_is_gone() -> None:
    async def test(_: Upstream, opened: Streams) -> None:
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watching = opened.watch("demo")
        asyncio.get_running_loop().call_later(0.05, gone.set_result, None)
        assert [message async for message in until(watching, gone)] == []

    run(test)


@pytest.mark.parametrize(
    ("chunks", "count"),
    [
        ([b'data: {"as_of": 1}\n\ndata: {"as_of": 2}\n\n'], 2),
        ([b"data: ", b'{"as_of"', b": 1}", b"\n", b"\n"], 1),
        ([b": heartbeat\n\n", b"event: x\n"], 0),
        ([b'data: {"as_of": 1}'], 0),
    ],
)
def test_messages_come_in_any_pieces(chunks: list[bytes], count: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def all_of() -> list[bytes]:
        return [message async for message in messages(pieces())]

    assert len(asyncio.run(all_of())) == count


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINE_MAX_BYTES", 10)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 8

    async def first() -> bytes:
        return await anext(messages(endless()))

    with pytest.raises(ValueError, match="more than 10 bytes"):
        asyncio.run(first())
