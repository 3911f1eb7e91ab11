"""The stack of the session, hurt by these tests and well again after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.room import Room
from tests.stack import TestStack


@pytest.fixture(scope="package")
def faulty_stack(stack: TestStack) -> Room:
    return Room(stack)


@pytest.fixture
def room(faulty_stack: Room) -> Iterator[Room]:
    yield faulty_stack
    faulty_stack.mend()
