"""What surrounds the build of Consul: which one is taken, how far the build is, what is compiled."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local import consul_build, golang
from deploy.local.consul_build import RECIPE, State, assemble, find, recipe_hash, state
from deploy.local.layout import ROOT
from recount.errors import SetupError


def runs(pid: int) -> bool:
    """Not so where only its entry waits to be collected by the init process."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("Consul v1.21.0", True),
        ("Consul v1.14.3+ent", True),
        ("Consul v1.13.9", False),
        ("Consul v2.0.0", False),
        ("something else", False),
    ],
)
def test_a_consul_on_the_path_is_taken_where_its_version_will_do(
    tmp_path: Path, said: str, taken: bool
) -> None:
    binary = program(tmp_path / "bin" / "consul", f"echo '{said}'")
    env = {"PATH": str(binary.parent), "RECOUNT_CACHE": str(tmp_path / "cache")}
    assert find(env) == (binary if taken else None)


def test_one_that_was_built_is_found(tmp_path: Path) -> None:
    env = {"PATH": "", "RECOUNT_CACHE": str(tmp_path)}
    assert find(env) is None
    built = program(tmp_path / "consul" / f"{consul_build.VERSION}-{recipe_hash()}" / "consul", "exit 0")
    assert find(env) == built
    assert consul_build.build(env) == built


def test_a_changed_recipe_is_another_build(tmp_path: Path) -> None:
    copy = tmp_path / "go"
    shutil.copytree(RECIPE, copy)
    assert recipe_hash(copy) == recipe_hash()
    (copy / "main.go").write_text("package main\n")
    assert recipe_hash(copy) != recipe_hash()


def test_the_state_tells_how_far_the_build_is(tmp_path: Path) -> None:
    env = {"PATH": "", "RECOUNT_CACHE": str(tmp_path)}
    assert state(env) == State()
    with consul_build._alone(tmp_path / "consul" / "lock"):
        os.utime(tmp_path / "consul" / "lock", (time.time() - 80, time.time() - 80))
        assert str(state(env)).startswith("being built, 1 min 2")
    failed = tmp_path / "consul" / f"{consul_build.VERSION}-{recipe_hash()}" / "failed"
    failed.parent.mkdir()
    failed.write_text("no network")
    assert str(state(env)) == "cannot be built: no network"


def test_a_second_builder_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"""
from pathlib import Path
from deploy.local.consul_build import _alone
with _alone(Path({str(path)!r})):
    print("in")
"""
    with consul_build._alone(path):
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        second = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env, text=True)
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert second.poll() is None
    assert second.communicate(timeout=60)[0] == "in\n"


def test_what_is_left_out_is_replaced(tmp_path: Path) -> None:
    module, tree = tmp_path / "module", tmp_path / "tree"
    for name in (
        "main.go", "agent/xds/server.go", "agent/connect/ca/provider_vault_auth.go", "agent/agent_test.go",
        "agent/connect/ca/provider_consul.go", "ui/app.js", "agent/uiserver/dist/index.html",
    ):  # fmt: skip
        (module / name).parent.mkdir(parents=True, exist_ok=True)
        (module / name).write_text("theirs")
        (module / name).chmod(0o444)
    assemble(module, tree)
    source = tree / "consul"
    assert sorted(p.name for p in (source / "agent" / "xds").glob("*.go")) == ["xds.go"]
    assert sorted(p.name for p in (source / "agent/connect/ca").iterdir()) == [
        "outside.go",
        "provider_consul.go",
    ]
    assert not (source / "ui").exists()
    assert not (source / "agent" / "agent_test.go").exists()
    assert (source / "agent" / "uiserver" / "dist" / "index.html").exists()
    assert {"go.mod", "go.sum", "main.go"} <= {path.name for path in tree.iterdir()}


def test_everything_left_out_has_something_in_its_place() -> None:
    """A pattern without a file of ours would leave a package that the agent imports empty."""
    folders = {Path(line).parent for line in (RECIPE / "removed.txt").read_text().split()}
    assert {f for f in folders if not list((RECIPE / "source" / f).glob("*.go"))} == set()


def test_every_module_is_pinned_by_its_hash() -> None:
    hashes = {tuple(line.split()[:2]) for line in (RECIPE / "go.sum").read_text().splitlines()}
    text = (RECIPE / "go.mod").read_text()
    replaced = {line.split()[1] for line in text.splitlines() if line.startswith("replace ")}
    needed = [line.split("//")[0].split() for line in text.splitlines() if line.startswith("\t")]
    missing = [n for n in needed if n[0] not in replaced and (n[0], f"{n[1]}/go.mod") not in hashes]
    assert len(needed) > 100
    assert missing == []


def test_a_missing_go_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "go", "echo 'go version go1.20.1 linux/amd64'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(golang, "_install", lambda *_: None)
    with pytest.raises(SetupError, match=r"install Go 1\.23\.8 or newer"):
        golang.find_go(tmp_path / "toolchain", tmp_path / "data", tmp_path / "log")


def test_a_go_on_the_path_keeps_its_things_in_our_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "go", "echo 'go version go1.30 linux/amd64'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    go = golang.find_go(tmp_path / "toolchain", tmp_path / "data", tmp_path / "log")
    assert {name for name in ("GOPATH", "GOCACHE", "GOMODCACHE") if str(tmp_path / "data") in go[name]} == {
        "GOPATH",
        "GOCACHE",
        "GOMODCACHE",
    }


def test_a_failed_build_shows_the_end_of_its_log(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "go", "echo 'agent.go:1: undefined: x' >&2; exit 1")
    go = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    with pytest.raises(SetupError, match="undefined: x"):
        golang.run(go, ["build", "."], tmp_path, tmp_path / "build.log")


def test_a_build_ends_with_all_its_compilers(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "go", f"sleep 600 & echo $! > {tmp_path}/compiler; wait")
    code = f"""
import os, signal, sys
from pathlib import Path
from deploy.local import golang
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
go = {{"PATH": "{tmp_path / "bin"}" + os.pathsep + os.environ["PATH"]}}
golang.run(go, ["build"], Path("{tmp_path}"), Path("{tmp_path}/log"))
"""
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    builder = subprocess.Popen([sys.executable, "-c", code], env=env)
    deadline = time.monotonic() + 60
    note = tmp_path / "compiler"
    while not (note.exists() and note.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    compiler = int(note.read_text())
    builder.send_signal(signal.SIGTERM)
    assert builder.wait(60) == 0
    while time.monotonic() < deadline and runs(compiler):
        time.sleep(0.05)
    assert not runs(compiler)
