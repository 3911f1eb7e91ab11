"""A part that goes away in the middle of a query: a whole answer or an error, never half of the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import pytest

from recount.errors import Unavailable
from recount.metrics import Metrics
from recount.periods import days_between, hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.query import Interval, Query, Span
from recount.store.dax import Connection, Connector, DaxReads
from recount.store.memory_table import MemoryTable
from recount.store.segments import SegmentStore
from recount.store.table import Item, Key, Reads
from tests.publishing import SITES, SLOTS, Press
from tests.rollups import hour_rollup

NOW = hour_start_ms("2026-11-20T00")
SPAN = Span("2026-10-01", "2026-11-09")
METRICS = ("visitors", "pageviews", "revenue")
PAGE = [
    Query(SPAN, METRICS),
    Query(SPAN, METRICS, interval="day"),
    Query(SPAN, METRICS, ("page",), compared=SPAN.before()),
    Query(SPAN, METRICS, interval="day", timezone="Asia/Kathmandu"),
]


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    press = Press(tmp_path_factory.mktemp("away"))
    hours = [f"{day}T{n:02d}" for n, day in enumerate(days_between("2026-10-10", "2026-11-08")) if n < 24]
    press.publish({hour: hour_rollup(hour, ["utc", "berlin"]) for hour in hours})
    return press


@dataclass
class Dying:
    """Gives so many reads, then fails for good."""

    reads: Reads
    left: int
    lock: Lock = field(default_factory=Lock)
    gave: int = 0

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        with self.lock:
            self.left -= 1
            if self.left < 0:
                raise ConnectionResetError("the node is gone")
            self.gave += 1
        return self.reads.get_many(keys)


def asking(press: Press, through: Reads | None = None) -> Answerer:
    segments = SegmentStore(press.rollups, SLOTS, through=through)
    return Answerer(press.manifests, segments, site_slots=SLOTS, now_ms=lambda: NOW)


def through_dax(press: Press, reads: int) -> tuple[DaxReads, Dying]:
    node = Dying(press.rollups, reads)
    connector = Connector(lambda: Connection(node, lambda: None), background=lambda work: work())
    connector.current()
    return DaxReads(press.rollups, connector, Metrics()), node


@pytest.mark.parametrize("site", ["utc", "berlin"])
@pytest.mark.parametrize("reads", [0, 1, 2, 3, 5])
def test_a_node_that_dies_in_the_middle_of_a_query(press: Press, site: str, reads: int) -> None:
    wanted = asking(press).answer_many(SITES[site], PAGE)
    through, node = through_dax(press, reads)
    found = asking(press, through).answer_many(SITES[site], PAGE)
    assert node.gave == reads
    assert found.tables == wanted.tables
    assert found.version == wanted.version


class DyingTable(MemoryTable):
    """A table that answers so many batches, then none."""

    def __init__(self, whole: MemoryTable, batches: int) -> None:
        self._items = whole._items
        self.left = batches

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self.left -= 1
        if self.left < 0:
            raise Unavailable("dynamodb", "connection refused")
        return super().get_many(keys)


@pytest.fixture(params=[1, 2, 3, 4])
def failing(press: Press, request: pytest.FixtureRequest) -> Answerer:
    assert isinstance(press.rollups, MemoryTable)
    segments = SegmentStore(DyingTable(press.rollups, request.param), SLOTS)
    return Answerer(press.manifests, segments, site_slots=SLOTS, now_ms=lambda: NOW)


def test_a_table_that_dies_in_the_middle_of_a_query_is_an_error(failing: Answerer) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        failing.answer_many(SITES["utc"], PAGE)


@pytest.mark.parametrize("interval", ["day", "month"])
def test_a_segment_that_is_named_but_gone_is_an_error(tmp_path: Path, interval: Interval) -> None:
    press = Press(tmp_path)
    press.publish({"2026-11-02T10": hour_rollup("2026-11-02T10", ["utc"])})
    assert isinstance(press.rollups, MemoryTable)
    for key in [key for key in press.rollups._items if key[0].startswith("utc#day")]:
        press.rollups.delete(key)
    with pytest.raises(Unavailable, match="named but cannot be read"):
        asking(press).answer(SITES["utc"], Query(SPAN, interval=interval))
