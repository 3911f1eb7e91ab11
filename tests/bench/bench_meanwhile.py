"""A month computed again through Dagster: what an hour costs there, and how live and hourly publishing fare.

A stack of its own has 720 published hours of few events. Events flow and are probed, and the running hour is
published, first alone, then while the month is archived and folded again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cli.dagster_client import DagsterClient
from orchestration.jobs import HOUR_JOB, PUBLISH_OPEN_JOB, REARCHIVE_JOB, REFOLD_JOB
from orchestration.partitions import range_tags
from orchestration.resources import Workplace, open_workplace
from orchestration.stage import REPROCESSING_TAG
from orchestration.steps import candidate_range
from recount import kafka
from recount.periods import HOUR_MS, hour_of, hour_ranges, hour_start_ms
from recount.store.catalog import Site
from recount.store.reprocessings import Reprocessing
from tests import made
from tests.bench.probes import UA, add_sites, probe, sending, share_of
from tests.bench.rows import Row
from tests.bench.stacks import own_stack
from tests.stack import TestStack

PARTS: Final = ("ingest", "shipper", "live", "store_batches", "dagster-daemon")
HOURS: Final = 720
RUN_HOURS: Final = 48  # of one run that archives again, as `recount reprocess --from-raw` has it
FIRST_MS: Final = hour_start_ms("2025-09-01T00")
RATE: Final = 2_000
PROBES: Final = 30
PUBLISHED_WITHIN_S: Final = 240.0  # five minutes after the hour, of which one is grace
GIVE_UP_S: Final = 240.0
POLL_S: Final = 0.2
SITE: Final = "month"


WAITING: Final = {"QUEUED", "NOT_STARTED", "STARTING"}


@dataclass(frozen=True)
class Fared:
    """The waits of the probes (s), and how long the running hour took to be published (s)."""

    waits: list[float]
    published_s: float


@dataclass(frozen=True)
class Month:
    """A stack with a published month of one site, an event an hour."""

    stack: TestStack
    dagster: DagsterClient
    place: Workplace

    @classmethod
    def published(cls, stack: TestStack) -> Month:
        stack.need(*PARTS)
        add_sites(stack.settings)
        month = cls(stack, DagsterClient(stack.urls["dagster"]), open_workplace(stack.settings))
        month.place.catalog.add(Site(id=SITE, domain="month.example"))
        producer = kafka.producer(stack.settings)
        for n in range(HOURS):
            ts = FIRST_MS + n * HOUR_MS
            facts = {"ts": ts, "received": ts + 5, "site": SITE, "visitor": f"{n + 1:016x}", "ua": UA}
            value = made.value(id=f"m-{n}", spool="month", seq=n + 1, url="https://month.example/", **facts)
            producer.produce(kafka.IMPORTS, value, partition=n % stack.settings.kafka_partitions)
        producer.flush(60)
        return month

    @property
    def hours(self) -> list[str]:
        return [hour_of(FIRST_MS + n * HOUR_MS) for n in range(HOURS)]

    def run(self, job: str, hours: list[str], **tags: str) -> float:
        """A run over hours, until it has succeeded: the seconds that it worked."""
        run = self.dagster.launch(job, range_tags((hours[0], hours[-1])) | tags)
        started = _when(lambda: self.dagster.state(run).status not in WAITING, job)
        ended = _when(lambda: self.dagster.state(run).is_over, job)
        if self.dagster.state(run).status != "SUCCESS":
            raise RuntimeError(f"{job}: {self.dagster.failures(run)}")
        return ended - started

    def without_dagster(self) -> float:
        """The seconds that the same candidates take in this process."""
        asked = Reprocessing(
            id="here",
            spans=[(self.hours[0], self.hours[-1])],
            source="archive",
            reason="bench",
            requested_by="bench",
            requested_ms=self.place.now_ms(),
        )
        began = time.monotonic()
        candidate_range.fold_share(candidate_range.share_of(self.place, asked, "here"), self.hours)
        return time.monotonic() - began

    def fare(self) -> Fared:
        """How live and the running hour do now."""
        waits = probe(self.stack.urls["ingest"], self.stack.urls["live"], PROBES)
        began = time.monotonic()
        self.run(PUBLISH_OPEN_JOB, [hour_of(self.place.now_ms())])
        return Fared(waits, time.monotonic() - began)

    @contextmanager
    def archived_again(self) -> Iterator[None]:
        """The month is archived and folded again while the block runs, in runs as of `recount reprocess`."""
        name = "again"
        for span in hour_ranges(self.hours, gap_max_hours=0, span_max_hours=RUN_HOURS):
            self.dagster.launch(REARCHIVE_JOB, range_tags(span) | {REPROCESSING_TAG: name})
        _when(lambda: self.place.reprocessings.hours(name), "the first hours of the backfill")
        yield
        left = self.dagster.unfinished(REPROCESSING_TAG, name)
        if not left:
            raise RuntimeError("the backfill was over before what it may disturb was measured")
        self.dagster.terminate(left)


def measure(*, large: bool) -> list[Row]:
    with own_stack() as stack:
        month = Month.published(stack)
        published_s = month.run(HOUR_JOB, month.hours)
        here_s = month.without_dagster()
        there_s = month.run(REFOLD_JOB, month.hours, **{REPROCESSING_TAG: "there"})
        with sending(stack.urls["ingest"], RATE):
            alone = month.fare()
            with month.archived_again():
                beside = month.fare()
    return [*_costs(published_s, here_s, there_s), *_fared(alone, beside)]


def _costs(published_s: float, here_s: float, there_s: float) -> list[Row]:
    conditions = f"meanwhile: {HOURS} hours of one event each, one run, DynamoDB Local"
    return [
        Row(
            name="an hour partition archived, folded and published, through Dagster",
            ours=published_s / HOURS * 1000,
            unit="ms",
            conditions=conditions,
        ),
        Row(
            name="an hour partition folded again, through Dagster",
            ours=there_s / HOURS * 1000,
            unit="ms",
            peer="without Dagster",
            peer_value=here_s / HOURS * 1000,
            conditions=conditions,
        ),
    ]


def _fared(alone: Fared, beside: Fared) -> list[Row]:
    conditions = (
        f"meanwhile: {RATE:,} events/s sent, {PROBES} probes; beside it {HOURS} hours are archived and "
        "folded again; sender and all parts on one machine"
    )
    p95, p95_alone = share_of(beside.waits, 0.95), share_of(alone.waits, 0.95)
    return [
        Row(
            name="event sent -> live API, p95, during a backfill",
            ours=p95,
            unit="s",
            peer="without one",
            peer_value=p95_alone,
            target="under 2 s",
            ok=p95 < 2.0,
            conditions=conditions,
        ),
        Row(
            name="running hour cut, folded and published, during a backfill",
            ours=beside.published_s,
            unit="s",
            peer="without one",
            peer_value=alone.published_s,
            target=f"under {PUBLISHED_WITHIN_S:g} s",
            ok=beside.published_s < PUBLISHED_WITHIN_S,
            conditions=conditions,
        ),
    ]


def _when(condition: Callable[[], object], what: str) -> float:
    """The moment (s) at which it holds."""
    end = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {GIVE_UP_S:g} s")
        time.sleep(POLL_S)
    return time.monotonic()
