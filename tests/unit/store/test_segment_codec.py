from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.counted import Counted, with_counts
from recount.counting.rollup import KEYS, ROLLUP_SCHEMA, SUMS, Rollup, empty
from recount.periods import HOUR_MS
from recount.store.segment_decode import Numbers, counts
from recount.store.segment_encode import encode_counted
from recount.store.segment_wire import COLUMNS, KNOWN_DIMENSIONS, Segment
from recount.store.segments import decode, encode
from tests.rollups import hour_rollup, rollup, row

HOUR = "2026-11-22T23"

keys = st.tuples(
    st.integers(0, 3).map(lambda n: n * HOUR_MS // 4),
    st.sampled_from(["total", "page", "browser", "prop:a", "prop:ä"]),
    st.text(max_size=12),
)
amounts = st.integers(0, 2**53)


@st.composite
def rollups(draw: st.DrawFn) -> Rollup:
    rows: list[dict[str, Any]] = []
    revenue: list[dict[str, Any]] = []
    for at, dimension, value in sorted(draw(st.sets(keys, min_size=1, max_size=30))):
        visitors = draw(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=12))
        sums = {name: draw(amounts) for name in draw(st.sets(st.sampled_from(SUMS)))}
        rows.append(row("s", at, dimension, value, visitors, **sums))
        for currency in draw(st.sets(st.sampled_from(["EUR", "USD", "JPY"]))):
            micros = draw(st.integers(-(2**62), 2**62))
            key = dict(zip(KEYS, ("s", at, dimension, value), strict=True))
            revenue.append({**key, "currency": currency, "micros": micros})
    return rollup(rows, revenue)


@settings(max_examples=150, deadline=None)
@given(rollups())
def test_what_goes_in_comes_out(made: Rollup) -> None:
    back = decode(Segment.from_bytes(encode(made).to_bytes()), "s")
    assert back.rows.equals(made.rows)
    assert back.revenue.equals(made.revenue)


@settings(max_examples=50, deadline=None)
@given(rollups())
def test_numbers_alone_say_how_many_visitors(made: Rollup) -> None:
    shown = counts([Numbers("s", encode(made).numbers)]).rows.sort(KEYS)
    assert shown["visitors"].to_list() == made.rows["visitors"].list.len().to_list()
    assert shown.drop("visitors").equals(made.rows.drop("visitors"))


def test_an_empty_rollup_survives() -> None:
    segment = encode(empty())
    assert decode(segment, "s").is_empty


def test_equal_rows_have_equal_digests_whatever_their_order() -> None:
    made = hour_rollup(HOUR, ["s"])
    shuffled = Rollup(made.rows.reverse(), made.revenue.reverse())
    assert encode(made) == encode(shuffled)
    assert encode(made).digest != encode(hour_rollup(HOUR, ["s"], seed=1)).digest


def test_many_sites_are_encoded_as_each_alone() -> None:
    sites = ["a", "b", "ü"]
    whole = encode_counted(with_counts(hour_rollup(HOUR, sites)))
    assert whole == {site: encode(hour_rollup(HOUR, [site])) for site in sites}


def test_dimensions_are_picked_without_the_rest() -> None:
    made = hour_rollup(HOUR, ["s"], views=30)
    part = Numbers("s", encode(made).numbers)
    picked = counts([part, part], {"page", "series"})
    assert set(picked.rows["dimension"]) == {"page", "series"}
    assert picked.rows.height == 2 * made.rows.filter(pl.col("dimension").is_in(["page", "series"])).height
    assert set(picked.revenue["dimension"]) <= {"page", "series"}
    assert counts([part], {"country"}).rows.is_empty()
    assert counts([], None).rows.is_empty()


def test_rows_without_sets_keep_their_number() -> None:
    made = with_counts(hour_rollup(HOUR, ["s"]))
    numbers_only = Counted(
        made.rows.with_columns(visitors=pl.lit(None, ROLLUP_SCHEMA["visitors"]), visitor_count=7),
        made.revenue,
    )
    segment = encode_counted(numbers_only)["s"]
    assert segment.sets == b""
    assert set(counts([Numbers("s", segment.numbers)]).rows["visitors"]) == {7}
    assert set(decode(segment, "s").rows["visitors"].list.len()) == {0}


def test_revenue_must_belong_to_a_row() -> None:
    made = hour_rollup(HOUR, ["s"], views=30)
    with pytest.raises(ValueError, match="without a row"):
        encode(Rollup(made.rows.filter(pl.col("dimension") == "source"), made.revenue))


def test_stored_places_never_change() -> None:
    """Published segments name columns and dimensions by their place: entries are only ever appended."""
    assert ("visitor_count", *SUMS) == COLUMNS
    assert KNOWN_DIMENSIONS[:4] == ("total", "series", "page", "entry_page")
    assert KNOWN_DIMENSIONS.index("hours") == 28
