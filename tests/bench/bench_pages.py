"""A page of the dashboard: totals, series, the period before, twelve lists over 30 days of a large site."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from recount.counting import sketch
from recount.counting.rebuild import HOURS
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, SERIES, SUMS, TOTAL, Rollup
from recount.keys import site_slot
from recount.periods import HOUR_MS, QUARTER_MS, day_span_ms, days_between
from recount.querying.answers import Answerer
from recount.querying.query import METRICS, Query, Span
from recount.store.catalog import Site
from recount.store.manifests import Entry, Manifest, Manifests, Publication, Root
from recount.store.provenance import Provenance
from recount.store.segments import SegmentStore, SlotWrite, encode
from recount.store.tables import Tables, ensure_tables, open_tables
from tests.bench.rows import Row
from tests.stack import TestStack

SITE: Final = Site(id="large", domain="large.example")
SLOTS: Final = 64
VISITORS: Final = 60_000  # a day; with five to six events each, 10 million events in 30 days
VALUES: Final = {
    **{"page": 1000, "entry_page": 1000, "exit_page": 1000, "source": 150, "referrer": 1000, "channel": 12},
    **{"utm_campaign": 60, "country": 150, "region": 600, "language": 80, "device": 4, "browser": 25},
    **{"browser_version": 300, "os": 12, "os_version": 80, "screen": 5, "event": 20, "outbound": 200},
}
LISTS: Final = tuple(VALUES)[:12]
SPAN: Final = Span("2026-10-24", "2026-11-22")
COLD_RUNS: Final = 10
WARM_RUNS: Final = 50
WARM_MAX_MS: Final = 100
COLD_MAX_MS: Final = 300


def measure(*, large: bool) -> list[Row]:
    """Everything but HTTP and HTML, on DynamoDB Local; `cold`: nothing kept in process."""
    folder = Path(tempfile.mkdtemp(prefix="recount-bench-"))
    stack = TestStack(folder)
    try:
        stack.need("dynamodb")
        settings = replace(stack.settings, table_prefix="pages-")
        ensure_tables(settings)
        tables = open_tables(settings)
        stored = _publish(tables)
        return _rows(tables, stored)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _rows(tables: Tables, stored_bytes: int) -> list[Row]:
    now_ms = day_span_ms(SPAN.last, "UTC")[1] + 1

    def fresh() -> Answerer:
        segments = SegmentStore(tables.rollups, SLOTS)
        return Answerer(Manifests(tables.manifests), segments, site_slots=SLOTS, now_ms=lambda: now_ms)

    page = [Query(SPAN, METRICS), Query(SPAN, METRICS, interval="day"), Query(SPAN.before(), METRICS)]
    page += [Query(SPAN, ("visitors", "pageviews"), (dimension,), limit=10) for dimension in LISTS]
    cold = _times_ms(lambda: fresh().answer_many(SITE, page), COLD_RUNS)
    kept = fresh()
    kept.answer_many(SITE, page)
    warm = _times_ms(lambda: kept.answer_many(SITE, page), WARM_RUNS)
    conditions = f"{VISITORS:,} visitors a day, {stored_bytes:,} bytes a stored day, DynamoDB Local"
    return [
        Row(
            name=f"page data, 30 days, {name}, p95",
            ours=round(statistics.quantiles(times, n=20)[-1], 1),
            unit="ms",
            target=f"< {most}",
            ok=statistics.quantiles(times, n=20)[-1] < most,
            conditions=f"{conditions}; median {statistics.median(times):.0f} ms",
        )
        for name, times, most in (("warm", warm, WARM_MAX_MS), ("cold", cold, COLD_MAX_MS))
    ]


def _times_ms(call: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times


def _publish(tables: Tables) -> int:
    """Days of the range and of the one before; returns the mean bytes of numbers a day."""
    segments, manifests = SegmentStore(tables.rollups, SLOTS), Manifests(tables.manifests)
    rng = np.random.default_rng(1)
    slot = site_slot(SITE.id, SLOTS)
    periods: dict[str, dict[str, Entry]] = {}
    sizes = []
    for day in days_between(SPAN.before().first, SPAN.last):
        segment = encode(_day(day, rng))
        sizes.append(len(segment.numbers))
        segments.put([SlotWrite(f"day/{day}", slot, "g", {SITE.id: segment})])
        made = Provenance(kind="day", period=day, generation="g", made_ms=0, logic_version=1)
        periods.setdefault(day[:7], {})[f"day/{day}"] = Entry.of({slot: "g"}, made)
    changed = [Manifest(month=month, id=f"m{month}", periods=found) for month, found in periods.items()]
    root = Root(id="r", months={manifest.month: manifest.id for manifest in changed}, at_ms=0)
    manifests.move(None, root, changed, Publication(id="r", parent=None, at_ms=0, reason="", run_id=""))
    return round(statistics.mean(sizes))


def _day(day: str, rng: np.random.Generator) -> Rollup:
    """A day of zipf-distributed values, each with a random part of the day's visitors."""
    start, _ = day_span_ms(day, SITE.timezone)
    pool = np.sort(rng.integers(0, 2**64, VISITORS, dtype=np.uint64))
    keys: list[tuple[str, int, str, str]] = [(SITE.id, start, TOTAL, "")]
    sizes = [VISITORS]
    for name, step, parts in ((SERIES, QUARTER_MS, 96), (HOURS, HOUR_MS, 24)):
        keys += [(SITE.id, start + n * step, name, "") for n in range(parts)]
        sizes += [VISITORS * 2 // parts] * parts
    for name, count in VALUES.items():
        weights = 1 / np.arange(1, count + 1) ** 1.1
        keys += [(SITE.id, start, name, f"/{name}/with-a-longer-path/{n}") for n in range(count)]
        sizes += np.maximum(1, VISITORS * weights / weights.sum()).astype(int).tolist()
    picked = [pool[np.sort(rng.choice(VISITORS, size, replace=False))][: sketch.K] for size in sizes]
    sets = pl.Series("visitors", [part.tolist() for part in picked], dtype=sketch.SET)
    metrics = [
        pl.Series(name, (np.array(sizes) * rng.uniform(0.5, 3, len(sizes))).astype(int)) for name in SUMS
    ]
    rows = pl.DataFrame(keys, schema={key: ROLLUP_SCHEMA[key] for key in KEYS}, orient="row")
    return Rollup(
        rows.with_columns(sets, *metrics).select(*ROLLUP_SCHEMA), pl.DataFrame(schema=dict(REVENUE_SCHEMA))
    )
