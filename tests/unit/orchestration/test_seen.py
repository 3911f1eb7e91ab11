"""Each offset is taken once, however its redeliveries overlap."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from orchestration.steps.seen import Seen
from recount.event import POSITION_SCHEMA

Place = tuple[str, int, int]
PLACES = st.tuples(st.sampled_from(["events", "imports"]), st.integers(0, 1), st.integers(0, 30))


def frame(places: list[Place]) -> pl.DataFrame:
    return pl.DataFrame(places, schema=POSITION_SCHEMA, orient="row")


@given(st.lists(st.lists(PLACES, max_size=8), max_size=12), st.lists(PLACES))
def test_every_offset_once(portions: list[list[Place]], asked: list[Place]) -> None:
    seen, known = Seen(), set[Place]()
    for places in portions:
        flags = seen.take(frame(places))
        taken = [place for place, is_new in zip(places, flags, strict=True) if is_new]
        assert sorted(taken) == sorted(set(places) - known)
        known |= set(places)
        assert seen.lacks(frame(asked)).tolist() == [place not in known for place in asked]
