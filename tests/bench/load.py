"""Load on an HTTP server pinned to one core, from wrk on another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from deploy.local.layout import ROOT
from deploy.local.supervise import python_path

SERVER_CORE: Final = "0"
LOAD_CORE: Final = "1"
CONNECTIONS: Final = 64
SECONDS: Final = 4
START_S: Final = 120.0


@dataclass(frozen=True)
class Load:
    """What wrk reports, and the processor time of the server (0 where it was not asked for)."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float = 0.0  # a request, user and system, of all threads


def tool(name: str) -> str | None:
    """The path of a program, also where servers lie that are not on everybody's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def pinned(core: str, command: Sequence[str]) -> list[str]:
    """On one core, where the machine has more than one and taskset is there."""
    taskset = tool("taskset")
    return [taskset, "-c", core, *command] if taskset and (os.cpu_count() or 1) > 1 else list(command)


@contextmanager
def served(command: Sequence[str], url: str, env: Mapping[str, str]) -> Iterator[int]:
    """A server on its core while the block runs; gives its process number."""
    path = os.pathsep.join(python_path())
    process = subprocess.Popen(
        pinned(SERVER_CORE, command),
        cwd=ROOT,
        env={**os.environ, **env, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(process, url)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def wrk(
    url: str,
    script: str,
    folder: Path,
    *,
    connections: int = CONNECTIONS,
    per_second: float | None = None,
    server: int | None = None,
) -> Load:
    """Load with a Lua script; `per_second` slows the connections down to about that rate. With the process
    number of the server the load says what a request costs it: unlike rates that holds on a busy machine."""
    if per_second is not None:
        connections *= 4
        pause_ms = connections * 1000 / per_second
        whole, part = int(pause_ms), pause_ms % 1
        script += f"\nfunction delay() return math.random() < {part:.3f} and {whole + 1} or {whole} end\n"
    path = folder / "load.lua"
    path.write_text(script)
    program = tool("wrk")
    assert program is not None
    command = [program, "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(path), url]
    before_s = _cpu_s(server)
    output = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=True).stdout
    spent_s = _cpu_s(server) - before_s
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Load(
        float(_find(r"Requests/sec:\s+([\d.]+)", output)),
        _milliseconds(_find(r"50%\s+([\d.]+\w+)", output)),
        _milliseconds(_find(r"99%\s+([\d.]+\w+)", output)),
        int(refused[1]) if refused else 0,
        spent_s / int(_find(r"(\d+) requests in", output)) * 1e6,
    )


def _cpu_s(pid: int | None) -> float:
    """Processor seconds of a process so far; 0 of none."""
    if pid is None:
        return 0.0
    spent = psutil.Process(pid).cpu_times()
    return spent.user + spent.system


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no answer from {url}")


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


def _milliseconds(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[unit]
