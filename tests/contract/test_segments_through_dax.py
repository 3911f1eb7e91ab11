"""Segments through the real node and the real client: found, denied, the node killed or stuck meanwhile."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from recount.counting.rollup import Rollup
from recount.metrics import DAX_READS, Metrics
from recount.settings import Settings
from recount.store.dax import OUTCOMES, reads_of
from recount.store.segments import SegmentStore, SlotWrite, encode
from recount.store.tables import ensure_tables, open_tables
from tests.rollups import hour_rollup
from tests.stack import TestStack

DAY = "day/2026-11-22"
HOUR = "2026-11-22T01"
SLOTS = 1
WITHIN_S = 60.0


class Reading:
    """A deployment's rollups, read as a dashboard that has just started reads them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.table = open_tables(settings).rollups
        self._opened = reads_of(settings, self.table, self.metrics)

    def __enter__(self) -> Reading:
        self.through = self._opened.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._opened.__exit__(*raised)

    def write(self, generation: str, *sites: str) -> None:
        segments = {site: encode(hour_rollup(HOUR, [site])) for site in sites}
        SegmentStore(self.table, SLOTS).put([SlotWrite(DAY, 0, generation, segments)])

    def read(self, generation: str, site: str) -> None:
        """Nothing of it is in process yet; fails unless all is there."""
        store = SegmentStore(self.table, SLOTS, through=self.through)
        found = store.get_many([(site, DAY, generation)], sets=True)[0]
        assert isinstance(found, Rollup)
        assert found.rows.equals(hour_rollup(HOUR, [site]).rows)

    def counted(self, outcome: str) -> float:
        assert outcome in OUTCOMES
        return float(self.metrics.counter(DAX_READS).labels(outcome)._value.get())

    def read_until(self, outcome: str, generation: str, site: str) -> None:
        """Reads until one came from there; every one of them succeeds."""

        def came() -> bool:
            before = self.counted(outcome)
            self.read(generation, site)
            return self.counted(outcome) > before

        eventually(came)


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def reading(stack_parts: TestStack) -> Iterator[Reading]:
    stack_parts.need("dynamodb", "dax")
    prefix = f"contract-{uuid.uuid4().hex[:12]}-"
    settings = replace(stack_parts.settings, table_prefix=prefix)
    ensure_tables(settings)
    with Reading(settings) as reading:
        yield reading
    stack_parts.stack.up(["dax"])


def hits(stack: TestStack) -> float:
    text = httpx.get(f"{stack.urls['dax']}/metrics", trust_env=False).text
    line = next(line for line in text.splitlines() if line.startswith('dax_cache_hits_total{cache="item"}'))
    return float(line.split()[-1])


def test_segments_come_from_the_node_and_the_second_time_from_its_memory(
    stack_parts: TestStack, reading: Reading
) -> None:
    reading.write("g1", "a", "b")
    reading.read_until("dax", "g1", "a")
    before = hits(stack_parts)
    reading.read("g1", "a")
    assert hits(stack_parts) > before
    assert reading.counted("denied") == 0


def test_a_denied_segment_is_read_from_dynamodb_and_counted(reading: Reading) -> None:
    reading.write("g1", "a")
    reading.read_until("dax", "g1", "a")
    key = (f"b#{DAY}", "g2#n0000")
    assert reading.through.get_many([key]) == {}  # and the node remembers it
    denied = reading.counted("denied")
    reading.write("g2", "b")
    reading.read("g2", "b")
    assert reading.counted("denied") > denied


def test_reads_go_on_while_the_node_is_killed_and_find_it_again(
    stack_parts: TestStack, reading: Reading
) -> None:
    reading.write("g1", "a")
    reading.read_until("dax", "g1", "a")
    before = reading.counted("dynamodb")
    (pid,) = stack_parts.stack.control.running()["dax"].pids
    os.kill(pid, signal.SIGKILL)
    reading.read("g1", "a")
    assert reading.counted("dynamodb") > before
    reading.read_until("dax", "g1", "a")


def test_reads_go_on_while_the_node_is_stuck(stack_parts: TestStack, reading: Reading) -> None:
    reading.write("g1", "a")
    reading.read_until("dax", "g1", "a")
    before = reading.counted("dynamodb")
    (pid,) = stack_parts.stack.control.running()["dax"].pids
    os.kill(pid, signal.SIGSTOP)
    try:
        reading.read("g1", "a")
        assert reading.counted("dynamodb") > before
    finally:
        os.kill(pid, signal.SIGCONT)
    reading.read_until("dax", "g1", "a")


def test_reads_work_where_no_node_has_ever_been(reading: Reading) -> None:
    with Reading(replace(reading.settings, dax="127.0.0.1:9")) as alone:
        alone.write("g1", "a")
        for _ in range(3):
            alone.read("g1", "a")
        assert alone.counted("dax") == 0
        assert alone.counted("dynamodb") > 0
