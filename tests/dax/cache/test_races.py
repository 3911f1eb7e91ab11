"""Reads, writes and flushes at once: what stays is what is true afterwards."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.dax.cache.places import Gate, Place
from tests.dax.running import RunningNode


def test_a_read_that_a_write_overtakes_does_not_stay(place: Place, own: RunningNode) -> None:
    place.put("old", past=True)
    gate = Gate(own, "GetItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        slow = threads.submit(other.get_item, TableName=place.table, Key=place.key)
        assert gate.reached.wait(30)
        place.put("new")
        gate.opened.set()
        assert slow.result(30)["Item"]["v"]["S"] == "old"  # that was true when it was asked
    assert place.get() == "new"


def test_of_two_writes_at_once_neither_stays(place: Place, own: RunningNode) -> None:
    gate = Gate(own, "PutItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        item = place.key | {"v": {"S": "first"}}
        slow = threads.submit(other.put_item, TableName=place.table, Item=item)
        assert gate.reached.wait(30)
        place.update("second")
        gate.opened.set()
        slow.result(30)
    assert place.get() == "second"
    assert own.calls("GetItem") == 1


def test_a_flush_also_forgets_what_is_being_read(place: Place, own: RunningNode) -> None:
    place.put("old", past=True)
    gate = Gate(own, "GetItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        slow = threads.submit(other.get_item, TableName=place.table, Key=place.key)
        assert gate.reached.wait(30)
        place.put("new", past=True)
        httpx.post(f"{own.web}/flush")
        gate.opened.set()
        slow.result(30)
    assert place.get() == "new"


def test_many_who_ask_at_once_are_one_read(place: Place, own: RunningNode) -> None:
    place.put("a", past=True)
    gate = Gate(own, "GetItem")
    asked = {"TableName": place.table, "Key": place.key}
    with ThreadPoolExecutor(5) as threads, own.client() as other:
        first = threads.submit(other.get_item, **asked)
        assert gate.reached.wait(30)
        rest = [threads.submit(other.get_item, **asked) for _ in range(4)]
        deadline = time.monotonic() + 30
        while own.server.node.items.counts.misses < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        gate.opened.set()
        assert {one.result(30)["Item"]["v"]["S"] for one in [first, *rest]} == {"a"}
    assert own.calls("GetItem") == 1
