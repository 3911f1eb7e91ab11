"""What would change, said in numbers; and what needs an approval."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting import counted
from recount.counting.counted import Counted
from recount.counting.rebuild import day_rollup
from recount.errors import InvalidInput
from recount.publishing.comparison import METRICS, Comparison, compare, nothing, together
from recount.publishing.thresholds import DEFAULTS, Threshold, blocked, parse
from tests.rollups import hour_rollup, rollup, row

DAY = "2026-11-22"
AT = 1_795_305_600_000  # its first moment in UTC


def day(*rows: dict[str, object], revenue: int = 0) -> Counted:
    money = dict(zip(("site", "at", "dimension", "value"), ("a", AT, "total", ""), strict=True))
    paid = [{**money, "currency": "EUR", "micros": revenue}] if revenue else []
    return counted.with_counts(rollup(rows, paid))


def total(visitors: int, site: str = "a", **sums: int) -> dict[str, object]:
    return row(site, AT, "total", "", range(visitors), **sums)


def test_equal_days_differ_in_nothing() -> None:
    one = day(total(3, pageviews=5), row("a", AT, "page", "/", range(3), pageviews=5), revenue=7)
    found = compare(DAY, one, one)
    assert found.is_empty
    assert found.rows.rows() == [(DAY, "a", 2, 0, 0, 0)]
    assert set(found.totals["metric"]) == {*METRICS, "revenue:EUR"}
    assert (found.totals["old"] == found.totals["new"]).all()


def test_a_moved_value_shows_where_it_was_and_where_it_is() -> None:
    old = day(total(2, visits=2), row("a", AT, "source", "Direct", [0, 1], visits=2))
    new = day(
        total(2, visits=2),
        row("a", AT, "source", "Direct", [0], visits=1),
        row("a", AT, "source", "Search", [1], visits=1),
    )
    found = compare(DAY, old, new)
    moved = found.changes.filter(pl.col("metric") == "visits").drop("day", "site", "metric")
    assert moved.rows() == [("source", "Direct", 2, 1, False, False), ("source", "Search", 0, 1, True, False)]
    assert found.rows.rows() == [(DAY, "a", 3, 2, 1, 0)]


def test_a_site_that_vanishes_is_said() -> None:
    found = compare(DAY, day(total(2), total(1, "b")), day(total(2)))
    assert found.changes.select("site", "metric", "old", "new", "vanished").rows() == [
        ("b", "visitors", 1, 0, True)
    ]


def test_money_is_compared_by_currency() -> None:
    found = compare(DAY, day(total(1), revenue=5), day(total(1), revenue=9))
    assert found.changes.select("metric", "old", "new").rows() == [("revenue:EUR", 5, 9)]
    assert found.rows["changed"].to_list() == [1]


def test_times_of_day_are_not_compared_twice() -> None:
    made = counted.with_counts(day_rollup(hour_rollup(f"{DAY}T10", ["a"]), DAY, {"a": "UTC"}))
    gone = Counted(made.rows.filter(~pl.col("dimension").is_in(["series", "hours"])), made.revenue)
    assert compare(DAY, made, gone).is_empty


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0, 3))
def test_there_and_back_is_the_same_with_old_and_new_exchanged(one: int, other: int) -> None:
    sides = [
        counted.with_counts(
            day_rollup(hour_rollup(f"{DAY}T10", ["a", "b"], seed), DAY, {"a": "UTC", "b": "UTC"})
        )
        for seed in (one, other)
    ]
    there, back = compare(DAY, *sides), compare(DAY, *reversed(sides))
    exchanged = back.changes.rename(
        {"old": "new", "new": "old", "appeared": "vanished", "vanished": "appeared"}
    )
    assert there.changes.sort(pl.all()).equals(exchanged.select(there.changes.columns).sort(pl.all()))
    assert there.is_empty == (one == other)


def test_days_are_put_together() -> None:
    one = compare(DAY, day(total(1)), day(total(2)))
    assert together([one, compare("2026-11-23", day(total(1)), day(total(2)))]).changes.height == 2
    assert together([]).changes.equals(nothing().changes)


def moved(old: int, new: int) -> Comparison:
    return compare(DAY, day(total(1, pageviews=old)), day(total(1, pageviews=new)))


@pytest.mark.parametrize(("old", "new", "stops"), [
    (1000, 1051, True),
    (1000, 1050, False),
    (1000, 949, True),
    (100, 140, False),  # a large share of few
    (0, 51, True),
])  # fmt: skip
def test_a_total_that_moves_too_far_blocks(old: int, new: int, stops: bool) -> None:
    assert bool(blocked(moved(old, new))) == stops


def test_what_blocks_says_how_far_it_moved() -> None:
    assert [str(found) for found in blocked(moved(1000, 1200))] == [
        "a: pageviews moves by +20.0% (1,000 -> 1,200), more than 5% needs an approval"
    ]


def test_revenue_is_measured_in_units_of_its_currency() -> None:
    small = compare(DAY, day(total(1), revenue=10_000_000), day(total(1), revenue=10_900_000))
    large = compare(DAY, day(total(1), revenue=10_000_000), day(total(1), revenue=12_000_000))
    assert not blocked(small)
    assert [found.metric for found in blocked(large)] == ["revenue:EUR"]


def test_thresholds_are_read() -> None:
    assert parse("") == DEFAULTS
    assert parse("visitors=5%/20, revenue=1.5%") == (
        Threshold("visitors", 0.05, 20),
        Threshold("revenue", 0.015, 0),
    )


@pytest.mark.parametrize("text", ["visitors", "visitors=5", "=5%", "visitors=x%", "visitors=5%/x"])
def test_a_threshold_that_cannot_be_read_says_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidInput, match="visitors=5%/20"):
        parse(text)
