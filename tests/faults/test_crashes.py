"""Processes of the write path killed under load: what was acknowledged is counted, and counted once."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults.room import Room
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600)]


def test_ingest_killed_under_load(room: Room) -> None:
    with room.load("ingest") as load:
        for _ in range(2):
            load.wait_for(600)
            room.kill("ingest")
        room.wait_until_healthy(["ingest"])
        load.wait_for(300)
    assert load.unanswered, "the kill was not noticed: the load was not on"
    # A door that has just opened does not know its sites yet: it must ask to come again, not turn away.
    assert set(load.refusals) <= {"503 unavailable"}
    room.check(load)


def test_shipper_killed_under_load(room: Room) -> None:
    with room.load("shipper") as load:
        for _ in range(2):
            load.wait_for(600)
            room.kill("shipper")
        load.wait_for(600)
    assert not load.refusals, "the door does not depend on the shipper"
    assert load.acknowledged == load.sent
    room.check(load)


def test_ingest_and_shipper_killed_together(room: Room) -> None:
    with room.load("both") as load:
        load.wait_for(600)
        victims = (*room.pids("ingest"), *room.pids("shipper"))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        room.wait_until_healthy(["ingest", "shipper"])
        load.wait_for(300)
    room.check(load)


def test_event_source_and_its_function_killed_under_load(room: Room) -> None:
    with room.load("store-batches") as load:
        load.wait_for(600)
        room.kill("store_batches")
        eventually(lambda: room.children("store_batches", "awslambdaric"), "a new function")
        load.wait_for(600)
        for pid in room.children("store_batches", "awslambdaric"):
            os.kill(pid, signal.SIGKILL)
        load.wait_for(600)
    assert not load.refusals
    room.check(load)
