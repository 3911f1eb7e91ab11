"""Places never move: a changed hash would scatter stored data."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recount.keys import event_slots, kafka_partition, site_hash, site_slot

VISITORS = st.integers(0, 2**64 - 1)


def test_the_hash_of_a_site_is_fixed_for_ever() -> None:
    assert site_hash("demo") == 0x07F72FB3AF456330
    assert site_slot("demo", 64) == site_hash("demo") % 64


@given(VISITORS, VISITORS)
def test_a_small_site_lives_in_one_partition(a: int, b: int) -> None:
    assert kafka_partition("demo", a, spread=1, partitions=6) == kafka_partition(
        "demo", b, spread=1, partitions=6
    )


@given(VISITORS, st.integers(1, 64))
def test_a_spread_site_stays_within_its_spread(visitor: int, spread: int) -> None:
    places = {(site_hash("hot") + n) % 64 for n in range(spread)}
    assert kafka_partition("hot", visitor, spread=spread, partitions=64) in places


@given(st.lists(st.tuples(st.sampled_from("abc"), VISITORS), max_size=50), st.integers(1, 1024))
def test_event_slots_depend_on_site_and_visitor_alone(pairs: list[tuple[str, int]], slots: int) -> None:
    events = pl.DataFrame(pairs, schema={"site": pl.String, "visitor": pl.UInt64}, orient="row")
    expected = [(visitor ^ site_hash(site)) % slots for site, visitor in pairs]
    assert event_slots(events, slots).to_list() == expected
