"""Killed in the middle of a reprocessing: its run, the daemon, DynamoDB.

Nothing is half-published, what is done is kept, and it comes out as it does undisturbed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cli.dagster_client import DagsterClient
from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from orchestration.jobs import HOUR_JOB, REFOLD_JOB
from orchestration.partitions import range_tags
from orchestration.resources import Workplace
from orchestration.stage import REPROCESSING_TAG
from orchestration.steps.candidate_range import fold_share, share_of
from recount import kafka
from recount.errors import Unavailable
from recount.periods import HOUR_MS, HourRange, hour_of, hours_in
from recount.store.catalog import Goal
from recount.store.provenance import Kind
from tests import made
from tests.faults.room import Room
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(900)]
START: Final = 1_470_009_600_000  # 2016-08-01T00:00 UTC
HOURS: Final = 120
DAYS: Final = {"first_day": "2016-08-01", "last_day": "2016-08-05"}
RAW_HOURS: Final = 50  # two runs: from raw a run takes 48 hours at most
Rows = tuple[pl.DataFrame, pl.DataFrame]


@dataclass(frozen=True)
class History:
    """Five published days of one site."""

    room: Room
    site: str
    dagster: DagsterClient

    @property
    def place(self) -> Workplace:
        return self.room.place

    def span(self, hours: int = HOURS) -> HourRange:
        return hour_of(START), hour_of(START + (hours - 1) * HOUR_MS)

    def pageviews(self) -> int:
        return int(self.room.query(self.site, "pageviews", **DAYS)["pageviews"])

    def refold(self, name: str) -> str:
        return self.dagster.launch(REFOLD_JOB, range_tags(self.span()) | {REPROCESSING_TAG: name})

    def done(self, name: str) -> dict[str, str]:
        """The candidates that a reprocessing has so far, by hour."""
        hours = self.place.reprocessings.hours(name)
        return {hour: found.generation for hour, found in hours.items()}

    def undisturbed(self) -> dict[str, str]:
        """The hours folded as they are now, in one go."""
        killed = self.place.reprocessings.get("killed")
        asked = msgspec.structs.replace(killed, id="undisturbed", spans=[self.span()])
        fold_share(share_of(self.place, asked, "undisturbed"), hours_in(self.span()))
        return self.done("undisturbed")

    def rows(self, generations: Mapping[str, str]) -> Rows:
        """What candidates count of the site, in one order."""
        wanted: dict[tuple[Kind, str, str], list[str]] = {
            ("hour", hour, generation): [self.site] for hour, generation in generations.items()
        }
        found = self.place.candidates.read_counted(wanted)
        return (
            found.rows.sort("at", "dimension", "value"),
            found.revenue.sort("at", "dimension", "value", "currency"),
        )

    def is_like(self, name: str, undisturbed: Mapping[str, str]) -> None:
        """The candidates of a reprocessing count what these generations do."""
        candidates = self.done(name)
        for ours, theirs in zip(
            self.rows({hour: candidates[hour] for hour in undisturbed}), self.rows(undisturbed), strict=True
        ):
            assert_frame_equal(ours, theirs)


def send(room: Room, site: str) -> None:
    """One visitor an hour."""
    producer = kafka.producer(room.settings)
    for n in range(HOURS):
        ts = START + n * HOUR_MS + 1000
        value = made.value(
            **{"id": f"history-{n}", "spool": "history", "seq": n + 1, "ts": ts, "received": ts + 1000},
            **{"site": site, "visitor": f"{n + 1:016x}", "source_kind": "import"},
            **{"url": "https://faults.example/a", "ua": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"},
        )
        producer.produce(kafka.IMPORTS, value, partition=n % room.settings.kafka_partitions)
    assert producer.flush(30) == 0


@pytest.fixture(scope="module")
def published(faulty_stack: Room) -> History:
    history = History(
        faulty_stack,
        faulty_stack.add_site("history"),
        DagsterClient(faulty_stack.stack.urls["dagster"]),
    )
    send(faulty_stack, history.site)
    run = history.dagster.launch(HOUR_JOB, range_tags(history.span()))
    eventually(lambda: history.dagster.state(run).is_over, "the hours published")
    assert history.pageviews() == HOURS
    return history


@pytest.fixture
def history(room: Room, published: History) -> History:
    """The same, whole again after each test."""
    return published


def test_run_killed(history: History) -> None:
    room, place, dagster = history.room, history.place, history.dagster
    known = place.catalog.get(history.site)
    assert known is not None
    place.catalog.update(replace(known, goals=(Goal(name="seen", page="/*"),), rules_version=2))

    before = place.manifests.current()
    run = history.refold("killed")
    eventually(lambda: history.done("killed"), "the first hours done")
    room.kill("dagster-code", and_children=True)
    done = history.done("killed")
    assert 0 < len(done) < HOURS, "the run was over before it could be killed"
    room.wait_until_healthy(["dagster-code", "dagster-webserver", "dagster-daemon"])
    eventually(lambda: dagster.state(run).is_over, "a run whose process is gone over")
    assert place.manifests.current() == before
    refused = room.stack.recount("publish", "killed")
    assert refused.returncode == 1
    assert "lacks" in refused.stderr

    resumed = room.stack.recount("reprocess", "resume", "killed")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    whole = history.done("killed")
    assert len(whole) >= HOURS
    assert whole.items() >= done.items(), "what was done is kept"
    history.is_like("killed", history.undisturbed())
    shown = room.stack.recount("publish", "killed")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    eventually(lambda: place.manifests.current() != before, "the correction shown")
    assert history.pageviews() == HOURS


def test_daemon_killed(history: History) -> None:
    """Its second run still waits in the queue, and nobody is there to resume anything."""
    room, place = history.room, history.place
    before = place.manifests.current()
    first, last = history.span(RAW_HOURS)
    asked = ["--from", first, "--to", last, "--reason", "daemon killed", "--from-raw"]
    env = os.environ | room.stack.manifest.env | {"PYTHONPATH": os.pathsep.join(python_path())}
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "reprocess", *asked],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        eventually(lambda: _named(history, "daemon killed"), "the reprocessing asked for")
        name = _named(history, "daemon killed")
        eventually(lambda: history.dagster.unfinished(REPROCESSING_TAG, name), "its runs queued")
        room.kill("dagster-daemon")
        said, _ = command.communicate(timeout=300)
    assert command.returncode == 0, said
    assert place.manifests.current() == before, "nothing is published by itself"
    done = place.reprocessings.hours(name)
    assert len({hour.run_id for hour in done.values()}) == 2
    history.is_like(name, {hour: found.base for hour, found in done.items() if found.base})
    assert len(done) >= RAW_HOURS


def test_dynamodb_killed(history: History) -> None:
    room, place = history.room, history.place
    before = place.manifests.current()
    run = history.refold("database")
    eventually(lambda: history.done("database"), "the first hours done")
    for pid in room.pids("dynamodb"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: _answers(history), "the database back")
    kept = history.done("database")
    eventually(lambda: history.dagster.state(run).is_over, "the run over")
    assert place.manifests.current() == before

    if history.dagster.state(run).status != "SUCCESS":  # it had no patience left
        resumed = room.stack.recount("reprocess", "resume", "database")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    done = place.reprocessings.hours("database")
    assert len(done) >= HOURS
    assert history.done("database").items() >= kept.items(), "what was done is kept"
    history.is_like("database", {hour: found.base for hour, found in done.items()})
    assert history.pageviews() == HOURS


def _named(history: History, reason: str) -> str:
    """The id of the reprocessing with a reason; empty while there is none."""
    return next((r.id for r in history.place.reprocessings.all() if r.reason == reason), "")


def _answers(history: History) -> bool:
    try:
        return bool(history.done("database"))
    except Unavailable:
        return False
