"""Talks to the supervisor of one stack: start, stop, scale, and what runs."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from circus.client import CircusClient
from circus.exc import CallError

from deploy.local import leftovers
from deploy.local.layout import ROOT, Layout, Manifest, load_manifest, log_tail
from deploy.local.supervise import STOP_WITHIN_S, environment, stop_within_s
from recount.errors import RecountError, SetupError

ANSWER_WITHIN_S: Final = 15.0
START_WITHIN_S: Final = 60.0
SUPERVISOR: Final = "supervisor"
BUSY: Final = "already running"


class NotRunning(RecountError):
    """No supervisor answers for this state folder."""


@dataclass(frozen=True)
class Running:
    """What the supervisor says of one part."""

    name: str
    active: bool
    pids: tuple[int, ...]


class Control:
    """The supervisor of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def alive(self) -> bool:
        try:
            self._call("numwatchers", timeout_s=3.0)
        except NotRunning:
            return False
        return True

    def start_supervisor(self, manifest: Manifest, *, with_parent: bool = False) -> None:
        """Start the supervisor in the background and wait until it answers. Raises SetupError.

        With `with_parent` the stack ends when this process does.
        """
        self._layout.make()
        leftovers.end(leftovers.processes_of(self._layout.state))
        manifest.save(self._layout)
        log = self._layout.log(SUPERVISOR)
        options = ["--with-parent"] if with_parent else []
        with log.open("ab") as output:
            env = {**environment(self._layout, manifest), leftovers.PART_VARIABLE: SUPERVISOR}
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.supervise", str(self._layout.state), *options],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_WITHIN_S
        while not self.alive():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(SUPERVISOR, f"it does not start:\n{log_tail(log)}", f"see {log}")
            time.sleep(0.05)

    def start(self, part: str) -> None:
        """Start a part; fine where it runs already."""
        self._call("start", name=part, waiting=False)

    def instances(self, part: str) -> int:
        """How many instances of a part the supervisor keeps alive, or would if the part were started."""
        options = self._call("get", name=part, keys=["numprocesses"])["options"]
        return int(options["numprocesses"])

    def active(self, part: str) -> bool:
        """Whether the supervisor keeps a part running."""
        return bool(self._call("status", name=part)["status"] == "active")

    def scale(self, part: str, instances: int) -> None:
        """Set how many instances of a part run; it is done when the call returns."""
        wanted = {"numprocesses": instances}
        self._call("set", name=part, options=wanted, waiting=True, timeout_s=self._stop_timeout_s)

    def restart(self, part: str) -> None:
        """Stop every instance of a part and start it again; the call returns when the new ones run."""
        self._call("restart", name=part, waiting=True, timeout_s=self._stop_timeout_s)

    def hurry(self, part: str) -> None:
        """From now on this part is stopped by SIGINT, at which its instances do not serve on first."""
        self._call("set", name=part, options={"stop_signal": int(signal.SIGINT)}, waiting=True)

    def stop(self, parts: Sequence[str]) -> None:
        """Stop these parts together: SIGTERM, then SIGKILL."""
        names = "^(" + "|".join(parts) + ")$"
        self._call("stop", name=names, match="regex", waiting=True, timeout_s=self._stop_timeout_s)

    def quit(self) -> None:
        """Stop what still runs, end the supervisor, and whatever any part left behind."""
        with contextlib.suppress(NotRunning):
            self._call("quit", waiting=True, timeout_s=self._stop_timeout_s)
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while leftovers.processes_of(self._layout.state) and time.monotonic() < deadline:
            time.sleep(0.1)
        leftovers.end(leftovers.processes_of(self._layout.state), within_s=2.0)

    def running(self) -> dict[str, Running]:
        """Every part the supervisor knows. Raises NotRunning."""
        statuses = self._call("status")["statuses"]
        return {
            name: Running(name, status == "active", tuple(self._call("list", name=name)["pids"]))
            for name, status in statuses.items()
        }

    @property
    def _stop_timeout_s(self) -> float:
        manifest = load_manifest(self._layout)
        return ANSWER_WITHIN_S + (stop_within_s(manifest.settings) if manifest else STOP_WITHIN_S)

    def _call(self, command: str, timeout_s: float = ANSWER_WITHIN_S, **properties: object) -> dict[str, Any]:
        """Ask the supervisor, again where it was at another command: it does one at a time."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self._ask(command, timeout_s, properties)
            if answer.get("status") != "error":
                return answer
            reason = str(answer.get("reason"))
            if BUSY not in reason or time.monotonic() > deadline:
                raise SetupError(SUPERVISOR, f"{command}: {reason}", "see `./recount logs supervisor`")
            time.sleep(0.1)

    def _ask(self, command: str, timeout_s: float, properties: dict[str, object]) -> dict[str, Any]:
        if not listens(Path(self._layout.control.removeprefix("ipc://"))):
            raise NotRunning("the stack is not running; start it with `make up`")
        client = CircusClient(endpoint=self._layout.control, timeout=timeout_s)
        try:
            answer: dict[str, Any] = client.send_message(command, **properties)
        except CallError as error:
            raise NotRunning(f"the supervisor does not answer {command!r}: {error}") from error
        finally:
            client.stop()
        return answer


def listens(path: Path) -> bool:
    """Whether somebody listens on a socket: its file stays when a supervisor has gone, and asking costs
    the whole time for an answer."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
