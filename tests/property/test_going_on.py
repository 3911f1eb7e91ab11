"""A day that hours were added to, one publication after another, is the day made from all of its hours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.rollup import merge
from recount.periods import hour_start_ms, hours_between
from tests.publishing import SITES, Press
from tests.rollups import hour_rollup

HOURS: Final = [*hours_between(hour_start_ms("2026-10-30T17"), hour_start_ms("2026-10-30T23"))]
DAYS: Final = ("2026-10-30", "2026-10-31")

publications = st.lists(
    st.dictionaries(
        st.sampled_from(HOURS),
        st.tuples(st.sets(st.sampled_from(sorted(SITES))), st.integers(0, 2)),
        min_size=1,
        max_size=3,
    ),
    min_size=2,
    max_size=5,
)
"""For each publication, what an hour shows now: its sites, and which version of their numbers."""


@settings(max_examples=25, deadline=None)
@given(given_hours=publications)
def test_adding_hours_and_making_days_whole_come_to_the_same(
    given_hours: list[dict[str, tuple[set[str], int]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        press = Press(Path(folder))
        for hours in given_hours:
            made = {}
            for hour, (sites, seed) in hours.items():
                whole = hour_rollup(hour, sorted(sites - {"kolkata"}), seed)
                quarters = hour_rollup(hour, sorted(sites & {"kolkata"}), seed, bucket_ms=900_000)
                made[hour] = merge([whole, quarters])
            press.publish(made)
            assert press.faults() == []
        again = press.publisher.rebuild(DAYS, [], "from all hours")
        assert not any(again.sites.values())
        assert press.faults() == []
