"""A whole deployment in memory: what the door, Kafka and `store_batches` would do, as short calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import polars as pl

from orchestration.live_totals import Heard
from orchestration.resources import Workplace
from orchestration.spools import Lost, SpoolReport, Unshipped
from orchestration.steps.archive_range import archive_range
from orchestration.steps.cut import TakenCut, take
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import PublishedRange, publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.columns import positions
from recount.counting.rollup import TOTAL
from recount.kafka import SourcePartition
from recount.keys import site_slot
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.quarantine import DeadLetter
from recount.settings import Settings
from recount.store.catalog import Site
from recount.store.manifests import Entry
from recount.store.provenance import Kind, period_key
from recount.store.segment_decode import counts
from recount.store.tables import memory_tables
from tests import made
from tests.memory_log import MemoryLog

LIVE: Final[SourcePartition] = ("events", 0)
BULK: Final[SourcePartition] = ("imports", 0)
START: Final = made.TS  # the start of an hour
HOUR: Final = hour_of(START)
MONTH_OVER: Final = hour_start_ms("2026-10-01T12")  # in the last zone too
ALL_INSIDE: Final = {"quarantined": 0, "pending": 0}  # the rest of a ledger's line, as a rule


def hour(n: int) -> str:
    """The n-th hour after the first."""
    return hour_of(START + n * HOUR_MS)


@dataclass
class Clock:
    """Moves only when somebody sleeps, or a test says so."""

    ms: int = START + 5 * HOUR_MS
    slept: list[float] = field(default_factory=list)

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += int(seconds * 1000)


@dataclass
class FakeSpools:
    """Reports as a test sets them; with several, each asking takes the next."""

    answers: list[list[SpoolReport]] = field(default_factory=lambda: [[]])
    not_shipped: Unshipped = field(default_factory=Unshipped)
    set_aside: list[Lost] = field(default_factory=list)

    def reports(self) -> list[SpoolReport]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def lost(self) -> list[Lost]:
        return self.set_aside

    def unshipped(self, before_ms: int) -> Unshipped:
        return self.not_shipped


@dataclass
class FakeLive:
    """Says what a test has it say; with several answers, each asking takes the next."""

    answers: list[Heard] = field(default_factory=lambda: [Heard()])

    def hours(self, hours: Collection[str]) -> Heard:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class World:
    """One site `demo`, one partition a topic."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.clock = Clock()
        self.log = MemoryLog(LIVE, BULK)
        self.spools = FakeSpools()
        self.dead: list[DeadLetter] = []
        self.live = FakeLive()
        self.place = Workplace(
            settings=Settings(state=folder, **{"spool_wait_s": 2} | settings),
            tables=memory_tables(),
            log=self.log,
            spools=self.spools,
            quarantine=self.dead.extend,
            now_ms=self.clock.now_ms,
            sleep=self.clock.sleep,
            live=self.live,
        )
        self.place.catalog.add(Site(id="demo", domain="demo.example"))
        self._seq = 0

    def event(self, ts: int, visitor: int = 1, **given: Any) -> bytes:
        """A pageview at `ts` milliseconds after the start, received at once."""
        self._seq += 1
        fields = {
            **{"id": f"e{self._seq}", "seq": self._seq, "ts": START + ts, "received": START + ts + 20},
            **{"visitor": f"{visitor:016x}", "url": "https://demo.example/", "ua": BROWSER},
        }
        return made.value(**fields | given)

    def produce(self, values: Sequence[bytes], source: SourcePartition = LIVE) -> list[int]:
        """Into the topic only: `store_batches` has not seen it."""
        return self.log.append(source, values)

    def store(self, offsets: Sequence[int], source: SourcePartition = LIVE) -> None:
        """What `store_batches` does with these offsets."""
        records = [r for batch in self.log.read(source, offsets[0], offsets[-1] + 1) for r in batch]
        wanted = set(offsets)
        values = [value for offset, value in records if offset in wanted]
        batch = self.place.raw.prepare(values, positions(*source, offsets), self.clock.now_ms())
        self.place.raw.write(batch, self.place.quarantine)

    def deliver(self, values: Sequence[bytes], source: SourcePartition = LIVE) -> list[int]:
        """Into the topic and stored."""
        offsets = self.produce(values, source)
        self.store(offsets, source)
        return offsets

    def publish(self, *hours: str, run: str = "run", open_hour: bool = False) -> PublishedRange | None:
        """The three steps of a run over some hours, without Dagster."""
        found = archive_range(self.place, hours, run, open_hour=open_hour)
        assert found.proof.complete
        assert not found.lost
        made = rollup_range(self.place, made_by(run, hours, self.place.archive), run, reason="test")
        assert not [line for candidate in made for line in candidate.unbalanced]
        return publish_range(self.place, hours, run, reason="test")

    def confirmed(self, hour_name: str) -> str:
        """The generation confirmed for an hour; empty where nothing is published."""
        entry = self.entry(hour_name)
        return "" if entry is None else entry.confirmed

    def values(self, period: str, dimension: str, site: str = "demo") -> set[str]:
        """The values of a dimension that readers see of a site for `hour/...`, `day/...` or `month/...`."""
        place = self.place
        entry = place.manifests.entries(place.manifests.current(), [period])[period]
        generation = entry.generation(site_slot(site, place.settings.site_slots))
        assert generation is not None
        found = place.segments.numbers([(site, period, generation)])
        return set(counts([f for f in found if f is not None], {dimension}).rows["value"])

    def total(self, period: str, site: str = "demo") -> dict[str, int]:
        """What is shown of a site for `hour/...`, `day/...` or `month/...`: sums, and how many visitors."""
        place = self.place
        entry = place.manifests.entries(place.manifests.current(), [period])[period]
        slot = site_slot(site, place.settings.site_slots)
        generation = entry.generation(slot)
        if generation is None:
            return {}
        kind, _, name = period.partition("/")
        found = place.candidates.read_counted({(cast("Kind", kind), name, generation): [site]})
        rows = found.rows.filter(pl.col("dimension") == TOTAL)
        return {
            m: int(rows[m].sum())
            for m in ("visits", "pageviews", "ended_visits", "accepted", "visitor_count")
        }

    def entry(self, hour_name: str) -> Entry | None:
        key = period_key("hour", hour_name)
        return self.place.manifests.entries(self.place.manifests.current(), [key]).get(key)

    def cut(self) -> TakenCut:
        place = self.place
        return take(place.log, place.spools, before_ms=0, wait_ms=0, now_ms=place.now_ms, sleep=place.sleep)


BROWSER: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
