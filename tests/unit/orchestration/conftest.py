from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.orchestration.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing has happened yet."""
    return World(tmp_path)
