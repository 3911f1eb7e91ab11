"""Finds and ends the processes of a stack, also those whose parent died before them.

Every process of a stack carries two variables in its environment, inherited by its children: the state folder
of the stack and the name of the part. So nothing of another stack or of somebody else is ever meant.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

STACK_VARIABLE: Final = "RECOUNT_STACK"
PART_VARIABLE: Final = "RECOUNT_PART"
END_WITHIN_S: Final = 10.0


def processes_of(state: Path, part: str | None = None) -> list[psutil.Process]:
    """The living processes of a stack, or of one of its parts."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            env = process.environ()
            if env.get(STACK_VARIABLE) == str(state) and part in (None, env.get(PART_VARIABLE)):
                found.append(process)
    return [
        p for p in found if p.pid != os.getpid() and p.is_running() and p.status() != psutil.STATUS_ZOMBIE
    ]


def orphans_of(state: Path, part: str, alive: Iterable[int]) -> list[psutil.Process]:
    """Processes of a part that descend from none of its supervised processes."""
    kept = set(alive)
    for pid in list(kept):
        with contextlib.suppress(psutil.NoSuchProcess):
            kept.update(child.pid for child in psutil.Process(pid).children(recursive=True))
    return [p for p in processes_of(state, part) if p.pid not in kept]


def end(processes: Iterable[psutil.Process], within_s: float = END_WITHIN_S) -> None:
    """SIGTERM, and SIGKILL to what is left after `within_s`."""
    ending = list(processes)
    for process in ending:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(ending, timeout=within_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=within_s)
