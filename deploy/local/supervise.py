"""The supervisor process: circus, set up from the list of parts, controlled by a socket in the state folder.

Entry point `python -m deploy.local.supervise STATE_FOLDER`. Nothing starts by itself: `up` asks for each
part. A part that dies is started again, its instances can be scaled in place, and what a dead process left
behind is ended before its successor starts (a surviving child would hold its port and serve old code).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from circus.arbiter import Arbiter
from circus.exc import ConflictError
from circus.process import Process
from circus.stream.redirector import Redirector
from circus.watcher import Watcher
from tornado import gen
from tornado.ioloop import PeriodicCallback

from deploy.local import leftovers, nursery
from deploy.local.layout import ROOT, Layout, Manifest, load_manifest
from deploy.local.parts import CODE_PORT_VARIABLE, NURSERY, Part, all_parts, code_port
from recount.errors import SetupError
from recount.settings import Settings

STOP_WITHIN_S: Final = 10.0
CHECK_EVERY_S: Final = 0.5
PARENT_CHECK_MS: Final = 1000
DAGSTER_BATCH_EVENTS: Final = 500  # written at once: the hours of a month in two goes
LOG_MAX_BYTES: Final = 10 * 1024 * 1024
LOG_BACKUPS: Final = 2


def environment(layout: Layout, manifest: Manifest) -> dict[str, str]:
    """What every part of the stack finds in its environment."""
    settings = manifest.settings
    return {
        **{name: value for name, value in os.environ.items() if name != leftovers.PART_VARIABLE},
        **manifest.env,
        leftovers.STACK_VARIABLE: str(layout.state),
        CODE_PORT_VARIABLE: str(code_port(settings)),
        "DAGSTER_HOME": str(layout.dagster),
        "RECOUNT_DAGSTER_STATE": str(layout.dagster),
        "DAGSTER_EVENT_BATCH_SIZE": str(DAGSTER_BATCH_EVENTS),
        "PYTHONPATH": os.pathsep.join(python_path()),
        "PYTHONUNBUFFERED": "1",
        # Local parts take any key; real credentials of this machine must never reach them.
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": settings.aws_region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def python_path() -> list[str]:
    """The folders that hold our packages."""
    return [str(folder) for folder in (ROOT, ROOT / "src") if folder.is_dir()]


class OwnPipes(Redirector):  # type: ignore[misc] # circus has no types
    """Forgets a pipe whose number has gone to another process.

    circus forgets to where the pipe was closed first. The next process that is given the number, of whatever
    part, was then started and not known to run; or the old part cut off its log when it stopped.
    """

    def _start_one(self, fd: int, stream_name: str, process: Any, pipe: Any) -> int:
        if fd not in self._active:
            self.loop.remove_handler(fd)
        started: int = super()._start_one(fd, stream_name, process, pipe)
        return started

    def _stop_one(self, fd: int) -> int:
        ours = self._active.pop(fd, None)
        if ours is None:
            return 0
        if self.loop.handlers.get(fd, (None, None))[1] is ours:
            self.loop.remove_handler(fd)
        return 1


class PartProcess(Process):  # type: ignore[misc] # circus has no types
    """A process of a part; born in the nursery where the watcher has one and it is open."""

    def spawn(self) -> None:
        address = self.watcher.nursery
        _, _, *module = self.format_args()  # after the interpreter and its -m
        self._worker = nursery.bear(address, self.name, module) if address else None
        if self._worker is None:
            super().spawn()
        else:
            self.started = time.time()


class PartWatcher(Watcher):  # type: ignore[misc] # circus has no types
    """Keeps the workers 1 to `numprocesses`: scales down from the highest, and each keeps its port."""

    nursery: Path | None = None

    @property
    def _process_class(self) -> type[Process]:
        return PartProcess

    @property
    def _redirector_class(self) -> type[Redirector]:
        return OwnPipes

    @gen.coroutine
    def manage_processes(self) -> Any:
        for process in [p for p in self.processes.values() if p.wid > self.numprocesses]:
            if (yield self.kill_process(process)):
                self.processes.pop(process.pid, None)
        yield super().manage_processes()


def stop_within_s(settings: Settings) -> float:
    """How long a part has from its signal to SIGKILL: it may serve on for a while before it stops."""
    return STOP_WITHIN_S + settings.drain_s


def watcher(part: Part, layout: Layout, env: dict[str, str], kill_after_s: float) -> Watcher:
    def end_orphans(watcher: Watcher, **_: Any) -> bool:
        alive = [pid for pid, process in watcher.processes.items() if process.is_alive()]
        leftovers.end(leftovers.orphans_of(layout.state, part.name, alive), within_s=1.0)
        return True

    log = {
        "class": "FileStream",
        "filename": str(layout.log(part.name)),
        "max_bytes": LOG_MAX_BYTES,
        "backup_count": LOG_BACKUPS,
    }
    # What shows of the environment of a process that was forked is the nursery's: that names no part, or all
    # of them would pass for what a dead nursery left behind.
    named = {} if part.name == NURSERY else {leftovers.PART_VARIABLE: part.name}
    command, *arguments = part.command()
    made = PartWatcher(
        part.name,
        command,
        args=arguments,
        numprocesses=part.instances,
        working_dir=str(ROOT),
        env={**env, **named},
        stop_signal=signal.SIGTERM,
        graceful_timeout=kill_after_s,
        autostart=False,
        stdout_stream=log,
        stderr_stream=log,
        hooks={"before_spawn": (end_orphans, False)},
    )
    made.nursery = nursery.address(layout) if part.nursed else None
    return made


def arbiter(layout: Layout, manifest: Manifest) -> Arbiter:
    env = environment(layout, manifest)
    parts = all_parts(manifest.settings, manifest.instances)
    return Arbiter(
        [watcher(part, layout, env, stop_within_s(manifest.settings)) for part in parts],
        endpoint=layout.control,
        pubsub_endpoint=layout.events,
        check_delay=CHECK_EVERY_S,
        multicast_endpoint="",  # no discovery on the network
    )


class Quiet(logging.Filter):
    """Leaves away that the periodic check had to wait for a command; it comes round again."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ConflictError))


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("tornado.application").addFilter(Quiet())
    layout = Layout(Path(sys.argv[1]))
    manifest = load_manifest(layout)
    if manifest is None:
        raise SetupError("stack", f"{layout.manifest} is missing", "start with `./recount up`")
    _make_dagster_home(layout)
    if nursery.SUPPORTED:
        nursery.adopt_orphans()
    supervisor = arbiter(layout, manifest)
    if "--with-parent" in sys.argv[2:]:
        _end_with_parent()
    supervisor.start()


def _make_dagster_home(layout: Layout) -> None:
    """Dagster writes beside its settings, so it gets a folder of its own that points to ours."""
    link = layout.dagster / "dagster.yaml"
    layout.dagster.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(ROOT / "dagster.yaml")


def _end_with_parent() -> None:
    """For tests: the stack goes when the process that started it goes, however that ended."""
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    PeriodicCallback(check, PARENT_CHECK_MS).start()


if __name__ == "__main__":
    main()
