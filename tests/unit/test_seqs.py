"""Sets of sequence numbers survive their packing, and what is missing is found."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from recount.seqs import missing, pack, union, unpack

SEQS = st.lists(st.integers(0, 2**53), min_size=1, max_size=200)
NEAR = st.lists(st.integers(0, 400), min_size=1, max_size=200)


def numbers(ranges: list[tuple[int, int]]) -> set[int]:
    return {n for start, end in ranges for n in range(start, end + 1)}


@given(SEQS | NEAR)
@settings(deadline=None)
def test_what_is_packed_is_unpacked(seqs: list[int]) -> None:
    ranges = unpack(pack(seqs))
    assert numbers(ranges) == set(seqs)
    assert ranges == union(ranges), "as few ranges as there can be"


@given(NEAR, st.integers(0, 400), st.integers(0, 400))
@settings(deadline=None)
def test_missing_is_what_is_left(seqs: list[int], first: int, last: int) -> None:
    ranges = [(n, n) for n in seqs]
    assert numbers(missing(ranges, first, last)) == set(range(first, last + 1)) - set(seqs)


def test_a_busy_spool_over_six_partitions_is_small() -> None:
    assert len(pack([n for n in range(1, 60_000) if hash((n, 7)) % 6 == 0])) < 8_000
