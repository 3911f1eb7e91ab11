"""Raw batches as a pure function: items, dead letters, receipts; and the arithmetic of missing offsets."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recount.columns import decode, positions
from recount.event import EVENT_SCHEMA
from recount.periods import FIRST_HOUR, HOUR_MS, hour_start_ms
from recount.seqs import unpack
from recount.store import raw_items
from recount.store import receipts as receipts_module
from recount.store.raw_batch import RawBatch, raw_batch
from recount.store.raw_items import decode_item
from recount.store.receipts import RECEIPT_MAX_ENTRIES, gaps
from tests import made
from tests.made import TS

NOW = TS + 60_000


def value(seq: int, ts: int = TS, **given: Any) -> bytes:
    return made.value(id=f"e{seq}", seq=seq, ts=ts, visitor=f"{seq:016x}", **given)


def batch(values: list[bytes], places: pl.DataFrame, shards: int = 1) -> RawBatch:
    return raw_batch(values, places, shards=shards, ttl_days=35, retention_days=365, now_ms=NOW)


def test_one_item_for_each_hour_and_source_partition() -> None:
    values = [value(0), value(1, TS + HOUR_MS), value(2), value(3)]
    places = pl.concat([positions("events", 0, [10, 11, 12]), positions("imports", 4, [5])])
    stored = batch(values, places)
    assert [(i["pk"], i["sk"], i["events"]) for i in stored.items] == [
        ("2026-09-21T15#0", f"events/00000#{10:020d}#{12:020d}", 2),
        ("2026-09-21T16#0", f"events/00000#{11:020d}#{11:020d}", 1),
        ("2026-09-21T15#0", f"imports/00004#{5:020d}#{5:020d}", 1),
    ]
    assert {i["ttl"] for i in stored.items} == {NOW // 1000 + 35 * 86_400}
    assert stored.events == 4


def test_items_hold_the_events_exactly() -> None:
    values = [value(n, props={"n": n}, url=f"/ä{n}") for n in range(20)]
    places = positions("events", 2, range(20))
    (item,) = batch(values, places).items
    read = decode_item(item)
    assert read.schema == EVENT_SCHEMA
    assert read.equals(decode(values, places).events)


def test_the_same_records_make_the_same_bytes() -> None:
    values, places = [value(n) for n in range(50)], positions("events", 2, range(50))
    assert batch(values, places, 4) == batch(values, places, 4)


def test_a_batch_too_large_for_an_item_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_items, "ITEM_MAX_BYTES", 2_000)
    values, places = [value(n, url=f"/{n * 7919}") for n in range(400)], positions("events", 0, range(400))
    items = batch(values, places).items
    assert len(items) > 1
    assert all(len(i["data"]) <= 2_000 for i in items)
    assert pl.concat(map(decode_item, items)).sort("offset")["offset"].to_list() == list(range(400))
    assert len({(i["pk"], i["sk"]) for i in items}) == len(items)


def test_writes_are_spread_over_the_shards() -> None:
    keys = [batch([value(n)], positions("events", n % 3, [n]), 4).items[0]["pk"] for n in range(64)]
    assert {pk.split("#")[1] for pk in keys} == {"0", "1", "2", "3"}


def test_a_receipt_names_what_was_stored_and_what_was_not() -> None:
    values = [value(0), b"nonsense", value(2, TS + HOUR_MS), value(3)]
    stored = batch(values, positions("events", 0, range(100, 104)))
    (receipt,) = stored.receipts
    assert (receipt.source, receipt.first, receipt.next) == (("events", 0), 100, 104)
    assert receipt.hours == {"2026-09-21T15": 2, "2026-09-21T16": 1}
    assert receipt.last == {"2026-09-21T15": 103, "2026-09-21T16": 102}
    assert receipt.quarantined == {101: "bad_json"}
    (letter,) = stored.dead
    assert (letter.topic, letter.partition, letter.offset, letter.value) == ("events", 0, 101, b"nonsense")
    assert dict(letter.headers())["reason"] == b"bad_json"


def test_poison_alone_still_has_a_receipt() -> None:
    stored = batch([b"x"], positions("events", 0, [9]))
    assert stored.items == []
    assert [(r.first, r.next, r.hours) for r in stored.receipts] == [(9, 10, {})]


def test_offsets_that_were_not_delivered_are_not_promised() -> None:
    stored = batch([value(n) for n in range(4)], positions("events", 0, [1, 2, 5, 6]))
    assert [(r.first, r.next) for r in stored.receipts] == [(1, 3), (5, 7)]


def test_each_source_partition_has_its_own_receipt() -> None:
    places = pl.concat([positions("imports", 1, [3, 4]), positions("events", 1, [3])])
    stored = batch([value(n) for n in range(3)], places)
    assert [(*r.source, r.first, r.next) for r in stored.receipts] == [
        ("events", 1, 3, 4),
        ("imports", 1, 3, 5),
    ]


def test_a_receipt_never_outgrows_its_item() -> None:
    count = RECEIPT_MAX_ENTRIES + 1
    receipts = batch([b"x"] * count, positions("events", 0, range(count))).receipts
    assert sum(len(r.quarantined) for r in receipts) == count
    assert all(len(r.quarantined) <= RECEIPT_MAX_ENTRIES for r in receipts)
    assert gaps([(r.first, r.next) for r in receipts], 0, count) == []


def test_gaps_of_overlapping_spans() -> None:
    assert gaps([], 3, 7) == [(3, 7)]
    assert gaps([(0, 10)], 3, 7) == []
    assert gaps([(5, 6), (0, 4), (2, 5)], 0, 10) == [(6, 10)]
    assert gaps([(2, 4), (6, 8)], 0, 10) == [(0, 2), (4, 6), (8, 10)]
    assert gaps([(2, 4)], 5, 5) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda s: (s[0], s[0] + s[1]))))
def test_gaps_are_what_no_span_covers(spans: list[tuple[int, int]]) -> None:
    covered = {n for first, following in spans for n in range(first, following)}
    missing = [n for first, following in gaps(spans, 5, 35) for n in range(first, following)]
    assert missing == [n for n in range(5, 35) if n not in covered]


def test_events_that_no_hour_takes_are_quarantined_with_their_reason() -> None:
    day_ms = 24 * HOUR_MS
    values = [value(0), value(1, NOW - 366 * day_ms), b"bad", value(3, NOW + 3 * day_ms), value(4)]
    stored = batch(values, positions("events", 0, range(10, 15)))
    assert [(d.offset, d.reason) for d in stored.dead] == [
        (11, "too_old"),
        (12, "bad_json"),
        (13, "in_the_future"),
    ]
    assert stored.dead[0].value == values[1]
    (receipt,) = stored.receipts
    assert (receipt.first, receipt.next, receipt.hours) == (10, 15, {"2026-09-21T15": 2})
    assert receipt.quarantined == {11: "too_old", 12: "bad_json", 13: "in_the_future"}


def test_no_retention_reaches_before_the_first_hour() -> None:
    places = positions("imports", 0, [1])
    old = [made.value(ts=hour_start_ms(FIRST_HOUR) - 1)]
    stored = raw_batch(old, places, shards=1, ttl_days=35, retention_days=100_000, now_ms=NOW)
    assert [d.reason for d in stored.dead] == ["too_old"]


def test_receipts_name_the_numbers_of_each_spool() -> None:
    values = [value(3), value(4, spool="t"), b"bad", value(5, v=9), value(6)]
    (live,) = batch(values, positions("events", 0, range(5))).receipts
    assert {spool: unpack(packed) for spool, packed in live.spools.items()} == {
        "s": [(3, 3), (5, 6)],
        "t": [(4, 4)],
    }
    (bulk,) = batch(values, positions("imports", 0, range(5))).receipts
    assert bulk.spools == {}


def test_a_receipt_with_too_many_spools_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts_module, "RECEIPT_MAX_SPOOL_BYTES", 100)
    values = [value(n, spool=f"s{n}") for n in range(16)]
    receipts = batch(values, positions("events", 0, range(16))).receipts
    assert len(receipts) > 1
    assert gaps([(r.first, r.next) for r in receipts], 0, 16) == []
    assert sum(len(r.spools) for r in receipts) == 16
