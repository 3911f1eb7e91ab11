"""Looks, decides and acts, over and over; what it decided and why is kept, logged and counted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import structlog

from edge.autoscale.decide import Decision, Observation, State, decide
from edge.autoscale.policy import Mode, Policy
from edge.autoscale.signals import Signal
from recount import metrics as m
from recount.errors import RecountError
from recount.metrics import Metrics

REMEMBERED_MAX: Final = 200
ADVANCE_EVERY_S: Final = 1.0

log = structlog.get_logger("autoscaler")


class Actuator(Protocol):
    """What starts and stops instances. Every call may raise RecountError: then it is tried again later."""

    def current(self, service: str) -> int:
        """How many instances are wanted at present, starting ones included, leaving ones not."""
        ...

    def scale(self, service: str, instances: int) -> None:
        """Ask for so many; returns at once."""
        ...

    def advance(self, service: str) -> str:
        """Go on with what was asked for; in words what it waits for, empty where nothing is left to do."""
        ...


@dataclass
class Watched:
    """A service under control."""

    policy: Policy
    signal: Signal
    state: State = field(default_factory=State)


@dataclass(frozen=True)
class Remembered:
    """One decision as `/v1/decisions` shows it; `at` is ms UTC, `done` whether it was carried out."""

    at: int
    service: str
    instances: int
    wanted: int
    done: bool
    reason: str


class Controller:
    """`step` is one round; `run` goes on until `stop`."""

    def __init__(
        self,
        watched: Sequence[Watched],
        actuator: Actuator,
        metrics: Metrics,
        mode: Mode,
        *,
        advanced: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`advanced`: further services whose scaling, asked for by hand, is carried on."""
        self._watched = {each.policy.service: each for each in watched}
        self._actuator = actuator
        self._metrics = metrics
        self.mode = mode
        self._clock = clock
        self._stop = threading.Event()
        self._waiting: dict[str, str] = dict.fromkeys([*self._watched, *advanced], "")
        self._latest: dict[str, Remembered] = {}
        self._changes: deque[Remembered] = deque(maxlen=REMEMBERED_MAX)
        self.stepped_at = clock()

    def run(self, interval_s: float) -> None:
        decided_at = float("-inf")
        while not self._stop.is_set():
            if self._clock() - decided_at >= interval_s:
                decided_at = self._clock()
                self.step()
            self.advance()
            self.stepped_at = self._clock()
            self._stop.wait(ADVANCE_EVERY_S)

    def stop(self) -> None:
        self._stop.set()

    def step(self) -> None:
        """Decide for every service, and act where that is wanted."""
        if self.mode is Mode.OFF:
            return
        for service, watched in self._watched.items():
            try:
                self._decide(service, watched)
            except RecountError as error:
                log.warning("cannot decide; trying again", service=service, error=str(error))

    def advance(self) -> None:
        """Go on with what was asked for, by whomever."""
        for service, before in self._waiting.items():
            try:
                now = self._actuator.advance(service)
            except RecountError as error:
                now = f"{service}: {error}"
            if now != before:
                self._waiting[service] = now
                log.info("scaling", service=service, state=now or "done")

    def report(self) -> dict[str, Any]:
        """What `/v1/decisions` answers; changes newest first."""
        return {
            "mode": self.mode.value,
            "now": dict(self._latest),
            "waiting": {service: text for service, text in self._waiting.items() if text},
            "changes": list(self._changes)[::-1],
        }

    def _decide(self, service: str, watched: Watched) -> None:
        seen = watched.signal.look(self._actuator.current(service), self._clock())
        decision = decide(watched.state, seen, watched.policy, self._clock())
        acts = decision.changes and self.mode is Mode.ON
        if acts:
            self._actuator.scale(service, decision.wanted)
        # What was not done is not what runs: the next decision must not take it for somebody's change.
        watched.state = decision.state if acts else replace(decision.state, instances=decision.instances)
        self._remember(service, decision, acts)
        self._show(service, seen, decision)

    def _remember(self, service: str, decision: Decision, acts: bool) -> None:
        now_ms = time.time_ns() // 1_000_000
        kept = Remembered(now_ms, service, decision.instances, decision.wanted, acts, decision.reason)
        self._latest[service] = kept
        if not decision.changes:
            log.debug("decided", service=service, instances=decision.instances, why=decision.reason)
            return
        self._changes.append(kept)
        log.info(
            "scales" if acts else "would scale",
            service=service,
            instances=decision.instances,
            wanted=decision.wanted,
            why=decision.reason,
        )
        direction = "up" if decision.wanted > decision.instances else "down"
        self._metrics.counter(m.AUTOSCALE_CHANGES).labels(service, direction, self.mode.value).inc()

    def _show(self, service: str, seen: Observation, decision: Decision) -> None:
        gauge = self._metrics.gauge
        gauge(m.AUTOSCALE_INSTANCES).labels(service).set(decision.instances)
        gauge(m.AUTOSCALE_WANTED).labels(service).set(decision.wanted)
        gauge(m.AUTOSCALE_BACKLOG).labels(service).set(seen.backlog)
        gauge(m.AUTOSCALE_BLIND).labels(service).set(seen.load_per_s is None)
        if seen.load_per_s is not None:
            gauge(m.AUTOSCALE_LOAD).labels(service).set(seen.load_per_s)
