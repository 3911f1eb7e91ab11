from __future__ import annotations

import polars as pl
import pytest

from recount.counting.counted import Counts
from recount.counting.rollup import Rollup
from recount.errors import Unavailable
from recount.keys import site_slot
from recount.store.segment_decode import counts
from recount.store.segments import INLINE, SegmentStore, SlotWrite, encode, locate
from recount.store.table import ITEM_MAX_BYTES, Table
from tests.contract import tables
from tests.rollups import hour_rollup, rollup, row

DAY = "day/2026-11-22"
SLOTS = 1


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


def write(store: SegmentStore, generation: str, *sites: str, seed: int = 0) -> SlotWrite:
    segments = {site: encode(hour_rollup("2026-11-22T01", [site], seed)) for site in sites}
    written = SlotWrite(DAY, site_slot(sites[0], SLOTS), generation, segments)
    store.put([written])
    return written


def test_reads_what_was_written(table: Table) -> None:
    write(SegmentStore(table, SLOTS), "g1", "a", "b")
    store = SegmentStore(table, SLOTS)
    with_sets, numbers = (
        store.get_many([("a", DAY, "g1")], sets=True)[0],
        store.get_many([("b", DAY, "g1")])[0],
    )
    assert isinstance(with_sets, Rollup)
    assert with_sets.rows.equals(hour_rollup("2026-11-22T01", ["a"]).rows)
    assert isinstance(numbers, Counts)
    assert numbers.rows.height == hour_rollup("2026-11-22T01", ["b"]).rows.height


def test_the_index_decides_what_is_absent(table: Table) -> None:
    write(SegmentStore(table, SLOTS), "g1", "a")
    assert SegmentStore(table, SLOTS).get_many([("b", DAY, "g1"), ("a", DAY, "g1")])[0] is None
    with pytest.raises(Unavailable):
        SegmentStore(table, SLOTS).get_many([("a", DAY, "never-written")])


def test_a_named_segment_that_cannot_be_read_is_an_outage_not_an_absence(table: Table) -> None:
    write(SegmentStore(table, SLOTS), "g1", "a")
    table.delete((f"a#{DAY}", "g1#n0000"))
    with pytest.raises(Unavailable):
        SegmentStore(table, SLOTS).get_many([("a", DAY, "g1")])


def test_a_site_that_did_not_change_keeps_its_segment(table: Table) -> None:
    store = SegmentStore(table, SLOTS)
    first = write(store, "g1", "a", "b")
    kept = {"a": locate(first)["a"]}
    segments = {"b": encode(hour_rollup("2026-11-22T01", ["b"], 5))}
    store.put([SlotWrite(DAY, first.slot, "g2", segments, kept)])
    fresh = SegmentStore(table, SLOTS)
    places = fresh.places([("a", DAY, "g2"), ("b", DAY, "g2")])
    assert [place and place.generation for place in places] == ["g1", "g2"]
    old, new = (fresh.get_many([("b", DAY, g)], sets=True)[0] for g in ("g1", "g2"))
    assert isinstance(old, Rollup)
    assert isinstance(new, Rollup)
    assert not old.rows.equals(new.rows)
    assert fresh.get_many([("a", DAY, "g2")], sets=True)[0] is not None


def test_large_segments_are_cut_into_items(table: Table) -> None:
    rows = [
        row(
            "big",
            0,
            "page",
            f"{n * 2654435761 % 2**32:x}/{n * 40503 % 65536:x}",
            range(n, n + 3),
            pageviews=n,
        )
        for n in range(60_000)
    ]
    made = rollup(rows)
    segment = encode(made)
    assert len(segment.numbers) > ITEM_MAX_BYTES
    store = SegmentStore(table, SLOTS)
    store.put([SlotWrite(DAY, 0, "g1", {"big": segment})])
    place = SegmentStore(table, SLOTS).places([("big", DAY, "g1")])[0]
    assert place is not None
    assert place.numbers > 1
    back = SegmentStore(table, SLOTS).get_many([("big", DAY, "g1")], sets=True)[0]
    assert isinstance(back, Rollup)
    assert back.rows.equals(made.rows)


def test_small_sets_ride_along(table: Table) -> None:
    store = SegmentStore(table, SLOTS)
    store.put([SlotWrite(DAY, 0, "g1", {"s": encode(rollup([row("s", 0, "total", "", [1, 2])]))})])
    place = store.places([("s", DAY, "g1")])[0]
    assert place is not None
    assert place.sets == INLINE
    found = store.get_many([("s", DAY, "g1")], sets=True)[0]
    assert isinstance(found, Rollup)
    assert found.rows["visitors"].to_list() == [[1, 2]]


def test_the_cache_stays_within_its_bytes(table: Table) -> None:
    write(SegmentStore(table, SLOTS), "g1", "a", "b", "c")
    store = SegmentStore(table, SLOTS, cache_max_bytes=1)
    for _ in range(2):
        found = store.get_many([(site, DAY, "g1") for site in ("a", "b", "c")])
        assert all(isinstance(part, Counts) and not part.rows.is_empty() for part in found)


def test_reading_twice_asks_the_table_once(table: Table) -> None:
    write(SegmentStore(table, SLOTS), "g1", "a")
    store = SegmentStore(table, SLOTS)
    store.get_many([("a", DAY, "g1")])
    table.delete((f"a#{DAY}", "g1#n0000"))
    again = store.get_many([("a", DAY, "g1")])[0]
    assert isinstance(again, Counts)
    assert again.rows.filter(pl.col("dimension") == "total").height == 1


def test_totals_of_large_segments_are_read_without_their_values(table: Table) -> None:
    wide = [row("big", 0, "page", f"{n * 2654435761 % 2**32:x}", [n], pageviews=n) for n in range(6_000)]
    totals = [row("big", 0, "total", "", [1], pageviews=7), row("big", 0, "series", "", [1], pageviews=7)]
    revenue = [{"site": "big", "at": 0, "value": "", "dimension": "total", "currency": "EUR", "micros": 5}]
    made = rollup([*totals, *wide], revenue)
    small = {"small": encode(rollup([row("small", 0, "total", "", [1], pageviews=3)]))}
    write = SlotWrite(DAY, 0, "g1", {"big": encode(made), **small})
    SegmentStore(table, 1).put([write])
    assert [place.head for place in locate(write).values()] == [True, False]
    table.delete(("big#day/2026-11-22", "g1#n0000"))
    fresh = SegmentStore(table, 1)
    found = fresh.numbers([("big", DAY, "g1"), ("small", DAY, "g1")], {"total", "series"})
    head = counts([part for part in found if part is not None], {"total", "series"})
    assert head.rows["pageviews"].to_list() == [7, 7, 3]
    assert head.revenue["micros"].to_list() == [5]
    with pytest.raises(Unavailable):
        fresh.numbers([("big", DAY, "g1")], {"total", "page"})


def test_many_segments_are_read_by_several_threads(table: Table) -> None:
    store = SegmentStore(table, SLOTS)
    days = [f"day/2026-10-{day:02d}" for day in range(1, 31)]
    for n, day in enumerate(days):
        made = rollup([row("s", 0, "total", "", [1], pageviews=n)])
        store.put([SlotWrite(day, site_slot("s", SLOTS), "g", {"s": encode(made)})])
    found = SegmentStore(table, SLOTS).numbers([("s", day, "g") for day in reversed(days)])
    views = [counts([part]).rows["pageviews"].item() for part in found if part is not None]
    assert views == list(range(29, -1, -1))
