"""The process of a reprocessing killed in its middle: nothing is half-published, what is done is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from cli.dagster_client import DagsterClient
from orchestration.jobs import HOUR_JOB, REFOLD_JOB
from orchestration.partitions import range_tags
from orchestration.stage import REPROCESSING_TAG
from recount import kafka
from recount.periods import HOUR_MS, hour_of
from recount.store.catalog import Goal
from tests import made
from tests.faults.room import Room, eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(900)]
START: Final = 1_470_009_600_000  # 2016-08-01T00:00 UTC
HOURS: Final = 240
DAYS: Final = {"first_day": "2016-08-01", "last_day": "2016-08-10"}


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


def test_run_killed_in_the_middle_of_a_reprocessing(room: Room) -> None:
    site, place = room.add_site("history"), room.place
    dagster = DagsterClient(room.stack.urls["dagster"])
    span = hour_of(START), hour_of(START + (HOURS - 1) * HOUR_MS)
    send(room, site)
    run = dagster.launch(HOUR_JOB, range_tags(span))
    eventually(lambda: dagster.state(run).is_over, "the hours published")
    assert room.query(site, "pageviews", **DAYS)["pageviews"] == HOURS
    known = place.catalog.get(site)
    assert known is not None
    place.catalog.update(replace(known, goals=(Goal(name="seen", page="/*"),), rules_version=2))

    before = place.manifests.current()
    run = dagster.launch(REFOLD_JOB, range_tags(span) | {REPROCESSING_TAG: "killed"})
    eventually(lambda: place.reprocessings.hours("killed"), "the first hours done")
    room.kill("dagster-code", and_children=True)
    done = place.reprocessings.hours("killed")
    assert 0 < len(done) < HOURS, "the run was over before it could be killed"
    room.wait_until_healthy(["dagster-code", "dagster-webserver", "dagster-daemon"])
    eventually(lambda: dagster.state(run).is_over, "a run whose process is gone over")
    assert place.manifests.current() == before
    refused = room.stack.recount("publish", "killed")
    assert refused.returncode == 1
    assert "lacks" in refused.stderr

    resumed = room.stack.recount("reprocess", "resume", "killed")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    whole = place.reprocessings.hours("killed")
    assert len(whole) >= HOURS
    assert {hour: whole[hour].generation for hour in done} == {h: d.generation for h, d in done.items()}
    published = room.stack.recount("publish", "killed")
    assert published.returncode == 0, published.stdout + published.stderr
    eventually(lambda: place.manifests.current() != before, "the correction shown")
    assert room.query(site, "pageviews", **DAYS)["pageviews"] == HOURS
