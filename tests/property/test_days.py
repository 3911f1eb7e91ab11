"""Days and months: hours added up give what folding the whole day gives, whatever the zone."""

from __future__ import annotations

from typing import Final

import polars as pl
import pytest
from hypothesis import given, settings

from recount.counting.fold import Rollup, fold, merge
from recount.counting.rebuild import HOURS, day_rollup
from recount.counting.rollup import SERIES, TOTAL
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, day_of
from tests.property.test_fold import SITES, assert_same, without_scroll
from tests.sequences import Row, frame, sequences

DAY_MS: Final = 24 * HOUR_MS


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter()


def hour_by_hour(rows: list[Row], interpreter: Interpreter) -> list[Rollup]:
    """As the archive does it: each hour cut with the carry of the hour before, until no visit is open."""
    rollups: list[Rollup] = []
    carry: pl.DataFrame | None = None
    hour = min(row["ts"] for row in rows) // HOUR_MS * HOUR_MS
    last = max(row["ts"] for row in rows)
    while hour <= last or (carry is not None and not carry.is_empty()):
        inside = [row for row in rows if hour <= row["ts"] < hour + HOUR_MS]
        done = cut(frame(inside), carry, hour + HOUR_MS)
        rollups.append(fold(done.events, done.ends, SITES, interpreter))
        carry, hour = done.carry, hour + HOUR_MS
    return rollups


@settings(max_examples=30, deadline=None)
@given(rows=sequences())
def test_the_hours_of_a_day_add_up_to_the_day(rows: list[Row], interpreter: Interpreter) -> None:
    if not rows:
        return
    hours = merge(hour_by_hour(rows, interpreter))
    whole = cut(frame(rows), None, max(row["ts"] for row in rows) + DAY_MS)
    days = fold(whole.events, whole.ends, SITES, interpreter, bucket_ms=DAY_MS)
    for at in days.rows["at"].unique():
        if at % DAY_MS:
            continue
        made = day_rollup(hours, day_of(at, "UTC"), {row["site"]: "UTC" for row in rows})
        plain = Rollup(
            *(part.filter(~pl.col("dimension").is_in([SERIES, HOURS])) for part in (made.rows, made.revenue))
        )
        wanted = Rollup(
            *(
                part.filter((pl.col("dimension") != SERIES) & (pl.col("at") == at))
                for part in (days.rows, days.revenue)
            )
        )
        assert_same(without_scroll(plain), without_scroll(wanted))
        for name in (SERIES, HOURS):
            inside = made.rows.filter(pl.col("dimension") == name)
            total = wanted.rows.filter(pl.col("dimension") == TOTAL)
            assert inside["accepted"].sum() == total["accepted"].sum()
            assert set(inside["visitors"].explode()) == set(total["visitors"].explode())
