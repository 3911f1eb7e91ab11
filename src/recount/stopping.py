"""What an instance does when it is told to stop: leave the directory, serve on for a moment, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import structlog

from recount.discovery import Presence

log = structlog.get_logger("stopping")


class Stopping:
    """A signal handler. The first SIGTERM stops gently; a second one, or SIGINT, at once.

    `stop` makes the server stop and returns at once; it may be called from any thread, and more than once.
    """

    def __init__(self, presence: Presence, serve_on_s: float, stop: Callable[[], None]) -> None:
        """`serve_on_s`: how long to serve on where somebody may still send requests after we have left."""
        self._presence = presence
        self._serve_on_s = serve_on_s
        self._stop = stop
        self._at_once = threading.Event()
        self._begun = False

    def __call__(self, number: int, _frame: object = None) -> None:
        if number == signal.SIGTERM and not self._begun:
            self._begun = True
            threading.Thread(target=self._gently, name="stopping", daemon=True).start()
        else:
            self._at_once.set()
            self._stop()

    def _gently(self) -> None:
        try:
            if self._presence.leave():
                log.info("out of the directory; serving on", seconds=self._serve_on_s)
                self._at_once.wait(self._serve_on_s)
        finally:
            self._stop()
