"""An import that was killed half way and started again comes out as if nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from recount.kafka import IMPORTS, offset_ranges, source_partitions
from tests.faults.load import AGENT
from tests.faults.room import Room
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600)]
LINES = 40_000
VISITORS = 50
DAY = "2024-06-05"


def test_import_killed_half_way_and_started_again(room: Room, tmp_path: Path) -> None:
    site, log = room.add_site("import"), tmp_path / "access.log"
    log.write_text("".join(map(line, range(LINES))))
    before = imported(room)
    first = start(room, log, site)
    eventually(lambda: imported(room) > before or first.poll() is not None, "the import on its way")
    first.kill()
    first.wait()
    assert 0 < imported(room) - before < LINES, "not killed half way"

    done = room.stack.recount("import", "access-log", str(log), "--site", site, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    totals = room.query(site, "pageviews", "visitors", "visits", first_day=DAY, last_day=DAY)
    assert (totals["pageviews"], totals["visitors"], totals["visits"]) == (LINES, VISITORS, VISITORS)


def line(number: int) -> str:
    """A pageview a visitor every few seconds, all within two hours."""
    second = number * 7200 // LINES
    at = f"05/Jun/2024:{10 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} +0000"
    return f'198.51.100.{number % VISITORS} - - [{at}] "GET /p/{number} HTTP/1.1" 200 5 "-" "{AGENT}"\n'


def start(room: Room, log: Path, site: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "import", "access-log", str(log), "--site", site],
        cwd=ROOT,
        env={**os.environ, **room.stack.manifest.env, "PYTHONPATH": os.pathsep.join(python_path())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def imported(room: Room) -> int:
    """Records in the topic `imports`."""
    ranges = offset_ranges(room.settings, source_partitions(room.settings, (IMPORTS,)))
    return sum(end for _, end in ranges.values())
