"""Processes that are forked from one that has imported what they need."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import leftovers, nursery
from deploy.local.control import listens
from deploy.local.layout import ROOT
from deploy.local.nursery import Born

PART = "a-part-with-a-long-name"
WITHIN_S = 20.0
FILE = "said.py"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of a stack with an open nursery, whose modules are the files of the folder; we adopt what it bears."""
    code = (
        "from pathlib import Path; from deploy.local import nursery; "
        f"nursery.run(Path('{tmp_path}/n'), ('circus',))"
    )
    env = {
        **os.environ,
        leftovers.STACK_VARIABLE: str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}:{tmp_path}",
    }
    env.pop(leftovers.PART_VARIABLE, None)
    process = subprocess.Popen([sys.executable, "-c", code], env=env)
    nursery.adopt_orphans()
    try:
        wait_until(lambda: listens(tmp_path / "n"))
        yield tmp_path
    finally:
        ctypes.CDLL(None).prctl(nursery.SUBREAPER, 0, 0, 0, 0)
        process.kill()
        process.wait()


def wait_until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def born(folder: Path, code: str, *arguments: str) -> Born:
    (folder / FILE).write_text(code)
    process = nursery.bear(folder / "n", PART, ["said", *arguments])
    assert process is not None
    return process


def test_it_runs_a_module_as_a_program_with_outputs_of_its_own(folder: Path) -> None:
    process = born(
        folder,
        "import os, sys\n"
        "assert __name__ == '__main__'\n"
        "print(sys.argv[1:], os.environ['RECOUNT_PART'], os.getsid(0) == os.getpid())\n"
        "sys.exit('ended')\n",
        "one",
        "two",
    )
    assert process.stdout.read().decode() == f"['one', 'two'] {PART} True\n"
    assert process.stderr.read() == b"ended\n"
    wait_until(lambda: process.poll() is not None)
    assert process.returncode == 1


def test_it_runs_our_code_as_it_is_by_then(folder: Path) -> None:
    process = born(
        folder,
        "import sys\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('deploy', 'recount')])\n"
        "import deploy.local.nursery\n",
    )
    assert process.stdout.read() == b"[]\n"
    assert process.stderr.read() == b""
    wait_until(lambda: process.poll() == 0)


def test_what_packages_set_up_for_logs_at_their_import_is_not_passed_on(folder: Path) -> None:
    process = born(folder, "import circus, logging\nprint(logging.getLogger().handlers)\n")
    assert process.stdout.read() == b"[]\n"
    wait_until(lambda: process.poll() == 0)


def test_it_is_our_child_and_outlives_the_nursery(folder: Path) -> None:
    process = born(folder, "import time\ntime.sleep(60)\n")
    assert process.ppid() == os.getpid()
    (nurse,) = [p for p in leftovers.processes_of(folder) if p.pid != process.pid]
    nurse.kill()
    wait_until(lambda: not listens(folder / "n"))
    assert process.poll() is None
    process.terminate()
    wait_until(lambda: process.poll() is not None)
    assert process.returncode == -15


def test_what_it_forks_is_found_by_its_part(folder: Path) -> None:
    code = "import os, time\nif child := os.fork():\n    os.write(1, b'%d\\n' % child)\ntime.sleep(60)\n"
    process = born(folder, code)
    child = int(process.stdout.readline())
    assert {p.pid for p in leftovers.processes_of(folder, PART)} == {process.pid, child}
    assert leftovers.processes_of(folder, "another") == []
    process.kill()
    wait_until(lambda: process.poll() is not None)
    orphans = leftovers.orphans_of(folder, PART, [])
    assert [p.pid for p in orphans] == [child]
    leftovers.end(orphans)


def test_who_says_nothing_keeps_nobody_waiting_for_long(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(folder / "n"))
        process = born(folder, "print('born')\n")
        assert process.stdout.read() == b"born\n"
        wait_until(lambda: process.poll() is not None)


def test_where_no_nursery_is_open_nothing_is_born(tmp_path: Path) -> None:
    before = len(psutil.Process().open_files()), psutil.Process().num_fds()
    assert nursery.bear(tmp_path / "none", PART, ["said"]) is None
    assert (len(psutil.Process().open_files()), psutil.Process().num_fds()) == before


def test_what_it_imports_starts_no_thread_and_is_not_ours() -> None:
    code = (
        "import os, sys\n"
        "from importlib import import_module\n"
        "from deploy.local.nursery import PACKAGES\n"
        "ours = {m for m in sys.modules if m.startswith(('recount.', 'deploy.'))}\n"
        "for package in PACKAGES: import_module(package)\n"
        "new = {m for m in sys.modules if m.startswith(('recount.', 'deploy.'))} - ours\n"
        "print(len(os.listdir('/proc/self/task')), sorted(new))\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1 []\n"
