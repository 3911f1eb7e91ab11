"""How many scans run at once, how many wait, how long one may take, and when nobody waits for it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from recount.errors import RecountError, Unavailable
from recount.metrics import SCAN_REFUSED, SCANS_PRESENT, Metrics

PART: Final = "the archive's readers"
LOOK_EVERY_S: Final = 0.2


class Busy(Unavailable):
    """As many scans run and wait as may."""


class TooSlow(Unavailable):
    """The scan was not done by its deadline."""


class Cancelled(RecountError):
    """Whoever asked is gone."""


def never() -> bool:
    return False


@dataclass(frozen=True)
class Stop:
    """Asked between pieces of work. `is_gone`: whether nobody waits for the answer any more."""

    end_s: float  # time.monotonic()
    is_gone: Callable[[], bool] = never

    def check(self) -> None:
        """Raises Cancelled or TooSlow."""
        if self.is_gone():
            raise Cancelled("whoever asked is gone")
        if time.monotonic() >= self.end_s:
            raise TooSlow(PART, "the answer took too long; ask for a shorter range or for less at once")


class Gate:
    """Lets `running` scans in, lets `waiting` more wait, refuses the others."""

    def __init__(self, running: int, waiting: int, deadline_s: float, metrics: Metrics) -> None:
        self._running, self._most = running, running + waiting
        self._deadline_s = deadline_s
        self._metrics = metrics
        self._changed = threading.Condition()
        self._present = self._inside = 0

    @property
    def present(self) -> int:
        """Scans that run or wait."""
        return self._present

    @contextmanager
    def enter(self, is_gone: Callable[[], bool] = never, deadline_s: float | None = None) -> Iterator[Stop]:
        """One scan. Raises Busy, TooSlow or Cancelled; `deadline_s` is the setting's unless given."""
        stop = Stop(time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s), is_gone)
        try:
            with self._counted(), self._turn(stop):
                yield stop
        except (Busy, TooSlow, Cancelled) as error:
            self._metrics.counter(SCAN_REFUSED).labels(_REASONS[type(error)]).inc()
            raise

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            if self._present >= self._most:
                raise Busy(PART, f"{self._present} scans of the archive run or wait; try again in a moment")
            self._present += 1
            self._metrics.gauge(SCANS_PRESENT).set(self._present)
        try:
            yield
        finally:
            with self._changed:
                self._present -= 1
                self._metrics.gauge(SCANS_PRESENT).set(self._present)

    @contextmanager
    def _turn(self, stop: Stop) -> Iterator[None]:
        with self._changed:
            while self._inside >= self._running:
                stop.check()
                self._changed.wait(LOOK_EVERY_S)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify()


_REASONS: Final[dict[type[RecountError], str]] = {Busy: "busy", TooSlow: "too_slow", Cancelled: "cancelled"}
