"""Measure in a process of its own that has one core and one thread of polars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

ROUNDS = 5


def run(module: str) -> dict[str, float]:
    """What `python -m module` prints as JSON, pinned to the last core of this machine."""
    core = max(os.sched_getaffinity(0))
    env = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = ["taskset", "-c", str(core), sys.executable, "-m", module]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def best_rate(count: int, work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Things a second of processor time, in the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return count / best
