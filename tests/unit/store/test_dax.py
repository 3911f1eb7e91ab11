"""What a read does while DAX is there, away, back, or says that there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from recount.errors import Unavailable
from recount.metrics import DAX_READS, Metrics
from recount.settings import Settings
from recount.store import blobs
from recount.store.dax import OUTCOMES, PAUSE_MAX_S, PAUSE_MIN_S, Connection, Connector, DaxReads, reads_of
from recount.store.memory_table import MemoryTable
from recount.store.table import Item, Key

KEYS: list[Key] = [("a", "1"), ("a", "2")]


class Node:
    """A DAX in memory that can be away, or fail while connected."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.away = False
        self.fails = False
        self.connects = 0
        self.closed = 0

    def connect(self) -> Connection:
        self.connects += 1
        if self.away:
            raise ConnectionRefusedError("nobody there")
        return Connection(self, self.close)

    def close(self) -> None:
        self.closed += 1

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        if self.fails:
            raise AttributeError("the client was closed meanwhile")
        return self.table.get_many(keys)


class Room:
    """Reads over a node and a table that hold the same two items; time and threads are ours."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.later: list[Callable[[], object]] = []
        self.node = Node()
        self.table = MemoryTable()
        for pk, sk in KEYS:
            self.table.put({"pk": pk, "sk": sk})
            self.node.table.put({"pk": pk, "sk": sk})
        self.metrics = Metrics()
        self.connector = Connector(self.node.connect, clock=lambda: self.now_s, background=self.later.append)
        self.reads = DaxReads(self.table, self.connector, self.metrics)

    def run_background(self) -> None:
        while self.later:
            self.later.pop(0)()

    def read(self) -> dict[Key, Item]:
        return blobs.fetch_existing(self.table, KEYS, self.reads)

    def counted(self) -> dict[str, float]:
        counter = self.metrics.counter(DAX_READS)
        return {outcome: counter.labels(outcome)._value.get() for outcome in OUTCOMES}

    def connected(self) -> Room:
        self.read()
        self.run_background()
        return self


def test_the_first_read_does_not_wait_for_a_connection() -> None:
    room = Room()
    assert len(room.read()) == 2
    assert (room.node.connects, room.counted()) == (0, {"dax": 0, "dynamodb": 2, "denied": 0})
    room.run_background()
    assert len(room.read()) == 2
    assert room.counted() == {"dax": 2, "dynamodb": 2, "denied": 0}


def test_readers_at_once_make_one_connection() -> None:
    room = Room()
    room.read()
    room.read()
    room.run_background()
    assert room.node.connects == 1


def test_tries_come_after_growing_pauses_and_never_stop() -> None:
    room = Room()
    room.node.away = True
    pauses: list[float] = []
    began_s, tries = room.now_s, 0
    while len(pauses) < 8:
        room.read()
        room.run_background()
        if room.node.connects > tries:
            tries = room.node.connects
            pauses.append(room.now_s - began_s)
            began_s = room.now_s
        room.now_s += 0.5
    assert pauses[:4] == [0, PAUSE_MIN_S, 2 * PAUSE_MIN_S, 4 * PAUSE_MIN_S]
    assert pauses[-1] == PAUSE_MAX_S


def test_a_failed_read_falls_back_and_the_next_ones_do_not_ask_until_it_is_back() -> None:
    room = Room().connected()
    room.node.fails = True
    assert len(room.read()) == 2
    room.run_background()
    assert room.node.closed == 1
    assert len(room.read()) == 2
    assert room.counted() == {"dax": 0, "dynamodb": 6, "denied": 0}
    room.node.fails = False
    room.now_s += PAUSE_MIN_S
    room.connected().read()
    assert room.counted()["dax"] == 2


def test_a_node_that_connects_and_fails_again_is_asked_less_and_less() -> None:
    room = Room().connected()
    room.node.fails = True
    for pause_s in (PAUSE_MIN_S, 2 * PAUSE_MIN_S, 4 * PAUSE_MIN_S):
        room.read()
        connects = room.node.connects
        room.now_s += pause_s - 0.1
        room.connected()
        assert room.node.connects == connects
        room.now_s += 0.1
        room.connected()
        assert room.node.connects == connects + 1


def test_two_readers_that_fail_on_one_connection_give_up_only_that_one() -> None:
    room = Room()
    connector = Connector(room.node.connect, clock=lambda: room.now_s, background=lambda work: work())
    first = connector.current()
    assert first is not None
    connector.failed(first, OSError("gone"))
    room.now_s += PAUSE_MIN_S
    second = connector.current()
    connector.failed(first, OSError("gone"))
    assert connector.current() is second is not None


def test_what_dax_denies_is_read_from_the_table_and_counted() -> None:
    room = Room().connected()
    room.node.table.delete(KEYS[1])
    assert set(room.read()) == set(KEYS)
    assert room.counted() == {"dax": 1, "dynamodb": 2, "denied": 1}


def test_what_nobody_has_is_an_outage_not_an_absence() -> None:
    room = Room().connected()
    room.node.table.delete(KEYS[1])
    room.table.delete(KEYS[1])
    with pytest.raises(Unavailable):
        room.read()


def test_without_the_setting_there_is_no_dax() -> None:
    table = MemoryTable()
    with reads_of(Settings(dax=""), table, Metrics()) as reads:
        assert reads is table
    with reads_of(Settings(), table, Metrics()) as reads:
        assert isinstance(reads, DaxReads)


def test_after_its_end_there_is_no_connection_any_more() -> None:
    room = Room().connected()
    room.connector.close()
    room.now_s += 2 * PAUSE_MAX_S
    room.connected()
    assert (room.node.connects, room.node.closed) == (1, 1)


def test_a_connection_that_comes_after_the_end_is_closed() -> None:
    room = Room()
    room.read()
    room.connector.close()
    room.run_background()
    assert (room.node.connects, room.node.closed) == (1, 1)
    room.connected()
    assert room.node.connects == 1
