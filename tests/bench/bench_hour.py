"""One busy hour from raw events to published numbers: archived, folded, shown. Reading raw items is apart."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, cast

import polars as pl

from orchestration.resources import Workplace
from orchestration.steps.archive_hour import Archiver
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.erasing.tombstone import Tombstone
from recount.kafka import EVENTS
from recount.periods import HOUR_MS, hour_start_ms
from recount.settings import Settings
from recount.store.dead_marks import DEAD_SCHEMA
from recount.store.raw import RawStore
from recount.store.tables import memory_tables
from tests.bench import generate
from tests.bench.rows import Row
from tests.memory_log import MemoryLog

HOUR_EVENTS: Final = 5_000_000
LARGE_HOUR_EVENTS: Final = 41_700_000  # an hour of a billion events a day
TARGET_EVENTS_S: Final = 300_000
LARGE_TARGET_S: Final = 150.0
LARGE_PEAK_GB: Final = 10.0
RUN: Final = "bench"
PARTITIONS_MAX: Final = 64


class _Raw:
    """Gives the generated hour, as the raw store does once it has read and decoded its items; `seconds` were
    spent on that."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.seconds = 0.0

    def batches(self, hour: str) -> Iterator[pl.DataFrame]:
        items = generate.items(self._count if hour == generate.HOUR else 0)
        while True:
            start = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - start
            if item is None:
                return
            yield item

    def buried(self) -> list[Tombstone]:
        return []

    def quarantined(self, hour: str | None) -> pl.DataFrame:
        return pl.DataFrame(schema=DEAD_SCHEMA)


class _NoSpools:
    def reports(self) -> list[object]:
        return []


def measure(*, large: bool) -> list[Row]:
    return [_hour(HOUR_EVENTS), *([_hour(LARGE_HOUR_EVENTS)] if large else [])]


def _hour(count: int) -> Row:
    raw = _Raw(count)
    with tempfile.TemporaryDirectory() as folder:
        place = place_in(Path(folder))
        seconds = {
            "archive": _timed(lambda: _archive(place, raw)) - raw.seconds,
            "rollup": _timed(lambda: _rollup(place)),
            "publish": _timed(lambda: publish_range(place, [generate.HOUR], RUN, reason="bench")),
        }
    total = sum(seconds.values())
    is_large = count == LARGE_HOUR_EVENTS
    steps = ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items())
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    is_fast = total < LARGE_TARGET_S if is_large else count / total >= TARGET_EVENTS_S
    return Row(
        name=f"archive + hourly rollup + publish, {count:,} events",
        ours=total if is_large else count / total,
        unit="s" if is_large else "events/s",
        target=f"< {LARGE_TARGET_S:g}, peak < {LARGE_PEAK_GB:g} GB"
        if is_large
        else f">= {TARGET_EVENTS_S:,}",
        ok=is_fast and (peak_gb < LARGE_PEAK_GB or not is_large),
        conditions=(
            f"hour: {generate.SITES:,} sites, {steps}; tables in memory, peak {peak_gb:.1f} GB; "
            f"reading raw items apart"
        ),
    )


def place_in(folder: Path, sites: int = generate.SITES) -> Workplace:
    """A workplace with so many sites, its tables in memory and its archive in a folder."""
    place = Workplace(
        settings=Settings(state=folder, event_slots=2),
        tables=memory_tables(),
        log=MemoryLog(),
        spools=_NoSpools(),  # type: ignore[arg-type] # never asked: the cut is given
        quarantine=lambda _: None,
        now_ms=lambda: time.time_ns() // 1_000_000,
        sleep=time.sleep,
    )
    for site in generate.sites(sites).values():
        place.catalog.add(site)
    return place


def _archive(place: Workplace, raw: _Raw) -> None:
    archiver = Archiver(
        cast(RawStore, raw),
        place.archive,
        {(EVENTS, partition): 2**62 for partition in range(PARTITIONS_MAX)},
        slots=place.settings.event_slots,
        scratch=place.settings.state,
        run=RUN,
    )
    archiver.archive(
        generate.HOUR, until_ms=hour_start_ms(generate.HOUR) + HOUR_MS, now_ms=time.time_ns() // 1_000_000
    )


def _rollup(place: Workplace) -> None:
    rollup_range(place, made_by(RUN, [generate.HOUR], place.archive), RUN, reason="bench")


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
