"""Some published days of many small sites, tables in memory: what a reprocessing of history begins with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestration.resources import Workplace
from orchestration.spools import Lost, SpoolReport, Unshipped
from orchestration.steps.archive_range import archive_range
from orchestration.steps.candidate_range import archive_share, fold_share, share_of
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.columns import positions
from recount.kafka import EVENTS
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.settings import Settings
from recount.store.reprocessings import Reprocessing, Source
from recount.store.tables import memory_tables
from tests.bench import generate
from tests.bench.values import values
from tests.memory_log import MemoryLog

FIRST_MS: Final = hour_start_ms("2025-09-01T00")
SOURCE: Final = (EVENTS, 0)
RUN: Final = "bench"


class _NoSpools:
    """Everything is shipped."""

    def reports(self) -> list[SpoolReport]:
        return []

    def lost(self) -> list[Lost]:
        return []

    def unshipped(self, before_ms: int) -> Unshipped:
        return Unshipped()


@dataclass
class Months:
    """`seconds` that each step took, and of processor time, by its name; every hour has so many `events`."""

    place: Workplace
    hours: list[str]
    events: int
    seconds: dict[str, float] = field(default_factory=dict)
    processor_s: dict[str, float] = field(default_factory=dict)

    @classmethod
    def published(cls, folder: Path, *, hours: int, events: int, sites: int) -> Months:
        log = MemoryLog(SOURCE)
        place = Workplace(
            settings=Settings(state=folder, event_slots=2, spool_wait_s=0),
            tables=memory_tables(),
            log=log,
            spools=_NoSpools(),
            quarantine=lambda letters: None,
            now_ms=lambda: time.time_ns() // 1_000_000,
            sleep=time.sleep,
        )
        for site in generate.sites(sites).values():
            place.catalog.add(site)
        made = cls(place, [hour_of(FIRST_MS + n * HOUR_MS) for n in range(hours)], events)
        for n, hour in enumerate(made.hours):
            sent = values(generate.events(events, seed=n, sites=sites, hour=hour))
            places = positions(*SOURCE, log.append(SOURCE, sent))
            place.raw.write(place.raw.prepare(sent, places, place.now_ms()), place.quarantine)
        with made.timed("archive"):
            archive_range(place, made.hours, RUN)
        with made.timed("rollup"):
            rollup_range(place, made_by(RUN, made.hours, place.archive), RUN, reason=RUN)
        with made.timed("publish"):
            publish_range(place, made.hours, RUN, reason=RUN)
        return made

    def reprocess(self, name: str, hours: Sequence[str], source: Source = "archive") -> None:
        """Make candidates of hours, and publish nothing."""
        asked = Reprocessing(
            id=name,
            spans=[(hours[0], hours[-1])],
            source=source,
            reason=RUN,
            requested_by=RUN,
            requested_ms=self.place.now_ms(),
        )
        with self.timed(name):
            share = share_of(self.place, asked, name)
            archive_share(share, hours)
            fold_share(share, hours)

    def rate(self, name: str, hours: int) -> float:
        """Events a second of a step over so many hours."""
        return hours * self.events / self.seconds[name]

    def costs(self, **hours: int) -> str:
        """The processor time of an hour in each of some steps, given how many hours it worked on."""
        ms = {name: self.processor_s[name] / count * 1000 for name, count in hours.items()}
        return ", ".join(f"{name} {cost:.0f} ms" for name, cost in ms.items())

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started, worked = time.perf_counter(), time.process_time()
        yield
        self.seconds[what] = time.perf_counter() - started
        self.processor_s[what] = time.process_time() - worked
