"""Cutting: any split of any sequence gives the same visits, and they are those of the definition."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recount.counting.visits import CARRY_SCHEMA, VISIT_END_SCHEMA, Cut, cut
from tests.sequences import START, Row, as_dicts, expected_cut, frame, rows_of, sequences, splits

LONG_AFTER = START + 100 * 3_600_000


@settings(max_examples=150, deadline=None)
@given(sequences(), st.booleans())
def test_a_cut_is_what_the_definition_says(rows: list[Row], at_once: bool) -> None:
    until = max((row["ts"] for row in rows), default=START) + 1 if at_once else LONG_AFTER
    found, wanted = rows_of(cut(frame(rows), None, until)), expected_cut(rows, until)
    assert [as_dicts(part) for part in found] == [as_dicts(part) for part in wanted]


@settings(max_examples=150, deadline=None)
@given(splits(), st.randoms(use_true_random=False))
def test_any_split_gives_the_same_visits(split: tuple[list[Row], list[int]], random: Random) -> None:
    rows, places = split
    until = rows[-1]["ts"] + 1 if rows else START
    whole = cut(frame(rows), None, until)
    batches = cut_in_batches(rows, places, until, random)
    in_order = ["site", "visitor", "ts", "received", "spool", "seq"]
    assert_frame_equal(pl.concat([b.events for b in batches]).sort(in_order), whole.events)
    ends = pl.concat([b.ends for b in batches]).sort("site", "visitor", "start")
    assert_frame_equal(ends, whole.ends)
    assert_frame_equal(batches[-1].carry, whole.carry)


def cut_in_batches(rows: list[Row], places: list[int], until: int, random: Random | None = None) -> list[Cut]:
    """Batches in order of time, each shuffled within."""
    edges = [0, *places, len(rows)]
    carry: pl.DataFrame | None = None
    cuts = []
    for first, last in pairwise(edges):
        batch = rows[first:last]
        if random is not None:
            random.shuffle(batch)
        done = cut(frame(batch), carry, rows[last]["ts"] if last < len(rows) else until)
        assert (done.carry.schema, done.ends.schema) == (pl.Schema(CARRY_SCHEMA), pl.Schema(VISIT_END_SCHEMA))
        carry = done.carry
        cuts.append(done)
    return cuts
