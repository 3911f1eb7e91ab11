"""A node with times of its own, a clock that stands, and one item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dax import tables
from tests.dax.cache.places import Clock, Own, Place
from tests.dax.running import RunningNode


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(own_node: Own, clock: Clock) -> RunningNode:
    return own_node(clock, item_ttl_s=300.0, query_ttl_s=60.0, absent_ttl_s=5.0)


@pytest.fixture(scope="module")
def table(direct: Any) -> str:
    return tables.make(direct, "ss")


@pytest.fixture
def place(direct: Any, table: str, own: RunningNode) -> Iterator[Place]:
    with own.client() as client:
        yield Place(direct, table, client)
