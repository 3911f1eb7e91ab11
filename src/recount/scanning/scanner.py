"""Scans of the archive: which hours, how many bytes, counted chunk by chunk, within limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from recount.counting.rollup import Rollup, merge
from recount.errors import InvalidInput
from recount.interpret import Interpreter
from recount.metrics import SCAN_BYTES, SCAN_REFUSED, SCAN_SECONDS, Metrics
from recount.parallel import in_order
from recount.scanning.asked import Asked
from recount.scanning.dimensions import Lookup
from recount.scanning.gate import Gate, Stop, never
from recount.scanning.grouped import Counting
from recount.scanning.reading import Chunk, Columns, Hour, Reader, together
from recount.scanning.sources import Published, Sources, Vanished
from recount.settings import Settings
from recount.store.archive import Archive
from recount.store.catalog import Site
from recount.store.in_force import SitesInForce
from recount.store.manifests import Manifests
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore

TRIES: Final = 2
WORKERS: Final = 2
PIECES_PER_WORKER: Final = 2
PIECE_ROWS: Final = 1_600_000
CHUNK_ROWS: Final = 400_000
CHUNK_HOURS: Final = 100  # between two looks at whether anybody still waits
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
class Piece:
    """Hours that are worked on together; `lookup`: by the rules that count them."""

    lookup: Lookup
    hours: list[Hour]


@dataclass(frozen=True)
class Found:
    """What a scan has to read."""

    published: Published
    hours: list[Hour]

    @property
    def bytes(self) -> int:
        return sum(hour.bytes for hour in self.hours)


class Finding(Protocol):
    """Of `Sources`, what scans need."""

    def of(self, site: str, start_ms: int, end_ms: int, root: str | None = None) -> Published: ...

    def forget(self) -> None: ...


class Scanner:
    """Safe to share between threads. Scans raise InvalidInput where they would read too much, Busy, TooSlow,
    Cancelled, and Unavailable where a part is away."""

    def __init__(
        self,
        sources: Finding,
        reader: Reader,
        gate: Gate,
        exports: Gate,
        rulebook: Rulebook,
        metrics: Metrics,
        *,
        max_bytes: int,
    ) -> None:
        """`gate`: for answers, `exports`: for what may take as long as it takes."""
        self._sources = sources
        self.reader = reader
        self._gate = gate
        self.exports = exports
        self._rulebook = rulebook
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._interpreter = Interpreter()

    def numbers(
        self, site: Site, asked: Asked, is_gone: Callable[[], bool] = never, root: str | None = None
    ) -> Scanned:
        """Numbers by any dimensions, of what a publication shows: the present one unless given."""
        columns = Columns(asked.event_columns, asked.end_columns)

        def scan(found: Found, stop: Stop) -> Scanned:
            def count(piece: Piece) -> Rollup:
                chunks = self.chunks(site, piece.hours, columns, stop)
                return Counting(piece.lookup, asked).count(chunks)

            parts = list(self.each(site, asked.common, found.hours, count))
            sources = tuple((hour.source.hour, hour.source.generation) for hour in found.hours)
            return Scanned(merge(parts), found.published.until_ms, found.bytes, sources)

        start_ms, end_ms = asked.span.bounds_ms(asked.zone)
        return self.scan("query", site, (start_ms, end_ms), columns, scan, is_gone, root)

    def scan(
        self,
        kind: str,
        site: Site,
        bounds_ms: tuple[int, int],
        columns: Columns,
        work: Callable[[Found, Stop], T],
        is_gone: Callable[[], bool] = never,
        root: str | None = None,
    ) -> T:
        """`work` on what a range of a site has to read; once again if the archive is replaced meanwhile."""
        with self._gate.enter(is_gone) as stop, self._timed(kind):
            for left in reversed(range(TRIES)):
                try:
                    found = self.look(site, bounds_ms, columns, stop, root)
                    self._check_size(found)
                    result = work(found, stop)
                except Vanished:
                    self._sources.forget()
                    root = None
                    if not left:
                        raise
                else:
                    self._metrics.counter(SCAN_BYTES).labels(kind).inc(found.bytes)
                    return result
        raise AssertionError("the last try raises or returns")

    def common(self) -> Site:
        """What holds on all sites now; scans are given it, so that all of one answer is counted alike."""
        return self._rulebook.common()

    def each(
        self, site: Site, common: Site, hours: Sequence[Hour], work: Callable[[Piece], T]
    ) -> Iterator[T]:
        """`work` on neighbouring hours together, several at a time; results in order of time."""
        return in_order(work, self.pieces(site, common, hours), WORKERS)

    def pieces(self, site: Site, common: Site, hours: Sequence[Hour]) -> Iterator[Piece]:
        """Neighbouring hours that are counted by the same rules: several for each worker, where there is much
        to do."""
        share = sum(hour.rows for hour in hours) // (WORKERS * PIECES_PER_WORKER)
        rows_max = min(PIECE_ROWS, max(CHUNK_ROWS, share))
        in_force = SitesInForce({site.id: site, common.id: common}, self._rulebook)
        for sites, alike in in_force.apart((hour.source.hour, hour) for hour in hours):
            lookup = Lookup(sites[site.id], self._interpreter, sites[common.id])
            yield from (Piece(lookup, some) for some in together(alike, rows_max))

    def chunks(self, site: Site, hours: Sequence[Hour], columns: Columns, stop: Stop) -> Iterator[Chunk]:
        """The rows of hours, those of a few at a time."""
        for few in together(hours, CHUNK_ROWS, CHUNK_HOURS):
            yield self.reader.read(site.id, few, columns, stop)

    def look(
        self,
        site: Site,
        bounds_ms: tuple[int, int],
        columns: Columns,
        stop: Stop,
        root: str | None = None,
    ) -> Found:
        """What a range has to read, from footers alone; no limit is looked at."""
        published = self._sources.of(site.id, *bounds_ms, root)
        return Found(published, self.reader.look(site.id, published.sources, columns, stop))

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


def open_scanner(
    settings: Settings, manifests: Manifests, segments: SegmentStore, rulebook: Rulebook, metrics: Metrics
) -> Scanner:
    """The scanner of a deployment."""
    archive = Archive(settings.archive_root)
    gate = Gate(settings.scan_running, settings.scan_waiting, settings.scan_deadline_s, metrics)
    exports = Gate(settings.export_running, 0, float("inf"), metrics)
    sources = Sources(manifests, segments, archive, settings.site_slots)
    return Scanner(
        sources, Reader(archive), gate, exports, rulebook, metrics, max_bytes=settings.scan_max_bytes
    )


def _size(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"
