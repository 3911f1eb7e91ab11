"""Server-sent events for browsers: one connection to the live service per site, however many are watching.

Everything here runs on one event loop, so that a watcher costs a few kilobytes and no thread. A watcher is
always sent the newest state and never a queue of old ones: a slow one holds up nobody, itself excepted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import httpx
import orjson
import structlog

from recount.discovery import Directory
from recount.metrics import Metrics, Spec

WATCHERS_MAX: Final = 1_000
FEEDS_MAX: Final = 200
HEARTBEAT_S: Final = 15.0
LINGER_S: Final = 5.0
SILENCE_MAX_S: Final = 40.0  # the live service sends a heartbeat every 15 s
LINE_MAX_BYTES: Final = 1024**2
RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
SHOWN: Final = ("as_of", "published_until", "current_visitors", "minutes", "totals")

WATCHERS: Final = Spec("recount_dashboard_watchers", "Browsers that watch a live stream")
REFUSED: Final = Spec("recount_dashboard_watchers_refused_total", "Streams refused because too many are open")


class TooMany(Exception):
    """No more watchers fit."""


class Feed:
    """The newest state of one site, and a connection that keeps it new while somebody watches."""

    def __init__(self) -> None:
        self.message = b""
        self.number = 0
        self.watchers = 0
        self.changed = asyncio.Condition()
        self.task: asyncio.Task[None] | None = None

    async def publish(self, message: bytes) -> None:
        async with self.changed:
            self.message, self.number = message, self.number + 1
            self.changed.notify_all()


class Streams:
    """Opens a feed with its first watcher and closes it a little after the last one left."""

    def __init__(
        self, directory: Directory, metrics: Metrics, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._directory = directory
        self._transport = transport
        self._feeds: dict[str, Feed] = {}
        self._watchers = metrics.gauge(WATCHERS)
        self._refused = metrics.counter(REFUSED)
        self._open = 0

    async def watch(self, site: str) -> AsyncGenerator[bytes, None]:
        """Messages for one browser, without end: the caller closes it. Raises TooMany at the first."""
        feed = self._enter(site)
        try:
            seen = 0
            while True:
                if feed.number != seen:
                    seen = feed.number
                    yield feed.message
                elif not await _waits(feed, seen):
                    yield b": still here\n\n"
        finally:
            self._leave(site, feed)

    async def close(self) -> None:
        """End every feed."""
        tasks = [feed.task for feed in self._feeds.values() if feed.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enter(self, site: str) -> Feed:
        if self._open >= WATCHERS_MAX or (site not in self._feeds and len(self._feeds) >= FEEDS_MAX):
            self._refused.inc()
            raise TooMany
        feed = self._feeds.get(site)
        if feed is None:
            feed = self._feeds[site] = Feed()
            feed.task = asyncio.get_running_loop().create_task(self._run(site, feed))
        feed.watchers += 1
        self._open += 1
        self._watchers.set(self._open)
        return feed

    def _leave(self, site: str, feed: Feed) -> None:
        feed.watchers -= 1
        self._open -= 1
        self._watchers.set(self._open)
        if not feed.watchers:
            asyncio.get_running_loop().call_later(LINGER_S, self._end_if_idle, site, feed)

    def _end_if_idle(self, site: str, feed: Feed) -> None:
        if feed.watchers or self._feeds.get(site) is not feed:
            return
        del self._feeds[site]
        if feed.task is not None:
            feed.task.cancel()

    async def _run(self, site: str, feed: Feed) -> None:
        failures = 0
        timeout = httpx.Timeout(SILENCE_MAX_S, connect=1.0)
        async with httpx.AsyncClient(timeout=timeout, transport=self._transport, trust_env=False) as client:
            while True:
                if await self._follow(client, site, feed, failures):
                    failures = 0
                await feed.publish(b"event: away\ndata: {}\n\n")
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _follow(self, client: httpx.AsyncClient, site: str, feed: Feed, attempt: int) -> bool:
        """Pass on one connection's messages until it ends; whether there were any."""
        instances = self._directory.instances("live")
        if not instances:
            return False
        instance = instances[attempt % len(instances)]
        had_any = False
        try:
            async with client.stream("GET", f"{instance.url}/v1/live/{site}/stream") as answer:
                if answer.status_code != httpx.codes.OK:
                    return False
                async for data in messages(answer.aiter_bytes()):
                    await feed.publish(b"event: live\ndata: " + data + b"\n\n")
                    had_any = True
        except (httpx.HTTPError, ValueError) as error:
            structlog.get_logger().info("stream_ended", instance=instance.id, error=type(error).__name__)
        return had_any


async def messages(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What the page needs of each event of a stream. Raises ValueError for what is none."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_MAX_BYTES:
            raise ValueError(f"a line of more than {LINE_MAX_BYTES} bytes")
        for line in lines:
            if line.startswith(b"data:"):
                yield _shown(orjson.loads(line[5:]))


def _shown(state: dict[str, Any]) -> bytes:
    return orjson.dumps({name: state.get(name) for name in SHOWN})


async def _waits(feed: Feed, seen: int) -> bool:
    """Whether something new came before the next heartbeat was due."""
    try:
        async with asyncio.timeout(HEARTBEAT_S), feed.changed:
            await feed.changed.wait_for(lambda: feed.number != seen)
    except TimeoutError:
        return False
    return True
