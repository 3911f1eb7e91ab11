"""Where parts are born: a process that has imported what many need, and forks one when it is asked to.

Entry point `python -m deploy.local.nursery`. Most of what a start costs is importing the same packages in
every process; here it is paid once. A part that is born here is a process of its own and a child of the
supervisor, as any other part: who forks it is a child of this process that ends at once, and the supervisor
takes what is left behind (`adopt_orphans`).

Only packages of others are kept, so that a part that is started afresh runs our code as it is by then; and
only such as start no thread, for a fork takes none along: not polars, pyarrow and numpy.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import psutil

from deploy.local import leftovers
from deploy.local.layout import Layout
from recount.settings import Settings

# Those that several parts need; what only one needs is its own affair, but for Dagster's largest.
PACKAGES: Final = (
    "boto3", "circus.client", "confluent_kafka.admin", "flask", "granian.server", "httpx", "limits",
    "msgspec", "orjson", "prometheus_client", "structlog", "uvloop", "grpc_health.v1.health_pb2_grpc",
    "dagster", "dagster._daemon.cli", "dagster_webserver.cli",
)  # fmt: skip
OURS: Final = frozenset({"deploy", "recount"})  # of which this module itself needs some
REQUEST_MAX_BYTES: Final = 65_536
ANSWER_WITHIN_S: Final = 5.0
ORDER_WITHIN_S: Final = 1.0
SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
SUPPORTED: Final = sys.platform == "linux"


@dataclass(frozen=True)
class Birth:
    """What a part is to run: its name, and the module with its arguments."""

    part: str
    module: tuple[str, ...]


class Born(psutil.Process):
    """A process that was born in the nursery, with what the supervisor asks of one that it started itself."""

    def __init__(self, pid: int, stdout: int, stderr: int) -> None:
        """`stdout` and `stderr` are the ends to read of its pipes."""
        super().__init__(pid)
        self.stdout = os.fdopen(stdout, "rb", buffering=0)
        self.stderr = os.fdopen(stderr, "rb", buffering=0)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs, 0 where somebody else has taken note of its end."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def address(layout: Layout) -> Path:
    """The socket on which it takes orders; somebody listens there once everything is imported."""
    return layout.sockets / "nursery"


def adopt_orphans() -> None:
    """From now on a process whose parent has ended becomes a child of this one, if it descends from it."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def bear(nursery: Path, part: str, module: Sequence[str]) -> Born | None:
    """A new process for a part; None where no nursery answers. Whoever calls has to adopt orphans."""
    with contextlib.ExitStack() as ends, socket.socket(socket.AF_UNIX) as asking:
        pipes = [os.pipe(), os.pipe()]
        for _, end in pipes:
            ends.callback(os.close, end)
        try:
            asking.settimeout(ANSWER_WITHIN_S)
            asking.connect(str(nursery))
            order = json.dumps({"part": part, "module": list(module)}).encode()
            socket.send_fds(asking, [order], [end for _, end in pipes])
            pid = int(asking.recv(REQUEST_MAX_BYTES))
            return Born(pid, *(end for end, _ in pipes))
        except (OSError, ValueError, psutil.NoSuchProcess):
            for end, _ in pipes:
                os.close(end)
            return None


def main() -> None:
    run(address(Layout.of(Settings.from_env())), PACKAGES)


def run(path: Path, packages: Iterable[str]) -> None:
    """Import the packages, then bear whom somebody orders on the socket."""
    for package in packages:
        import_module(package)
    logging.getLogger().handlers.clear()  # circus puts one there, which would print twice what Dagster logs
    gc.freeze()  # pages that no collector writes to stay shared
    birth = _serve(path)
    # From here on this is the new process, and ends as any other.
    leftovers.take_name(birth.part)
    _forget_ours()
    name, *arguments = birth.module
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _forget_ours() -> None:
    """What of our code was needed to get here is imported again, as its files are by now."""
    for name in list(sys.modules):
        if name.partition(".")[0] in OURS:
            del sys.modules[name]


def _serve(path: Path) -> Birth:
    """Take orders for ever; returns in every new process, with what that is to be."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        while True:
            asking, _ = listening.accept()
            with asking:
                birth = _answer(asking)
            if birth is not None:
                return birth


def _answer(asking: socket.socket) -> Birth | None:
    """Carry out an order; None in this process, and in the new one what it is to be."""
    asking.settimeout(ORDER_WITHIN_S)  # nobody who says nothing keeps the others waiting
    try:
        order, outputs, _, _ = socket.recv_fds(asking, REQUEST_MAX_BYTES, 2)
    except OSError:
        return None
    if not order:  # somebody only looked whether we are here
        return None
    pid = _fork_away()
    if pid == 0:
        _take(outputs)
        return Birth(**json.loads(order))
    for output in outputs:
        os.close(output)
    if pid is None:  # who asked is told nothing, and starts a program of its own
        return None
    try:
        asking.send(str(pid).encode())
    except OSError:  # who asked has gone, and has started another one or will
        os.kill(pid, signal.SIGKILL)
    return None


def _fork_away() -> int | None:
    """As `os.fork`, but the new process is not our child: its parent has ended when this returns. None where
    the system has no room for it."""
    read, write = os.pipe()
    between = os.fork()
    if between:
        os.close(write)
        os.waitpid(between, 0)
        with os.fdopen(read) as number:
            told = number.read()
            return int(told) if told else None
    try:
        pid = os.fork()
    except OSError:
        os._exit(1)
    if pid:
        os.write(write, str(pid).encode())
        os._exit(0)
    os.close(read)
    os.close(write)
    return 0


def _take(outputs: Iterable[int]) -> None:
    """Its own session, as the supervisor gives it to every part, and its own outputs."""
    os.setsid()
    for output, number in zip(outputs, (1, 2), strict=True):
        os.dup2(output, number)
        os.close(output)


if __name__ == "__main__":
    main()
