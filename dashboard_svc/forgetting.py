"""Lets go of segments kept in memory when something was erased: a deleted one must not live on here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from recount.errors import Unavailable
from recount.store.tombstones import Buried

LOOK_EVERY_S: Final = 10.0

log = structlog.get_logger("dashboard")


class Forgetting:
    """Looks for new erasures in a thread of its own, as long as the `with` block lasts."""

    def __init__(self, buried: Buried, forget: Callable[[], object], every_s: float = LOOK_EVERY_S) -> None:
        self._buried, self._forget, self._every_s = buried, forget, every_s
        self._known: frozenset[tuple[str, bool]] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forgetting", daemon=True)

    def __enter__(self) -> Forgetting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Forget everything if there is an erasure, or one has got further, since the last look."""
        try:
            found = frozenset((tombstone.id, tombstone.done) for tombstone in self._buried())
        except Unavailable as error:
            log.warning("tombstones_unavailable", error=str(error))
            return
        if self._known is not None and not found <= self._known:
            self._forget()
            log.info("segments_forgotten", erasures=len(found))
        self._known = found

    def _run(self) -> None:
        self.look()
        while not self._stop.wait(self._every_s):
            self.look()
