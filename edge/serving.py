"""An instance is in the directory while it should be sent requests: once it is ready, until it drains."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from recount.discovery import Directory, Instance
from recount.drains import Drains

log = structlog.get_logger("ingest")


class WhileServing:
    """The directory as an instance enters itself; looks at each heartbeat whether it may, or has to leave."""

    def __init__(
        self,
        directory: Directory,
        drains: Drains,
        is_ready: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._drains = drains
        self._is_ready = is_ready
        self._clock = clock
        self._left_at: float | None = None

    @property
    def left_s(self) -> float | None:
        """How long the instance has been out of the directory because it drains; None where it does not."""
        return None if self._left_at is None else self._clock() - self._left_at

    def register(self, instance: Instance) -> None:
        """Enter or refresh it where it is ready and not asked to drain."""
        if self._drains.asked(instance.id):
            self._leave(instance)
            return
        if self._left_at is not None:
            log.info("drain cancelled", instance=instance.id)
        self._left_at = None
        if self._is_ready():
            self._directory.register(instance)

    def deregister(self, instance: Instance) -> None:
        self._directory.deregister(instance)

    def instances(self, service: str) -> list[Instance]:
        return self._directory.instances(service)

    def routes(self, instance: Instance) -> bool:
        return self._directory.routes(instance)

    def _leave(self, instance: Instance) -> None:
        """At each beat again: a directory that was away at the first may have kept it."""
        self._directory.deregister(instance)
        if self._left_at is None:
            self._left_at = self._clock()
            log.info("draining: out of the directory", instance=instance.id)
