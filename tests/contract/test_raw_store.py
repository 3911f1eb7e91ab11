"""The raw store on every kind of table: what is written is read once, and gaps show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest

from recount.columns import positions
from recount.event import EVENT_SCHEMA
from recount.periods import HOUR_MS, hour_of
from recount.quarantine import DeadLetter
from recount.settings import Settings
from recount.store.raw import RawStore
from recount.store.receipts import RECEIPT_MAX_OFFSETS
from recount.store.table import Table
from tests.contract import tables
from tests.made import TS, value

SETTINGS = Settings(raw_ttl_days=36_500)  # the clock of these events stands still, that of the table goes on
HOUR = hour_of(TS)


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


def write(
    store: RawStore, offsets: Sequence[int], *, topic: str = "events", ts: int = TS, bad: Sequence[int] = ()
) -> None:
    values = [b"bad" if n in bad else value(seq=n, ts=ts) for n in offsets]
    store.write(store.prepare(values, positions(topic, 2, offsets), TS), lambda _: None)


def offsets(events: pl.DataFrame) -> list[tuple[str, int]]:
    return sorted(events.select("topic", "offset").iter_rows())


def test_an_hour_without_events(table: Table) -> None:
    events = RawStore(table, SETTINGS).read(HOUR)
    assert (events.schema, events.height) == (EVENT_SCHEMA, 0)


def test_an_hour_is_read_whole_and_alone(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    write(store, range(0, 5))
    write(store, range(0, 2), topic="imports")
    write(store, range(5, 7), ts=TS + HOUR_MS)
    events = store.read(HOUR)
    assert events.schema == EVENT_SCHEMA
    assert offsets(events) == [("events", n) for n in range(5)] + [("imports", 0), ("imports", 1)]
    assert offsets(store.read(hour_of(TS + HOUR_MS))) == [("events", 5), ("events", 6)]


def test_redelivery_in_other_portions_counts_nothing_twice(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    write(store, range(0, 6))
    write(store, range(0, 6))
    write(store, range(0, 4))
    write(store, range(4, 9))
    assert offsets(store.read(HOUR)) == [("events", n) for n in range(9)]


def test_missing_offsets_show(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    assert store.missing(("events", 2), 0, 4) == [(0, 4)]
    write(store, range(2, 5))
    write(store, range(4, 8))
    write(store, range(10, 12), bad=[10, 11])
    assert store.missing(("events", 2), 0, 15) == [(0, 2), (8, 10), (12, 15)]
    assert store.missing(("events", 2), 3, 8) == []
    assert store.missing(("events", 2), 4, 4) == []
    assert store.missing(("imports", 2), 0, 1) == [(0, 1)]
    assert store.missing(("events", 1), 0, 1) == [(0, 1)]


def test_receipts_come_back_as_written(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    write(store, range(2, 5), bad=[3])
    write(store, range(5, 6), ts=TS + HOUR_MS)
    first, second = store.receipts(("events", 2))
    assert (first.source, first.first, first.next, first.written_ms) == (("events", 2), 2, 5, TS)
    assert (first.hours, first.last, first.quarantined) == ({HOUR: 2}, {HOUR: 4}, {3: "bad_json"})
    assert second.hours == {hour_of(TS + HOUR_MS): 1}


def test_receipts_from_an_offset_include_those_that_reach_over_it(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    for first in (0, 10, 20):
        write(store, range(first, first + 10))
    source = ("events", 2)
    assert [r.first for r in store.receipts(source, 15)] == [10, 20]
    assert [r.first for r in store.receipts(source, 20)] == [20]
    assert [r.first for r in store.receipts(source, 5, end=20)] == [0, 10]
    assert store.receipts(source, 30 + RECEIPT_MAX_OFFSETS) == []


def test_dead_letters_go_before_receipts_and_after_items(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    seen: list[tuple[int, int]] = []

    def quarantine(letters: Sequence[DeadLetter]) -> None:
        seen.append((store.read(HOUR).height, len(store.receipts(("events", 2)))))

    store.write(store.prepare([value(), b"bad"], positions("events", 2, [0, 1]), TS), quarantine)
    assert seen == [(1, 0)]
    assert store.missing(("events", 2), 0, 2) == []


def test_a_reader_finds_what_a_writer_with_more_shards_wrote(table: Table) -> None:
    writer = RawStore(table, replace(SETTINGS, raw_shards=4))
    writer.announce()
    RawStore(table, SETTINGS).announce()
    for n in range(16):
        write(writer, [n])
    assert offsets(RawStore(table, SETTINGS).read(HOUR)) == [("events", n) for n in range(16)]


def test_dead_letters_are_found_by_their_hour(table: Table) -> None:
    store = RawStore(table, SETTINGS)
    poison = [value(v=9, seq=1), b"bad", value(v=9, seq=3, ts=TS + HOUR_MS), value(seq=4), value(v=9, seq=5)]
    for _ in range(2):  # a redelivery marks nothing twice
        store.write(store.prepare(poison, positions("events", 2, range(5)), TS), lambda _: None)
    store.write(store.prepare(poison[:1], positions("events", 2, [0]), TS), lambda _: None)
    found = store.quarantined(HOUR)
    assert found.select("topic", "partition", "offset", "reason", "site", "spool", "seq").rows() == [
        ("events", 2, 0, "unknown_version", "demo", "s", 1),
        ("events", 2, 4, "unknown_version", "demo", "s", 5),
    ]
    assert store.quarantined(hour_of(TS + HOUR_MS))["seq"].to_list() == [3]
    assert store.quarantined(None)["offset"].to_list() == [1]
    assert store.quarantined("2001-01-01T00").is_empty()
