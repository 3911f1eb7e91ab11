"""Runs a program as the child of its launcher: being told to stop is handed on, its exit code is ours."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 0.1


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stop_with: signal.Signals = signal.SIGTERM,
    is_up: Callable[[], bool] = lambda: True,
    on_up: Callable[[], object] = lambda: None,
    before_stop: Callable[[], object] = lambda: None,
) -> int:
    """The exit code of the program, which runs until it ends or SIGTERM or SIGINT comes.

    `on_up` is called once `is_up()`, and then `before_stop` before the program is told to stop.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    child = subprocess.Popen(command, env=env)
    try:
        if _until(is_up, child, stopping):
            on_up()
            _until(lambda: False, child, stopping)
            if stopping.is_set():
                before_stop()
    finally:
        if child.poll() is None:
            child.send_signal(stop_with)
        code = child.wait()
    return 0 if stopping.is_set() else code or 1


def _until(is_so: Callable[[], bool], child: subprocess.Popen[bytes], stopping: threading.Event) -> bool:
    """Whether it came to be so, before the child ended or we are to stop."""
    while child.poll() is None and not stopping.is_set():
        if is_so():
            return True
        stopping.wait(LOOK_EVERY_S)
    return False
