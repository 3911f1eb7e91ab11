from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import definitions
from tests.unit.orchestration.runner import Runner
from tests.unit.orchestration.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing has happened yet."""
    return World(tmp_path)


@pytest.fixture(scope="session")
def defs() -> dg.Definitions:
    made = definitions()
    assert isinstance(made, dg.Definitions)
    return made


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def runner(defs: dg.Definitions, instance: dg.DagsterInstance, world: World) -> Runner:
    return Runner(defs, instance, world)
