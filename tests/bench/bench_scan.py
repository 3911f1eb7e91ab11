"""A filtered query from the archive: 30 days of a site with 10 million events, beside DuckDB on its files.

DuckDB groups raw columns and knows no bots; ours interprets, leaves bots out, and counts by the fold. The
scan is told where the hours lie, as a process that has answered before knows it; footers are read anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import polars as pl

from recount.counting.visits import Cut, cut
from recount.keys import event_slots
from recount.metrics import Metrics
from recount.periods import HOUR_MS, day_span_ms, days_between, hour_start_ms, hours_between
from recount.querying.query import Filter, Span
from recount.scanning.asked import Asked
from recount.scanning.funnel import Funnel, Step, count
from recount.scanning.gate import Gate
from recount.scanning.reading import Reader
from recount.scanning.scanner import Scanner
from recount.scanning.sources import Published, Source
from recount.store.archive import Archive, ArchiveInfo, by_slot
from recount.store.catalog import Site
from recount.store.memory_table import MemoryTable
from recount.store.rulebook import Rulebook
from tests.bench import generate
from tests.bench.rows import Row

EVENTS: Final = 10_000_000
SPAN: Final = Span("2026-10-01", "2026-10-30")
SLOTS: Final = 2
SITE: Final = Site(id="site0000", domain="site0000.example")
GENERATION: Final = "bench"
ROUNDS: Final = 3
FILTERS: Final = (Filter("country", "equals", ("DE",)), Filter("entry_page", "contains", ("/docs/",)))
DUCKDB: Final = """
    select entry_region, count(distinct visitor), count(*) filter (kind = 'pageview')
    from read_parquet('{files}')
    where site = 'site0000' and entry_country = 'DE' and entry_url like '%/docs/%'
    group by entry_region
"""


def measure(*, large: bool) -> list[Row]:
    del large
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(folder)
        sources = _write(archive)
        asked = Asked(SPAN, "UTC", ("visitors", "pageviews"), ("region",), FILTERS)
        scanned = _scanner(archive, sources).numbers(SITE, asked)
        ours_s = _best(lambda: _scanner(archive, sources).numbers(SITE, asked))
        funnel = Funnel(SPAN, "UTC", (Step("page", "/docs/*"), Step("event", "*")))
        funnel_s = _best(lambda: count(_scanner(archive, sources), SITE, funnel))
        peer_s = _duckdb(f"{folder}/archive/*/*/*/events.parquet")
        events = sum(info.events for info in map(archive.newest, archive.hours()) if info)
    conditions = f"{events:,} events of one site in 30 days, {pl.thread_pool_size()} threads"
    return [
        Row(
            name="two filters and a dimension, 30 days from the archive",
            ours=ours_s,
            unit="s",
            peer="DuckDB, raw columns",
            peer_value=peer_s,
            conditions=conditions,
        ),
        Row(
            name="bytes it reads of the archive",
            ours=scanned.bytes / 1e6,
            unit="MB",
            conditions=conditions,
        ),
        Row(name="funnel of two steps over the same", ours=funnel_s, unit="s", conditions=conditions),
    ]


class _Known:
    """Sources without the tables."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._published = Published(sources, day_span_ms(SPAN.last, "UTC")[1])

    def of(self, site: str, start_ms: int, end_ms: int, root: str | None = None) -> Published:
        return self._published

    def forget(self) -> None:
        """Nothing is replaced here."""


def _scanner(archive: Archive, sources: tuple[Source, ...]) -> Scanner:
    metrics = Metrics()
    gate, exports = Gate(1, 0, 600, metrics), Gate(1, 0, 600, metrics)
    known = _Known(sources)
    rulebook = Rulebook(MemoryTable())
    return Scanner(known, Reader(archive), gate, exports, rulebook, metrics, max_bytes=10**12)


def _write(archive: Archive) -> tuple[Source, ...]:
    """The events of each day, archived by the hour."""
    sources = []
    days = days_between(SPAN.first, SPAN.last)
    for number, day in enumerate(days):
        start, end = day_span_ms(day, "UTC")
        events = generate.events(
            EVENTS // len(days), seed=number, sites=1, hour=f"{day}T00", span_ms=end - start
        )
        whole = cut(events, None, end)
        for hour in hours_between(start, end):
            sources.append(_write_hour(archive, hour, whole))
    return tuple(sources)


def _write_hour(archive: Archive, hour: str, whole: Cut) -> Source:
    first = hour_start_ms(hour)
    events = whole.events.filter(pl.col("ts").is_between(first, first + HOUR_MS, closed="left"))
    ends = whole.ends.filter((pl.col("end_at") - 1).is_between(first, first + HOUR_MS, closed="left"))
    of_event, of_end = event_slots(events, SLOTS), event_slots(ends, SLOTS)
    slots = [
        archive.write_slot(
            hour,
            GENERATION,
            slot,
            Cut(events.filter(of_event == slot), ends.filter(of_end == slot), whole.carry.clear()),
        )
        for slot in range(SLOTS)
    ]
    info = ArchiveInfo(hour=hour, generation=GENERATION, made_ms=1, cut={}, slots=by_slot(slots))
    archive.seal(hour, GENERATION, info)
    return Source(hour, GENERATION, tuple(range(SLOTS)), tuple(range(SLOTS)))


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        work()
        times.append(time.monotonic() - start)
    return min(times)


def _duckdb(files: str) -> float | None:
    if find_spec("duckdb") is None:
        return None
    connection = import_module("duckdb").connect()
    return _best(lambda: connection.execute(DUCKDB.format(files=files)).fetchall())
