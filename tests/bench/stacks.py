"""Stacks that live as long as a measurement."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from recount.metrics import Metrics
from recount.store.dax import reads_of
from recount.store.table import Reads
from recount.store.tables import Tables, ensure_tables, open_tables
from tests.stack import TestStack


@contextmanager
def own_stack(changes: Mapping[str, str] | None = None) -> Iterator[TestStack]:
    """A stack whose parts are started when needed; its folder goes with it. `changes`: see TestStack."""
    folder = Path(tempfile.mkdtemp(prefix="recount-bench-"))
    stack = TestStack(folder, changes)
    try:
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def tables_behind_dax(stack: TestStack, prefix: str) -> Iterator[tuple[Tables, Reads]]:
    """New tables on DynamoDB Local, and reads of the rollups through a DAX node."""
    stack.need("dynamodb", "dax")
    settings = replace(stack.settings, table_prefix=prefix)
    ensure_tables(settings)
    tables = open_tables(settings)
    with reads_of(settings, tables.rollups, Metrics()) as through:
        yield tables, through
