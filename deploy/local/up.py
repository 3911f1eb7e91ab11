"""Brings a stack up, waits until every part is healthy, and takes it down again."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Protocol

from deploy.local import health, jars, leftovers
from deploy.local.control import Control, Running
from deploy.local.instance import forget_ports
from deploy.local.layout import Layout, Manifest, cache_folder, load_manifest, log_tail
from deploy.local.parts import NURSERY, PREPARED, PREPARED_FROM, Part, all_parts
from deploy.local.preflight import preflight
from deploy.local.scaling import Scaler
from recount.drains import Drains
from recount.errors import Conflict, SetupError

ASK_EVERY_S: Final = 0.3
AUTOSCALER: Final = "autoscaler"
JAVA_PARTS: Final = ("kafka", "dynamodb")


class Reporter(Protocol):
    """Told how far the start is."""

    def step(self, text: str, done: int = 0, total: int = 0) -> None:
        """Something that takes time has begun or moved on."""
        ...

    def waiting(self, part: str, why: str) -> None:
        """A part is not healthy yet."""
        ...

    def healthy(self, part: str, after_s: float) -> None:
        """A part became healthy."""
        ...

    def scaling(self, part: str, how_far: str) -> None:
        """Instances are still to be stopped, and what they wait for."""
        ...

    def joins_later(self, part: str, why: str) -> None:
        """A part has to be made first; the start does not wait for it."""
        ...

    def warn(self, text: str) -> None:
        """Something that the operator should know."""
        ...


class Silent:
    """For callers that show nothing."""

    def step(self, text: str, done: int = 0, total: int = 0) -> None: ...
    def waiting(self, part: str, why: str) -> None: ...
    def healthy(self, part: str, after_s: float) -> None: ...
    def scaling(self, part: str, how_far: str) -> None: ...
    def joins_later(self, part: str, why: str) -> None: ...
    def warn(self, text: str) -> None: ...


class Stack:
    """One stack: the manifest it runs with, its supervisor, and the order in which its parts start."""

    def __init__(
        self, manifest: Manifest, reporter: Reporter | None = None, *, with_parent: bool = False
    ) -> None:
        """With `with_parent` what it starts ends when this process does, however that happens."""
        self._with_parent = with_parent
        self.manifest = manifest
        self.settings = manifest.settings
        self.layout = Layout.of(self.settings)
        self.control = Control(self.layout)
        self.scaler = Scaler(self.layout, self.control, self.settings)
        self.parts = all_parts(self.settings, manifest.instances)
        self._report: Reporter = reporter or Silent()
        self._began = 0.0
        self._started_at: dict[str, float] = {}
        self._log_from: dict[str, int] = {}
        self._pids: dict[str, frozenset[int]] = {}
        self._waited_for: frozenset[str] = frozenset()

    def up(self, names: Sequence[str] | None = None) -> None:
        """Start the named parts and what they need (all where none are named), and wait for their health.

        Only what is named is waited for where it has to be made first. Harmless where they run. Raises
        SetupError; then what this call started is stopped again.
        """
        wanted = self.parts if names is None else with_needs(self.parts, names)
        self._waited_for = frozenset() if names is None else frozenset(part.name for part in wanted)
        with _one_at_a_time(self.layout):
            fresh = not self.control.alive()
            running = {} if fresh else self.control.running()
            missing = [p for p in wanted if p.name not in running or not running[p.name].active]
            for warning in preflight(self.settings, missing):
                self._report.warn(warning)
            self._fetch(missing)
            try:
                if fresh:
                    Drains(self.settings.drains_root).clear()
                    forget_ports(self.layout)
                    self.control.start_supervisor(self.manifest, with_parent=self._with_parent)
                self._start(wanted)
            except BaseException:
                self.control.quit() if fresh else self._stop(missing)
                raise

    def down(self) -> bool:
        """Stop everything, services before what they store into; False where nothing ran."""
        with _one_at_a_time(self.layout):
            if not self.control.alive():
                left = leftovers.processes_of(self.layout.state)
                leftovers.end(left)
                return bool(left)
            self._stop([part for part in self.parts if part.name == AUTOSCALER])  # or it would start others
            for part in self.parts:
                if part.scalable:  # nobody will be sent to it any more
                    self.control.hurry(part.name)
            self._stop([part for part in self.parts if part.after])
            self.control.quit()
            return True

    def restart(self, name: str) -> None:
        """Start a part afresh, with the code and files of now, and wait for its health.

        Raises NotRunning where the stack does not run, SetupError where the part does not come back.
        """
        part = part_named(self.parts, name)
        with _one_at_a_time(self.layout):
            self.control.restart(name)
            self._start([part])

    def scale(self, part: str, instances: int) -> None:
        """Set how many instances of a part run, and wait until so many do. Raises NotRunning.

        An ingest instance is stopped when its spool is empty; where that takes long the reporter is told why.
        """
        self.scaler.ask(part, instances)
        while not (scaling := self.scaler.step(part)).done:
            self._report.scaling(part, str(scaling))
            if self.scaler.wanted(part) != instances:
                raise Conflict(f"{part}: somebody else asked for {self.scaler.wanted(part)} meanwhile")
            time.sleep(ASK_EVERY_S)

    def _fetch(self, missing: Sequence[Part]) -> None:
        programs = [part.name for part in missing if part.name in JAVA_PARTS]

        def progress(there: int, total: int) -> None:
            self._report.step("Fetching Kafka and DynamoDB Local", there, total)

        if programs:
            jars.fetch(programs, cache_folder(), progress)

    def _start(self, wanted: Sequence[Part]) -> None:
        """Start each part when what it needs is healthy, until all are."""
        self._began = time.monotonic()
        self._pids.clear()
        waiting, starting = list(wanted), list[Part]()
        done = {NURSERY, *(part.name for part in self.parts)} - {part.name for part in wanted}  # they run
        preparing: Future[None] | None = None
        with ThreadPoolExecutor(max_workers=len(wanted) + 1) as pool:
            while waiting or starting:
                if preparing is None and not any(p.name in PREPARED_FROM for p in [*waiting, *starting]):
                    preparing = pool.submit(self._prepare, waiting)
                if preparing is not None and preparing.done():
                    preparing.result()
                    done.add(PREPARED)
                ready = [part for part in waiting if done.issuperset(part.after) and _bearable(part, done)]
                waiting = [part for part in waiting if part not in ready]
                asked = [*starting, *self._ask_to_start(ready)]
                starting = self._still_starting(asked, pool)
                done |= {part.name for part in asked} - {part.name for part in starting}
                time.sleep(ASK_EVERY_S if waiting or starting else 0)

    def _prepare(self, waiting: Sequence[Part]) -> None:
        if any(PREPARED in part.after for part in waiting):
            self._report.step("Preparing topics, tables and the site demo")
            from deploy.local.prepare import prepare  # and the clients of all stores: loaded while they start

            prepare(self.settings)

    def _ask_to_start(self, parts: Sequence[Part]) -> Sequence[Part]:
        for part in parts:
            log = self.layout.log(part.name)
            self._log_from[part.name] = log.stat().st_size if log.exists() else 0
            self._started_at[part.name] = time.monotonic()
            self.control.start(part.name)
        return parts

    def _still_starting(self, starting: Sequence[Part], pool: ThreadPoolExecutor) -> list[Part]:
        running = self.control.running()
        for part in starting:
            self._check_alive(part, running.get(part.name))
        states = pool.map(lambda part: health.check(self.settings, part, running.get(part.name)), starting)
        left = []
        for part, state in zip(starting, states, strict=True):
            if state.healthy:
                self._report.healthy(part.name, time.monotonic() - self._began)
                continue
            if state.joining and part.name not in self._waited_for:
                self._report.joins_later(part.name, state.detail)
                continue
            if state.joining:
                self._started_at[part.name] = time.monotonic()
            passed_s = time.monotonic() - self._started_at[part.name]
            if state.broken or passed_s > part.start_within_s:
                cause = f"not healthy after {passed_s:.0f} s: {state.detail}"
                raise SetupError(part.name, self._with_log(part, cause), self._remedy(part))
            self._report.waiting(part.name, state.detail)
            left.append(part)
        return left

    def _check_alive(self, part: Part, running: Running | None) -> None:
        pids = frozenset(running.pids) if running else frozenset()
        if self._pids.get(part.name, pids) - pids:
            raise SetupError(part.name, self._with_log(part, "it died at its start"), self._remedy(part))
        self._pids[part.name] = pids

    def _with_log(self, part: Part, cause: str) -> str:
        lines = log_tail(self.layout.log(part.name), self._log_from.get(part.name, 0))
        return f"{cause}; its log ends with:\n{lines}" if lines else f"{cause}; it logged nothing"

    def _remedy(self, part: Part) -> str:
        return f"see the lines above and {self.layout.log(part.name)}, then run it again"

    def _stop(self, parts: Sequence[Part]) -> None:
        if parts:
            self.control.stop([part.name for part in parts])


def _bearable(part: Part, done: set[str]) -> bool:
    return not part.nursed or NURSERY in done


def part_named(parts: Sequence[Part], name: str) -> Part:
    """Raises SetupError for one that the settings leave out."""
    for part in parts:
        if part.name == name:
            return part
    variable = f"RECOUNT_{name.upper()}"
    raise SetupError(name, f"there is none, for {variable} is empty", f"set {variable} and start anew")


def with_needs(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The named parts and all that has to run before them, in the order of `parts`."""
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name == PREPARED:
            left += PREPARED_FROM
        elif name not in wanted:
            wanted.add(name)
            part = part_named(parts, name)
            left += part.after + part.beside
    return [part for part in parts if part.name in wanted]


@contextmanager
def _one_at_a_time(layout: Layout) -> Iterator[None]:
    """Two commands at once on one state folder wait for each other."""
    layout.make()
    with layout.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def running_manifest(layout: Layout) -> Manifest | None:
    """What the stack of this folder runs with; None where it does not run."""
    return load_manifest(layout) if Control(layout).alive() else None


def refuse_other_settings(running: Manifest, given: dict[str, str]) -> None:
    """Raises SetupError where variables given now differ from those that the stack runs with."""
    for name, value in given.items():
        if name in running.env and running.env[name] != value and name != "RECOUNT_STATE":
            raise SetupError(
                "stack",
                f"it runs with {name}={running.env[name]}, and {name}={value} is asked for",
                "run `./recount down` first, or leave the variable away",
            )
