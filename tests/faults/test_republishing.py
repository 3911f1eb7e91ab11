"""Dagster's code server killed; and in the end all that the other tests sent is shown, to the event."""

from __future__ import annotations

import pytest

from cli.dagster_client import DagsterClient
from orchestration.jobs import PUBLISH_OPEN_JOB
from orchestration.partitions import range_tags
from tests.faults.room import Room
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600)]
WAITING = {"QUEUED", "NOT_STARTED", "STARTING"}


def test_code_server_killed_during_a_run(room: Room) -> None:
    with room.load("republished") as load:
        load.wait_for(200)
    room.check(load)
    dagster = DagsterClient(room.stack.urls["dagster"])
    hour = room.hours()[-1]
    run = dagster.launch(PUBLISH_OPEN_JOB, range_tags((hour, hour)))
    eventually(lambda: dagster.state(run).status not in WAITING, "the run on its way")
    room.kill("dagster-code", and_children=True)
    assert not dagster.state(run).is_over, "the run was over before it could be killed"
    room.wait_until_healthy(["dagster-code", "dagster-webserver", "dagster-daemon"])
    eventually(lambda: dagster.state(run).is_over, "a run whose process is gone over, not running for ever")
    assert dagster.state(run).status == "FAILURE"

    done = room.stack.recount("publish-open")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = {site: room.query(site, "pageviews")["pageviews"] for site in room.published}
    assert shown == room.published
