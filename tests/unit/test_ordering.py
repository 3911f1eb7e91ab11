"""The order in which events are cut: the packed numbers sort as all of the facts do."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recount.counting.ordering import ordered_by_visitor
from tests.bench import generate

ORDER = ["site", "visitor", "ts", "received", "spool", "seq"]
YEARS_MS = 40 * 366 * 86_400_000

VISITORS = {
    "far apart": pl.col("visitor"),
    "alike in their upper bits": pl.col("visitor") % 50 + 2**63,
    "small": pl.col("visitor") % 50,
    "some alike": pl.when(pl.col("seq") % 2 == 0).then(pl.col("visitor") % 50).otherwise("visitor"),
}
TIMES = {
    "of an hour": pl.col("ts"),
    "often the same": pl.col("ts") // 600_000 * 600_000,
    "years apart": pl.col("ts") % 2 * YEARS_MS + pl.col("ts") % 1_000,
}


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("ts", TIMES)
@pytest.mark.parametrize("sites", [1, 30])
def test_events_lie_by_visitor_and_time(visitor: str, ts: str, sites: int) -> None:
    events = generate.events(2_000, sites=sites).with_columns(
        ts=TIMES[ts], visitor=VISITORS[visitor].cast(pl.UInt64), spool=pl.format("s{}", pl.col("seq") % 3)
    )
    found, begins = ordered_by_visitor(events.sample(fraction=1.0, shuffle=True, seed=3))
    assert_frame_equal(found, events.sort(ORDER))
    assert begins.sum() == events.select(pl.struct("site", "visitor").n_unique()).item()
    assert found.filter(pl.Series(begins)).select("site", "visitor").is_duplicated().sum() == 0
