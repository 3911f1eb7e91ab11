"""A program under its launcher: its end is ours, being told to stop is its, in the right order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.local.layout import ROOT
from deploy.local.operator import operator_password, password_file
from deploy.local.supervise import python_path
from deploy.local.traefik import of_instance
from recount.settings import Settings

LAUNCHER = """
import signal, sys
from deploy.local import child
program = "import signal, sys, time; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0)); " + sys.argv[1]
sys.exit(child.run(
    [sys.executable, "-c", program],
    stop_with=signal.SIGUSR1,
    on_up=lambda: print("up", flush=True),
    before_stop=lambda: print("leaving", flush=True),
))
"""


def launched(program: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(python_path())}
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, program], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )


def test_a_stop_is_handed_on_after_the_directory_was_left() -> None:
    with launched("print('ready', flush=True); time.sleep(300)") as process:
        assert process.stdout is not None
        assert {process.stdout.readline(), process.stdout.readline()} == {"up\n", "ready\n"}
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "leaving\n"
        assert process.returncode == 0


def test_a_program_that_ends_by_itself_is_a_failure_and_keeps_its_place() -> None:
    for program, code in (("sys.exit(3)", 3), ("sys.exit(0)", 1)):
        with launched(program) as process:
            said = process.communicate(timeout=60)[0]
            assert "leaving" not in said
            assert process.returncode == code


def test_the_password_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = operator_password(state)
    assert len(first) >= 20
    assert operator_password(state) == first
    assert password_file(state).stat().st_mode & 0o777 == 0o600
    assert list(state.iterdir()) == [password_file(state)]


def test_the_admin_port_goes_with_the_instance() -> None:
    third = of_instance(Settings(traefik_port=8092, traefik_admin_port=8390), first_port=8090)
    assert (third.traefik_port, third.traefik_admin_port) == (8092, 8392)
