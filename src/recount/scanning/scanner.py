"""Scans of the archive: which hours, how many bytes, counted chunk by chunk, within limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from recount.counting.rollup import Rollup, merge
from recount.errors import InvalidInput
from recount.interpret import Interpreter
from recount.metrics import SCAN_BYTES, SCAN_REFUSED, SCAN_SECONDS, Metrics
from recount.parallel import in_order
from recount.scanning.asked import Asked
from recount.scanning.gate import Gate, Stop, never
from recount.scanning.grouped import Buckets, Counting
from recount.scanning.reading import Columns, Hour, Reader, together
from recount.scanning.sources import Published, Sources, Vanished
from recount.store.catalog import Site

TRIES: Final = 2
WORKERS: Final = 2
MEGABYTE: Final = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Scanned:
    """`rollup`: see `Counting.count`; `published_until_ms`: where the archive that was read ends; `bytes`:
    compressed, read from it; `sources`: (hour, archive generation)s."""

    rollup: Rollup
    published_until_ms: int | None
    bytes: int
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """What a scan has to read."""

    published: Published
    hours: list[Hour]

    @property
    def bytes(self) -> int:
        return sum(hour.bytes for hour in self.hours)


class Scanner:
    """Safe to share between threads. Scans raise InvalidInput where they would read too much, Busy, TooSlow,
    Cancelled, and Unavailable where a part is away."""

    def __init__(
        self, sources: Sources, reader: Reader, gate: Gate, metrics: Metrics, *, max_bytes: int
    ) -> None:
        self._sources = sources
        self._reader = reader
        self._gate = gate
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._interpreter = Interpreter()

    def numbers(self, site: Site, asked: Asked, is_gone: Callable[[], bool] = never) -> Scanned:
        """Numbers by any dimensions. The visitors of several days are told apart where the site's ids allow
        it and no series is asked for."""
        columns = Columns(asked.event_columns, asked.end_columns)
        buckets = Buckets.of(asked, united=site.identity == "first_party" and asked.interval is None)
        counting = Counting(site, asked, buckets, self._interpreter)

        def scan(found: Found, stop: Stop) -> Scanned:
            def count(hours: list[Hour]) -> Rollup:
                chunk = self._reader.read(site.id, hours, columns, stop)
                return counting.count(chunk.events, chunk.ends)

            parts = list(in_order(count, together(found.hours), WORKERS))
            sources = tuple((hour.source.hour, hour.source.generation) for hour in found.hours)
            return Scanned(merge(parts), found.published.until_ms, found.bytes, sources)

        start_ms, end_ms = asked.span.bounds_ms(asked.zone)
        return self.scan("query", site, (start_ms, end_ms), columns, scan, is_gone)

    def scan(
        self,
        kind: str,
        site: Site,
        bounds_ms: tuple[int, int],
        columns: Columns,
        work: Callable[[Found, Stop], T],
        is_gone: Callable[[], bool] = never,
    ) -> T:
        """`work` on what a range of a site has to read; once again if the archive is replaced meanwhile."""
        with self._gate.enter(is_gone) as stop, self._timed(kind):
            for left in reversed(range(TRIES)):
                try:
                    found = self.look(site, bounds_ms, columns, stop)
                    self._check_size(found)
                    result = work(found, stop)
                except Vanished:
                    if not left:
                        raise
                else:
                    self._metrics.counter(SCAN_BYTES).labels(kind).inc(found.bytes)
                    return result
        raise AssertionError("the last try raises or returns")

    def look(self, site: Site, bounds_ms: tuple[int, int], columns: Columns, stop: Stop) -> Found:
        """What a range has to read, from footers alone; no limit is looked at."""
        published = self._sources.of(site.id, *bounds_ms)
        return Found(published, self._reader.look(site.id, published.sources, columns, stop))

    def _check_size(self, found: Found) -> None:
        if found.bytes <= self._max_bytes:
            return
        self._metrics.counter(SCAN_REFUSED).labels("too_large").inc()
        hours = len(found.hours) * self._max_bytes // found.bytes
        fits = f"{hours // 24} days" if hours >= 48 else f"{hours} hours"
        raise InvalidInput(
            f"this takes {_size(found.bytes)} of the archive, {_size(self._max_bytes)} may be read at once: "
            f"ask for a shorter range (about {fits}), for fewer dimensions, or with fewer filters",
            field="date_range",
        )

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self._metrics.histogram(SCAN_SECONDS).labels(kind).observe(time.monotonic() - start)


def _size(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"
