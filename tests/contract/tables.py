"""Tables for the contract suites: one in memory, one in a real DynamoDB."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from recount.settings import Settings
from recount.store.memory_table import MemoryTable
from recount.store.table import Table
from recount.store.tables import ensure_tables, open_tables

KINDS = ("memory", "dynamodb")


def make(request: pytest.FixtureRequest) -> Table:
    """An empty table of the kind that the fixture's parameter names."""
    if request.param == "memory":
        return MemoryTable()
    address: str = request.getfixturevalue("dynamodb")
    settings = replace(Settings(), dynamodb=address, table_prefix=f"contract-{uuid.uuid4().hex[:12]}-")
    ensure_tables(settings)
    return open_tables(settings).raw
