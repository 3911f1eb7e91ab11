"""More or fewer instances of a part; an ingest instance is not stopped before its spool is empty.

How many are wanted is kept in the stack's manifest. `Scaler.step` moves what runs nearer to that, and may
be called by anybody at any time: whoever asked may be gone. Asking for more again cancels a drain.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import httpx
import msgspec

from deploy.local.control import Control, NotRunning
from deploy.local.layout import Layout, load_manifest
from recount.drains import Drains
from recount.settings import Settings

DRAINED_FIRST: Final = frozenset({"ingest"})  # its disk holds what nobody else has yet
ASK_TIMEOUT_S: Final = 2.0
SILENT_MAX_S: Final = 60.0


class SpoolState(msgspec.Struct, frozen=True):
    """What `GET /v1/spool` says of an instance."""

    last_seq: int
    shipped_seq: int
    waiting_bytes: int
    quiet_s: float
    left_s: float | None


@dataclass(frozen=True)
class Scaling:
    """How far a part is: `draining` says of each instance on its way out what it waits for."""

    part: str
    wanted: int
    running: int
    draining: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        return self.running == self.wanted

    def __str__(self) -> str:
        count = f"{self.part}: {self.running} instance{'' if self.running == 1 else 's'}"
        if self.done:
            return count
        return "; ".join([f"{count}, {self.wanted} wanted", *self.draining])


class Scaler:
    """Scales the parts of one stack."""

    def __init__(
        self,
        layout: Layout,
        control: Control,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._layout = layout
        self._control = control
        self._settings = settings
        self._drains = Drains(settings.drains_root)
        self._clock = clock
        self._silent_since: dict[str, float] = {}
        self._client = httpx.Client(timeout=ASK_TIMEOUT_S, trust_env=False, transport=transport)

    def wanted(self, part: str) -> int:
        """How many instances were asked for last. Raises NotRunning where there is no stack."""
        manifest = load_manifest(self._layout)
        if manifest is None:
            raise NotRunning("the stack is not running")
        return manifest.instances.get(part, 1)

    def ask(self, part: str, instances: int) -> None:
        """Remember how many are wanted, now and after a restart of whoever carries it out."""
        with self._one_at_a_time():
            manifest = load_manifest(self._layout)
            if manifest is None:
                raise NotRunning("the stack is not running")
            replace(manifest, instances=manifest.instances | {part: instances}).save(self._layout)

    def step(self, part: str) -> Scaling:
        """Start what is missing, or drain what is too many and stop what is drained. Raises NotRunning."""
        with self._one_at_a_time():
            wanted, running = self.wanted(part), self._control.instances(part)
            if running < wanted:
                self._control.scale(part, wanted)
                running = wanted
            if part not in DRAINED_FIRST or not self._control.active(part):
                return self._stop_last(part, wanted, running)
            for number in range(1, wanted + 1):
                self._drains.cancel(self._id(part, number))
            return self._drain(part, wanted, running)

    def _stop_last(self, part: str, wanted: int, running: int) -> Scaling:
        """One at a time: the supervisor does nothing else meanwhile."""
        if running > wanted:
            running -= 1
            self._control.scale(part, running)
        return Scaling(part, wanted, running)

    def _drain(self, part: str, wanted: int, running: int) -> Scaling:
        leaving = range(running, wanted, -1)
        late = [number for number in range(1, wanted + 1) if leaving and not self._is_ready(number)]
        if late:  # one that was just started again, say: nobody leaves before the others can serve
            return Scaling(
                part, wanted, running, tuple(f"{self._id(part, n)} is not ready to serve alone" for n in late)
            )
        for number in leaving:
            self._drains.ask(self._id(part, number))
        reasons = [self._keeps(part, number) for number in leaving]
        if leaving and reasons[0] is None:
            running -= 1
            self._control.scale(part, running)
            self._drains.cancel(self._id(part, leaving[0]))
        said = [
            f"{self._id(part, number)} {reason or 'is drained'}"
            for number, reason in zip(leaving, reasons, strict=True)
            if number <= running
        ]
        return Scaling(part, wanted, running, tuple(said))

    def _keeps(self, part: str, number: int) -> str | None:
        """Why an instance cannot be stopped yet, in words; None where it can."""
        name = self._id(part, number)
        state = self._ask(self._port(number))
        if state is None:
            silent_s = self._clock() - self._silent_since.setdefault(name, self._clock())
            # What it acknowledged is in its spool, which the shipper empties after its death as well.
            return None if silent_s >= SILENT_MAX_S else "does not answer"
        self._silent_since.pop(name, None)
        return self._waits_for(state)

    def _waits_for(self, state: SpoolState) -> str | None:
        if state.left_s is None:
            return "leaves the directory"
        if min(state.left_s, state.quiet_s) < self._settings.drain_s:
            return "serves what still comes"
        events = state.last_seq - state.shipped_seq
        if state.waiting_bytes or events:
            return f"drains, {events:,} events wait for {'Kafka' if self._kafka_is_away() else 'the shipper'}"
        return None

    def _kafka_is_away(self) -> bool:
        try:
            return self._get(self._settings.shipper_port, "/readyz").status_code == 503
        except httpx.HTTPError:
            return False

    def _is_ready(self, number: int) -> bool:
        try:
            return self._get(self._port(number), "/readyz").is_success
        except httpx.HTTPError:
            return False

    def _ask(self, port: int) -> SpoolState | None:
        try:
            answer = self._get(port, "/v1/spool").raise_for_status()
            return msgspec.json.decode(answer.content, type=SpoolState)
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    def _get(self, port: int, path: str) -> httpx.Response:
        return self._client.get(f"http://{self._settings.host}:{port}{path}")

    def _port(self, number: int) -> int:
        return self._settings.ingest_port + number - 1

    def _id(self, part: str, number: int) -> str:
        return f"{part}-{self._port(number)}"

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with self._layout.scale_lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
