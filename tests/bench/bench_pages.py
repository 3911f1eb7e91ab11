"""A page of the dashboard: totals, series, the period before, twelve lists of a large site."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from recount.periods import day_span_ms, days_between
from recount.querying.answers import Answerer
from recount.querying.query import METRICS, OF_GOALS, Query, Span
from recount.store.manifests import Manifests
from recount.store.segments import SegmentStore
from recount.store.table import Item, Key, Reads
from recount.store.tables import Tables
from tests.bench.large_site import SITE, SLOTS, VALUES, VISITORS, publish
from tests.bench.rows import Row
from tests.bench.stacks import own_stack, tables_behind_dax

LISTS: Final = tuple(VALUES)[:12]
OF_TOTALS: Final = tuple(name for name in METRICS if name not in OF_GOALS)
MONTH: Final = Span("2026-10-24", "2026-11-22")
YEAR: Final = Span("2025-12-01", "2026-11-22")
YEAR_BEFORE: Final = Span("2024-12-01", "2025-11-22")
RANGES: Final = {"30 days": (MONTH, MONTH.before()), "12 months": (YEAR, YEAR_BEFORE)}
MONTHS: Final = tuple(f"{year}-{month:02d}" for year in (2024, 2025, 2026) for month in range(1, 13))[11:34]
COLD_RUNS: Final = 10
WARM_RUNS: Final = 50
WARM_MAX_MS: Final = 100
COLD_MAX_MS: Final = 300


@dataclass
class Counting:
    """Reads, and the bytes of data that came."""

    reads: Reads
    bytes: int = 0

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found = self.reads.get_many(keys)
        self.bytes += sum(len(v) for item in found.values() for v in item.values() if isinstance(v, bytes))
        return found


def measure(*, large: bool) -> list[Row]:
    """Everything but HTTP and HTML, on DynamoDB Local and DAX; `cold`: nothing kept in process."""
    with own_stack() as stack, tables_behind_dax(stack, "pages-") as (tables, through):
        before = YEAR_BEFORE.last[:7]
        days = days_between(f"{before}-01", YEAR_BEFORE.last) + days_between(MONTH.before().first, MONTH.last)
        sizes = publish(tables, days, MONTHS)
        stored = f"{sizes['day']:,} bytes a stored day, {sizes['month']:,} a month"
        conditions = f"pages: {VISITORS:,} visitors a day, {stored}, DynamoDB Local"
        return [row for name in RANGES for row in _rows(name, tables, through, conditions)]


def page(span: Span, before: Span) -> list[Query]:
    """What a page asks: see `dashboard_svc.report.questions`."""
    asked = [query for one in (span, before) for query in (Query(one, OF_TOTALS), _series(one))]
    return asked + [Query(span, ("visitors", "pageviews"), (dimension,), limit=10) for dimension in LISTS]


def _series(span: Span) -> Query:
    return Query(span, OF_TOTALS, interval="day")


def _rows(name: str, tables: Tables, through: Reads, conditions: str) -> list[Row]:
    now_ms = day_span_ms(MONTH.last, "UTC")[1] + 1
    queries = page(*RANGES[name])

    def fresh(reads: Reads) -> Answerer:
        segments = SegmentStore(tables.rollups, SLOTS, through=reads)
        return Answerer(Manifests(tables.manifests), segments, site_slots=SLOTS, now_ms=lambda: now_ms)

    kept = fresh(tables.rollups)
    counting = Counting(tables.rollups)
    fresh(counting).answer_many(SITE, queries)
    ways: dict[str, tuple[Callable[[], object], int, int]] = {
        "warm": (lambda: kept.answer_many(SITE, queries), WARM_RUNS, WARM_MAX_MS),
        "cold, through DAX": (lambda: fresh(through).answer_many(SITE, queries), COLD_RUNS, COLD_MAX_MS),
        "cold": (lambda: fresh(tables.rollups).answer_many(SITE, queries), COLD_RUNS, COLD_MAX_MS),
    }
    if name != "30 days":
        ways = {way: (call, runs, COLD_MAX_MS) for way, (call, runs, _) in ways.items()}
    bytes_read = Row(
        name=f"page data, {name}, read from DynamoDB by a process that has nothing",
        ours=counting.bytes,
        unit="bytes",
        conditions=conditions,
    )
    return [*(_row(name, way, *how, conditions) for way, how in ways.items()), bytes_read]


def _row(name: str, way: str, call: Callable[[], object], runs: int, most: int, conditions: str) -> Row:
    call()
    began = time.process_time()
    times = _times_ms(call, runs)
    cpu_ms = (time.process_time() - began) / runs * 1000
    p95 = statistics.quantiles(times, n=20)[-1]
    return Row(
        name=f"page data, {name}, {way}, p95",
        ours=round(p95, 1),
        unit="ms",
        target=f"< {most}",
        ok=p95 < most,
        conditions=f"{conditions}; {name}, {way}: median {statistics.median(times):.0f} ms, "
        f"processor {cpu_ms:.0f} ms",
    )


def _times_ms(call: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return times
