"""The stack of the session, hurt by these tests and well again after each of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import edge_room, late_room
from tests.faults.edge_room import EdgeRoom
from tests.faults.late_room import LateRoom
from tests.faults.room import Room
from tests.receiving import http_receiver
from tests.stack import TestStack


@pytest.fixture(scope="package")
def faulty_stack(stack: TestStack) -> Room:
    return Room(stack)


@pytest.fixture
def room(faulty_stack: Room) -> Iterator[Room]:
    yield faulty_stack
    faulty_stack.mend()


@pytest.fixture(scope="package")
def edge_stack() -> Iterator[EdgeRoom]:
    """A stack of its own: no limit of requests for each client, and its autoscaler decides nothing."""
    folder = Path(tempfile.mkdtemp(prefix="recount-edge-"))
    stack = TestStack(folder, edge_room.CHANGES)
    try:
        yield EdgeRoom.of(stack)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def edge(edge_stack: EdgeRoom) -> Iterator[EdgeRoom]:
    edge_stack.mend()
    yield edge_stack
    edge_stack.mend()


@pytest.fixture(scope="package")
def late_stack() -> Iterator[LateRoom]:
    """A stack of its own: late events are published after seconds, alerts told to a receiver."""
    folder = Path(tempfile.mkdtemp(prefix="recount-late-"))
    with http_receiver() as told:
        stack = TestStack(folder, late_room.CHANGES | {"RECOUNT_ALERT_WEBHOOK": told.address})
        try:
            yield LateRoom.of(stack, told)
        finally:
            stack.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def late(late_stack: LateRoom) -> Iterator[LateRoom]:
    yield late_stack
    late_stack.mend()
