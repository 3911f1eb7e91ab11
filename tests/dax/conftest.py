"""One DynamoDB Local and one node for all contract tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dax import tables
from tests.dax.running import RunningNode, direct_client, settings
from tests.dax.sides import Side


@pytest.fixture(scope="session")
def direct(dynamodb: str) -> Any:
    """boto3, past the node."""
    return direct_client(dynamodb)


@pytest.fixture(scope="session")
def node(dynamodb: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with RunningNode(settings(tmp_path_factory.mktemp("dax"), dynamodb)) as running:
        yield running


@pytest.fixture(scope="session")
def client(node: RunningNode) -> Iterator[Any]:
    with node.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def table_pairs(direct: Any) -> tuple[dict[str, str], dict[str, str]]:
    """For each kind of key a table for either side."""
    made = [{kind: tables.make(direct, kind) for kind in tables.KEYS} for _ in range(2)]
    return made[0], made[1]


@pytest.fixture
def sides(direct: Any, client: Any, table_pairs: tuple[dict[str, str], dict[str, str]]) -> tuple[Side, Side]:
    """DynamoDB itself, and the node."""
    return Side(direct, table_pairs[0]), Side(client, table_pairs[1])


@pytest.fixture
def own_node(dynamodb: str, tmp_path: Path) -> Iterator[Any]:
    """Makes nodes with settings of their own: `own_node(clock=..., item_ttl_s=...)`."""
    running: list[RunningNode] = []

    def make(clock: Any = None, **changes: Any) -> RunningNode:
        given: dict[str, Any] = {"state": tmp_path / f"dax-{len(running)}", "endpoint": dynamodb} | changes
        made = RunningNode(settings(**given), clock or time.monotonic).__enter__()
        running.append(made)
        return made

    yield make
    for one in running:
        one.__exit__()
