"""An instance that is asked to drain leaves the directory, so that nobody is sent to it, and serves on."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from recount.discovery import Directory, Instance
from recount.drains import Drains

log = structlog.get_logger("ingest")


class DrainingDirectory:
    """The directory, but that an instance which is asked to drain is not in it. Looks at each heartbeat."""

    def __init__(
        self, directory: Directory, drains: Drains, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._drains = drains
        self._clock = clock
        self._left_at: float | None = None

    @property
    def left_s(self) -> float | None:
        """How long the instance has been out of the directory; None while it is in it."""
        return None if self._left_at is None else self._clock() - self._left_at

    def register(self, instance: Instance) -> None:
        if not self._drains.asked(instance.id):
            self._directory.register(instance)
            if self._left_at is not None:
                log.info("drain cancelled", instance=instance.id)
            self._left_at = None
        elif self._left_at is None:
            self._directory.deregister(instance)
            self._left_at = self._clock()
            log.info("draining: out of the directory", instance=instance.id)

    def deregister(self, instance: Instance) -> None:
        self._directory.deregister(instance)

    def instances(self, service: str) -> list[Instance]:
        return self._directory.instances(service)

    def routes(self, instance: Instance) -> bool:
        return self._directory.routes(instance)
