"""Open visits: found by visitor, ended by time, dropped by partition, bounded."""

from __future__ import annotations

import polars as pl

from recount.counting.finding import SILENCE_MS
from recount.counting.visits import CARRY_SCHEMA, empty_carry
from streaming.open_visits import PARTS_MAX, OpenVisits
from tests.made import TS


def visits(*visitors: int, place: str = "demo#1", last: int = TS) -> pl.DataFrame:
    rows = [{"site": place, "visitor": v, "start": TS, "last": last, "position": 1} for v in visitors]
    return pl.DataFrame(rows, schema=CARRY_SCHEMA)


def keys(*visitors: int, place: str = "demo#1") -> pl.DataFrame:
    return visits(*visitors, place=place).select("site", "visitor")


def test_visits_are_taken_once() -> None:
    kept = OpenVisits()
    kept.put(visits(1, 2, 3))
    kept.put(visits(4))
    assert sorted(kept.take(keys(2, 4, 9, 2))["visitor"]) == [2, 4]
    assert kept.take(keys(2, 4)).is_empty()
    assert len(kept) == 2
    assert kept.take(keys(1, place="other#1")).is_empty()


def test_nothing_to_take() -> None:
    kept = OpenVisits()
    assert kept.take(keys(1)).schema == CARRY_SCHEMA
    kept.put(empty_carry())
    assert kept.take(keys()).is_empty()
    assert kept.sweep(TS).is_empty()


def test_what_is_put_back_is_found_again_however_often() -> None:
    kept = OpenVisits()
    kept.put(visits(*range(100)))
    for _ in range(3 * PARTS_MAX):
        taken = kept.take(keys(7, 8))
        assert sorted(taken["visitor"]) == [7, 8]
        kept.put(taken)
    assert len(kept) == 100


def test_sweeping_takes_those_whose_silence_ran_out() -> None:
    kept = OpenVisits()
    kept.put(visits(1, last=TS))
    kept.put(visits(2, last=TS + 1))
    assert kept.sweep(TS + SILENCE_MS)["visitor"].to_list() == [1]
    assert len(kept) == 1


def test_beyond_the_bound_the_longest_silent_go() -> None:
    kept = OpenVisits(visits_max=2)
    for n in range(4):
        kept.put(visits(n, last=TS + n))
    assert sorted(kept.sweep(TS)["visitor"]) == [0, 1]
    assert len(kept) == 2


def test_visits_of_a_partition_are_dropped() -> None:
    kept = OpenVisits()
    kept.put(visits(1, place="demo#1"))
    kept.put(visits(2, place="demo#11"))
    kept.drop([1])
    assert kept.take(keys(1)).is_empty()
    assert kept.take(keys(2, place="demo#11")).height == 1
