"""Up to which moment the hours of all sites are published: read from the manifests now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from recount.errors import Unavailable
from recount.periods import HOUR_MS, hour_start_ms
from recount.store.manifests import Manifests

KEPT_S: Final = 5.0
HOUR_KEY: Final = "hour/"

log = structlog.get_logger("live")


class PublishedUntil:
    """Callable from any thread; the end (ms UTC) of the newest published hour that is over."""

    def __init__(self, manifests: Manifests, clock: Callable[[], float] = time.monotonic) -> None:
        self._manifests = manifests
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._known: int | None = None

    def __call__(self) -> int | None:
        with self._lock:
            if self._clock() - self._read_at >= KEPT_S:
                self._read_at = self._clock()
                try:
                    self._known = self._read()
                except Unavailable as error:
                    log.warning("manifests_unavailable", error=str(error))
            return self._known

    def _read(self) -> int | None:
        root = self._manifests.current()
        if root is None:
            return None
        for month in sorted(root.months, reverse=True):
            periods = self._manifests.manifest(month, root.months[month]).periods
            closed = [
                k for k, entry in periods.items() if k.startswith(HOUR_KEY) and entry.open_until is None
            ]
            if closed:
                return hour_start_ms(max(closed).removeprefix(HOUR_KEY)) + HOUR_MS
        return None
