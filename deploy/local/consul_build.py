"""Finds the Consul to run, and builds it once where there is none: no package registry has it ready made.

A `consul` on the PATH comes first. Else its Go module is compiled, in minutes: with the go.mod and go.sum of
`deploy/local/go` (every module with its hash), and without what a directory of instances does not need. Two
thirds of the full build are Envoy, Kubernetes and cloud clients; `removed.txt` names the files of Consul that
are left out for it, `source` and `modules` stand in their place and say so when they are asked for.

`python -m deploy.local.consul_build` builds in the foreground, `... lock` pins the modules again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.golang import Go, ask, find_go, run
from deploy.local.layout import cache_folder
from recount.errors import SetupError

MODULE: Final = "github.com/hashicorp/consul"
VERSION: Final = "1.21.0"
MODULE_HASH: Final = "h1:YdrBKpOkRe1nyOl1hUONAAvabD5p9kLnQZ1I/GRP4dQ="
RECIPE: Final = Path(__file__).parent / "go"
TAKES: Final = "about two minutes"

# On the PATH: from the first that can close all its gRPC ports, and below what nobody has seen yet.
OLDEST, BELOW = (1, 14), (2, 0)
PROBE_TIMEOUT_S: Final = 30.0
BUILD: Final = ("build", "-trimpath", "-ldflags=-s -w")
NOT_SOURCE: Final = ("*_test.go", "testdata", "website", "test", "docs", "grafana", "bench")
NICENESS: Final = 5  # the stack starts meanwhile


@dataclass(frozen=True)
class State:
    """Where the build stands; `failed` is why the last one came to nothing."""

    building_for_s: float | None = None
    failed: str = ""

    def __str__(self) -> str:
        if self.building_for_s is not None:
            minutes, seconds = divmod(int(self.building_for_s), 60)
            return f"being built, {f'{minutes} min ' if minutes else ''}{seconds} s"
        return f"cannot be built: {self.failed}" if self.failed else f"to be built, once, {TAKES}"


def find(env: Mapping[str, str] | None = None) -> Path | None:
    """The Consul to run; None where it has to be built first."""
    on_path = shutil.which("consul", path=(os.environ if env is None else env).get("PATH"))
    if on_path and is_usable(Path(on_path)):
        return Path(on_path)
    built = _folder(env) / "consul"
    return built if built.exists() else None


def is_usable(binary: Path) -> bool:
    """Whether this is a Consul of a version that is known to do."""
    try:
        done = subprocess.run(
            [str(binary), "version"], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    said = re.match(r"Consul v(\d+)\.(\d+)", done.stdout)
    return said is not None and OLDEST <= (int(said[1]), int(said[2])) < BELOW


def state(env: Mapping[str, str] | None = None) -> State:
    """Of the build that is under way, or of the last one."""
    lock = _folder(env).parent / "lock"
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return State()
    except BlockingIOError:
        return State(building_for_s=max(0.0, time.time() - lock.stat().st_mtime))
    with suppress(FileNotFoundError):
        return State(failed=(_folder(env) / "failed").read_text())
    return State()


def build(env: Mapping[str, str] | None = None) -> Path:
    """Build it unless it is there; a second builder waits for the first. Raises SetupError."""
    folder = _folder(env)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent / "lock"):
        found = find(env)
        if found:
            return found
        failed = folder / "failed"
        failed.unlink(missing_ok=True)
        try:
            _compile(folder)
        except SetupError as error:
            failed.write_text(error.cause.partition("\n")[0])
            raise
        shutil.rmtree(folder / "work")
        return folder / "consul"


def _compile(folder: Path) -> None:
    """A build that was cut short goes on where it was: Go keeps every package that it finished."""
    log = folder / "build.log"
    work = folder / "work"
    go = find_go(folder / "toolchain", work / "go", log)
    tree = work / "tree"
    assemble(_module(go, work, log), tree)
    run(go, [*BUILD, "-o", str(work / "consul"), "."], tree, log, niceness=NICENESS)
    (work / "consul").replace(folder / "consul")
    shutil.rmtree(folder / "toolchain", ignore_errors=True)


def _module(go: Go, work: Path, log: Path) -> Path:
    """Consul's own source, as its hash says."""
    nowhere = work / "fetch"
    nowhere.mkdir(parents=True, exist_ok=True)
    module = json.loads(ask(go, ["mod", "download", "-json", f"{MODULE}@v{VERSION}"], nowhere, log))
    if module["Sum"] != MODULE_HASH:
        raise SetupError("consul", f"what came as {MODULE} has the hash {module['Sum']}", "do not use it")
    return Path(module["Dir"])


def assemble(module: Path, tree: Path) -> None:
    """Lay out what is compiled: our main program, Consul's source, and what stands for the parts left out."""
    shutil.rmtree(tree, ignore_errors=True)
    source = tree / "consul"
    shutil.copytree(RECIPE / "modules", tree / "modules")
    shutil.copytree(module, source, ignore=_ignored(module), copy_function=shutil.copyfile)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    for pattern in (RECIPE / "removed.txt").read_text().split():
        for path in list(source.glob(pattern)):
            path.unlink()
    shutil.copytree(RECIPE / "source", source, dirs_exist_ok=True)
    for name in ("go.mod", "go.sum", "main.go"):
        shutil.copy(RECIPE / name, tree)


def recipe_hash(recipe: Path = RECIPE) -> str:
    """Changes with whatever the binary is made from."""
    digest = hashlib.sha256(f"{VERSION} {MODULE_HASH} {BUILD} {NOT_SOURCE}".encode())
    for path in sorted(path for path in recipe.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(recipe)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def lock() -> None:
    """Pin again what the build is made from: the modules that it needs, each with its hash."""
    folder = _folder(None)
    with _alone(folder.parent / "lock"):
        log, work = folder / "lock.log", folder / "work"
        go = find_go(folder / "toolchain", work / "go", log) | {"GOFLAGS": "-mod=mod -modcacherw"}
        tree = work / "tree"
        assemble(_module(go, work, log), tree)
        with (tree / "go.sum").open("a") as sums:  # two modules are known to no other list of hashes
            sums.write((tree / "consul" / "go.sum").read_text())
        run(go, ["mod", "tidy"], tree, log)
        for name in ("go.mod", "go.sum"):
            shutil.copy(tree / name, RECIPE)
        shutil.rmtree(work)


def _folder(env: Mapping[str, str] | None) -> Path:
    """One for each recipe, so that working copies of different age do not take each other's."""
    return cache_folder(env) / "consul" / f"{VERSION}-{recipe_hash()}"


def _ignored(module: Path) -> Callable[[str, list[str]], set[str]]:
    patterns = shutil.ignore_patterns(*NOT_SOURCE)

    def ignore(folder: str, names: list[str]) -> set[str]:
        own = {"ui"} if Path(folder) == module else set()  # its web interface is in agent/uiserver, made
        return patterns(folder, names) | own

    return ignore


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One builder at a time; the file's modification time says since when."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(file.fileno())
        yield


def main(arguments: Sequence[str]) -> None:
    if list(arguments) == ["lock"]:
        lock()
    elif arguments:
        sys.exit("usage: python -m deploy.local.consul_build [lock]")
    elif (found := find()) is None:
        print(f"Building Consul {VERSION}, once, {TAKES}; log: {_folder(None) / 'build.log'}")  # noqa: T201
        print(build())  # noqa: T201
    else:
        print(found)  # noqa: T201


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except SetupError as error:
        sys.exit(str(error))
