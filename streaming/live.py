"""`python -m streaming.live`: one instance of the live service, one process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx
import structlog

from recount import kafka
from recount.discovery import Instance, Presence, open_directory
from recount.logs import configure
from recount.metrics import Metrics
from recount.settings import Settings
from recount.stopping import Stopping
from recount.store.archive import Archive
from recount.store.catalog import Catalog
from recount.store.manifests import Manifests
from recount.store.tables import Tables, open_tables
from recount.store.tombstones import Tombstones, remembered
from streaming.carries import ArchivedCarries
from streaming.follower import Follower
from streaming.peers import SERVICE, Peers
from streaming.pipeline import Pipeline
from streaming.published import PublishedUntil
from streaming.service import Service, serve
from streaming.sites import SitesCache
from streaming.state import LiveState
from streaming.views import Views
from streaming.web import create_app

COMPACT_EVERY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 10.0

log = structlog.get_logger("live")


class Live:
    """One instance, wired: a consumer thread, a compacting thread, and the HTTP service."""

    def __init__(self, settings: Settings, tables: Tables, client: httpx.Client) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self.state = LiveState()
        sites = SitesCache(Catalog(tables.catalog).ruled)
        metrics = Metrics()
        self.follower = Follower(
            kafka.consumer(settings, kafka.live_group(settings), options=_membership(self.id)),
            Pipeline(self.state, sites, remembered(Tombstones(tables.catalog).active, patient=True)),
            ArchivedCarries(Archive(settings.archive_root), sites, settings.kafka_partitions),
            metrics,
            live_hours=settings.live_hours,
        )
        self.directory = open_directory(settings)
        views = Views(
            self.state,
            self.follower,
            sites,
            Peers(self.directory, self.id, client),
            PublishedUntil(Manifests(tables.manifests)),
            partitions=settings.kafka_partitions,
        )
        minutes_max = settings.live_hours * 60
        app = create_app(views, lambda: self.follower.ready, metrics, minutes_max=minutes_max)
        self.service = Service(app, views, metrics)

    @property
    def id(self) -> str:
        return f"live-{socket.gethostname()}-{self._settings.live_port}"

    def describe(self) -> Instance:
        """What the directory says of this instance now."""
        owned = ",".join(map(str, sorted(self.follower.partitions)))
        return Instance(
            SERVICE, self.id, self._settings.host, self._settings.live_port, {"partitions": owned}
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or a thread dies: then the supervisor starts a fresh process."""
        loop = asyncio.get_running_loop()
        threads = [
            threading.Thread(target=self._thread, args=(work, loop, stop), name=name, daemon=True)
            for name, work in (("consumer", self.follower.run), ("compactor", self._compact))
        ]
        for thread in threads:
            thread.start()
        with Presence(self.directory, self.describe) as presence:
            _stop_on_signals(loop, Stopping(presence, self._settings.drain_s, partial(_set, loop, stop)))
            await serve(self.service, self._settings.host, self._settings.live_port, stop)
        self._stopping.set()
        self.follower.stop()
        for thread in threads:
            await asyncio.to_thread(thread.join, STOP_TIMEOUT_S)

    def _thread(self, work: Callable[[], None], loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        try:
            work()
        finally:
            loop.call_soon_threadsafe(stop.set)

    def _compact(self) -> None:
        while not self._stopping.wait(COMPACT_EVERY_S):
            self.state.compact(self.follower.horizon_ms)


def _membership(instance: str) -> dict[str, str | int]:
    """A restarted instance gets its partitions back without a rebalance; others keep theirs through one."""
    return {
        "group.instance.id": instance,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 8_000,
        "heartbeat.interval.ms": 1_500,
        "max.poll.interval.ms": 300_000,
    }


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: it is done already
        loop.call_soon_threadsafe(event.set)


def _stop_on_signals(loop: asyncio.AbstractEventLoop, stopping: Callable[[int], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _stop_on_signals(loop, lambda _: stop.set())
    with httpx.Client() as client:
        live = Live(settings, open_tables(settings), client)
        log.info("serving", port=settings.live_port)
        await live.run(stop)
    log.info("stopped")


def main() -> None:
    settings = Settings.from_env()
    configure(settings.log_level)
    asyncio.run(_main(settings))


if __name__ == "__main__":
    main()
