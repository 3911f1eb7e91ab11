"""Sites that are unlike others: a million paths a day, ten thousand properties, one event a month."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recount.counting import sketch
from recount.counting.counted import COUNTED_SCHEMA, VISITOR_COUNT, Counted, truncated
from recount.counting.rollup import OTHER, REVENUE_SCHEMA, SUMS, Rollup
from recount.errors import InvalidInput
from recount.keys import site_slot
from recount.periods import hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.query import LIMIT_MAX, Filter, Query, Span
from recount.settings import Settings
from recount.store.manifests import Entry, Manifest, Manifests, Publication, Root
from recount.store.memory_table import MemoryTable
from recount.store.provenance import Provenance
from recount.store.segment_encode import encode_counted
from recount.store.segments import SegmentStore, SlotWrite
from recount.store.table import ITEM_MAX_BYTES
from tests.publishing import SITES, SLOTS, Press
from tests.rollups import rollup, row

SITE = SITES["utc"]
DAY = "2026-11-02"
NOW = hour_start_ms("2026-11-20T00")
TOP_VALUES = Settings().top_values
PATHS = 1_000_000
PROPERTIES = 10_000


def answerer_of(press: Press) -> Answerer:
    return Answerer(press.manifests, press.segments, site_slots=SLOTS, now_ms=lambda: NOW)


def test_a_million_paths_a_day() -> None:
    table = MemoryTable()
    segments, manifests = SegmentStore(table, SLOTS), Manifests(table)
    views = np.maximum(1, 3 * PATHS // np.arange(1, PATHS + 1))
    segment = encode_counted(truncated(_day_of_paths(views), TOP_VALUES))[SITE.id]
    assert len(segment.numbers) + len(segment.head) < ITEM_MAX_BYTES
    _show(segments, manifests, SlotWrite(f"day/{DAY}", site_slot(SITE.id, SLOTS), "g", {SITE.id: segment}))
    ask = Answerer(manifests, segments, site_slots=SLOTS, now_ms=lambda: NOW)
    query = Query(Span(DAY, DAY), ("pageviews", "visitors"), ("page",), limit=LIMIT_MAX)
    answers = ask.answer(SITE, query)
    rows = answers.tables[0]
    assert len(rows) == TOP_VALUES + 1
    assert (rows[0]["page"], rows[0]["pageviews"]) == ("/0", views[0])
    assert rows[-1]["page"] == OTHER
    assert sum(one["pageviews"] for one in rows) == views.sum()
    assert any(f"up to {views[TOP_VALUES]:,} visitors".replace(",", "") in note for note in answers.notes)


def _day_of_paths(views: NDArray[np.int64]) -> Counted:
    rows = pl.DataFrame(
        {
            "site": SITE.id,
            "at": hour_start_ms(f"{DAY}T00"),
            "dimension": "page",
            "value": [f"/{n}" for n in range(len(views))],
            VISITOR_COUNT: views,
            **{name: np.zeros(len(views), np.int64) for name in SUMS},
            "pageviews": views,
        }
    ).with_columns(pl.lit(None, sketch.SET).alias("visitors"))
    return Counted(rows.select(*COUNTED_SCHEMA), pl.DataFrame(schema=dict(REVENUE_SCHEMA)))


def _show(segments: SegmentStore, manifests: Manifests, write: SlotWrite) -> None:
    segments.put([write])
    period = write.period.removeprefix("day/")
    made = Provenance(kind="day", period=period, generation=write.generation, made_ms=0, logic_version=1)
    entry = Entry.of({write.slot: write.generation}, made)
    manifest = Manifest(month=period[:7], id="m", periods={write.period: entry})
    root = Root(id="r", months={manifest.month: manifest.id}, at_ms=0)
    manifests.move(None, root, [manifest], Publication(id="r", parent=None, at_ms=0, reason="", run_id=""))


def test_ten_thousand_properties(tmp_path: Path) -> None:
    press = Press(tmp_path)
    at = hour_start_ms(f"{DAY}T10")
    rows = [row("utc", at, f"prop:{n:05d}", f"v{n % 3}", [n], events=n) for n in range(PROPERTIES)]
    press.publish({f"{DAY}T10": rollup([row("utc", at, "total", "", [1], events=7), *rows])})
    ask = answerer_of(press)
    span = Span(DAY, DAY)
    for n in random.Random(1).sample(range(PROPERTIES), 5):
        name = f"prop:{n:05d}"
        [found] = ask.answer(SITE, Query(span, ("events",), (name,))).tables[0]
        assert (found[name], found["events"]) == (f"v{n % 3}", n)
        only = (Filter(name, "equals", (f"v{n % 3}",)),)
        assert ask.answer(SITE, Query(span, ("events",), filters=only)).tables[0][0]["events"] == n
    assert ask.answer(SITE, Query(span, ("events",), ("prop:none",))).tables[0] == []
    [total] = ask.answer(SITE, Query(span, ("events",))).tables[0]
    assert total["events"] == 7


def test_one_event_a_month(tmp_path: Path) -> None:
    press = Press(tmp_path)
    months = [f"{year}-{month:02d}" for year in (2024, 2025) for month in range(1, 13)]
    hours = [f"{month}-15T10" for month in months]
    press.publish({hour: _one_view(hour) for hour in hours})
    ask = answerer_of(press)
    span = Span("2024-01-01", "2025-12-31")
    metrics = ("visitors", "pageviews")
    [total] = ask.answer(SITE, Query(span, metrics)).tables[0]
    assert (total["visitors"], total["pageviews"]) == (24, 24)
    by_month = ask.answer(SITE, Query(span, metrics, interval="month")).tables[0]
    assert [(one["date"], one["pageviews"]) for one in by_month] == [(f"{month}-01", 1) for month in months]
    by_day = ask.answer(SITE, Query(span, metrics, interval="day")).tables[0]
    assert len(by_day) == 731
    assert [one["date"] for one in by_day if one["pageviews"]] == [hour[:10] for hour in hours]
    elsewhere = Query(span, metrics, timezone="Asia/Kolkata")
    assert ask.answer(SITE, elsewhere).tables[0][0]["pageviews"] == 24


def _one_view(hour: str) -> Rollup:
    at = hour_start_ms(hour)
    shown = [("total", ""), ("series", ""), ("page", "/")]
    return rollup([row("utc", at, d, value, [at], pageviews=1, accepted=1) for d, value in shown])


def test_the_longest_series_that_is_put_together_says_its_bound(tmp_path: Path) -> None:
    query = Query(Span("2025-01-01", "2025-12-31"), interval="day", timezone="Asia/Kolkata")
    with pytest.raises(InvalidInput, match="at most 92 days; this range has 365") as caught:
        answerer_of(Press(tmp_path)).answer(SITE, query)
    assert caught.value.field == "date_range"
