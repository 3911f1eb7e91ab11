"""Keeps an instance in the directory while it runs, and lets it go in the right order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from recount.discovery.directory import Directory, Instance
from recount.errors import Unavailable

HEARTBEAT_S: Final = 2.0

log = structlog.get_logger("directory")


class Presence:
    """Keeps an instance in the directory while a service runs: `with Presence(directory, describe): ...`."""

    def __init__(self, directory: Directory, describe: Callable[[], Instance]) -> None:
        self._directory = directory
        self._describe = describe
        self._stop = threading.Event()
        self._leaving = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="presence", daemon=True)

    def __enter__(self) -> Presence:
        self._directory.register(self._describe())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> bool:
        """Leave the directory for good. Whether somebody may still send requests for a moment."""
        with self._leaving:
            if self._stop.is_set():
                return False
            self._stop.set()
            self._thread.join(timeout=HEARTBEAT_S * 2)
            instance = self._describe()
            routed = self._directory.routes(instance)
            try:
                self._directory.deregister(instance)
            except (OSError, Unavailable) as error:  # it expires there by itself
                log.warning("not deregistered", error=str(error))
            return routed

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._directory.register(self._describe())
            except (OSError, Unavailable) as error:
                # A full disk, say: who misses a beat must not be gone for good.
                log.warning("not registered; trying again", error=str(error))
