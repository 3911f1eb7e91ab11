"""Finds and ends the processes of a stack, also those whose parent died before them.

Every process of a stack carries two variables in its environment, inherited by its children: the state folder
of the stack and the name of the part. So nothing of another stack or of somebody else is ever meant. What was
forked from the nursery shows the environment of that, which names no part: such a process, and what it forks,
has the name of its part as the kernel's name for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import psutil

STACK_VARIABLE: Final = "RECOUNT_STACK"
PART_VARIABLE: Final = "RECOUNT_PART"
END_WITHIN_S: Final = 10.0
NAME_MAX_CHARS: Final = 15  # of which the kernel keeps no more


def processes_of(state: Path, part: str | None = None) -> list[psutil.Process]:
    """The living processes of a stack, or of one of its parts."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            env = process.environ()
            if env.get(STACK_VARIABLE) == str(state) and (part is None or _is_of(process, env, part)):
                found.append(process)
    return [
        p for p in found if p.pid != os.getpid() and p.is_running() and p.status() != psutil.STATUS_ZOMBIE
    ]


def take_name(part: str) -> None:
    """For a process that was forked: it is of this part from now on."""
    os.environ[PART_VARIABLE] = part
    Path("/proc/self/comm").write_text(part)


def _is_of(process: psutil.Process, env: Mapping[str, str], part: str) -> bool:
    told = env.get(PART_VARIABLE)
    return told == part if told else process.name() == part[:NAME_MAX_CHARS]


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
