"""A stack of its own whose quiet periods are seconds: what comes late, waits, comes twice or is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx
import orjson

from cli.dagster_client import DagsterClient
from deploy.local.layout import ROOT
from deploy.local.supervise import python_path
from orchestration.resources import Workplace, open_workplace
from orchestration.steps.archive_range import archive_range
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.reconcile import Patience, State, due, hour_end_ms, look
from orchestration.steps.rollup_range import rollup_range
from recount import kafka
from recount.kafka import EVENTS, SourcePartition, offset_ranges, source_partitions
from recount.keys import kafka_partition
from recount.periods import HOUR_MS, MINUTE_MS, hour_of, hour_start_ms
from tests.faults.room import Room, now_ms
from tests.receiving import Received
from tests.stack import TestStack
from tests.waiting import eventually

PARTS: Final = ("ingest", "shipper", "store_batches", "dashboard", "dagster-daemon")
USED: Final = ("kafka", "dynamodb", *PARTS, "dagster-code", "dagster-webserver")
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
NOBODY: Final = "127.0.0.1:9"
CHANGES: Final = {
    **{"RECOUNT_GRACE_S": "1", "RECOUNT_SPOOL_WAIT_S": "3", "RECOUNT_RECONCILE_EVERY_S": "2"},
    **{"RECOUNT_LATE_QUIET_S": "3", "RECOUNT_IMPORT_QUIET_S": "3"},
    **{"RECOUNT_ALERT_EVERY_S": "2", "RECOUNT_ALERT_SETTLE_S": "4"},
    **{"RECOUNT_ALERT_LAG_WARNING_RECORDS": "15", "RECOUNT_ALERT_LAG_CRITICAL_RECORDS": "1000000"},
}


@dataclass
class LateRoom(Room):
    """`told`: the alerts of this stack, as its webhook gets them."""

    told: Received = field(default_factory=lambda: Received(""))

    @classmethod
    def of(cls, stack: TestStack, told: Received) -> LateRoom:
        stack.need(*PARTS)
        return cls(stack, told=told)

    @property
    def dagster(self) -> DagsterClient:
        return DagsterClient(self.stack.urls["dagster"])

    def mend(self) -> None:
        running = self.control.running()
        for part in USED:
            if not running[part].active or not running[part].pids:
                self.control.start(part)
        self.wait_until_healthy(USED)

    def send(self, site: str, *events: Mapping[str, Any], agent: str = BROWSER) -> None:
        """Through the door, again until it knows the site; each event is accepted."""
        body = [{"site": site, "url": "https://faults.example/"} | dict(event) for event in events]
        url, headers = self.stack.urls["ingest"] + "/v1/events", {"User-Agent": agent}

        def taken() -> bool:
            answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
            return answer.status_code == 202 and answer.json()["accepted"] == len(body)

        eventually(taken, f"the door takes events of {site}")

    def partition(self, site: str) -> SourcePartition:
        """Where events of a site go."""
        partitions = self.settings.kafka_partitions
        return EVENTS, kafka_partition(site, 0, spread=1, partitions=partitions)

    def end(self, source: SourcePartition) -> int:
        return offset_ranges(self.settings, [source])[source][1]

    def produce(self, source: SourcePartition, values: Sequence[bytes]) -> None:
        """Past the door."""
        producer = kafka.producer(self.settings)
        for value in values:
            producer.produce(source[0], value, partition=source[1])
        assert producer.flush(60) == 0

    def is_stored(self) -> bool:
        """Whether receipts reach the ends of all topics."""
        sources = source_partitions(self.settings)
        ranges, raw = offset_ranges(self.settings, sources), self.place.raw
        return not any(raw.missing(source, oldest, end) for source, (oldest, end) in ranges.items())

    def after(self, hour: str) -> Workplace:
        """The stack as a run sees it once an hour and its grace are over: only the clock is ahead."""
        over_ms = hour_end_ms(hour) + (self.settings.grace_s + 1) * 1000
        ahead_ms = max(0, over_ms - now_ms())
        return replace(open_workplace(self.settings), now_ms=lambda: now_ms() + ahead_ms)

    def work(self, place: Workplace, hour: str, run: str) -> None:
        """The three steps of an hour's run."""
        found = archive_range(place, [hour], run)
        assert found.proof.complete
        assert not found.lost
        made = rollup_range(place, made_by(run, [hour], place.archive), run, reason="test")
        assert not [line for candidate in made for line in candidate.unbalanced]
        assert publish_range(place, [hour], run, reason="test") is not None

    def is_due(self, place: Workplace, hour: str) -> bool:
        """Whether the sensor would publish an hour again now."""
        sources, holes = sorted(place.log.ranges()), place.proven.spans()
        state = look(State(), place.raw, place.manifests, sources, holes)
        patience = Patience.of(place.settings)
        return hour in due(state, patience, now_ms=place.now_ms(), not_before=hour_end_ms)

    def ledger(self, hour: str, site: str) -> dict[str, int]:
        """What is not 0 of a line, as `recount ledger` says."""
        done = self.stack.recount("ledger", "--hour", hour, "--site", site, "--json")
        assert done.returncode == 0, done.stderr
        found = orjson.loads(done.stdout)
        assert found["balances"], found
        return {part: count for part, count in found["sites"].get(site, {}).items() if count}

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """The shipper lives and answers, but Kafka is out of its reach."""
        self.stop("shipper")
        changed = {"RECOUNT_KAFKA": NOBODY}
        process = self.program("edge.ship", changed)
        try:
            url = f"http://{self.settings.host}:{self.settings.shipper_port}/healthz"
            eventually(lambda: _answers(url), "the shipper that Kafka is out of reach for")
            yield
        finally:
            process.kill()
            process.wait()
            self.start("shipper")

    def program(self, module: str, changes: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
        """A program of this stack, with some settings changed."""
        env = os.environ | self.stack.manifest.env | {"PYTHONPATH": os.pathsep.join(python_path())}
        return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, env=env | changes)


def hours_of_a_day(count: int) -> list[str]:
    """Hours that are over for a while, on one day: there a visitor is the same in all of them."""
    first = hour_start_ms(hour_of(now_ms() - (count + 2) * HOUR_MS))
    while hour_of(first)[:10] != hour_of(first + (count - 1) * HOUR_MS)[:10]:
        first -= HOUR_MS
    return [hour_of(first + n * HOUR_MS) for n in range(count)]


def age(hour: str, minute: int) -> dict[str, int]:
    """Of an event that happened in a minute of an hour."""
    return {"age_ms": now_ms() - hour_start_ms(hour) - minute * MINUTE_MS - MINUTE_MS // 2}


def running_hour(minutes_left: float = 1.0) -> str:
    """The hour that runs, with some of it left."""
    while True:
        hour = hour_of(now_ms())
        left_ms = hour_end_ms(hour) - now_ms()
        if left_ms >= minutes_left * MINUTE_MS:
            return hour
        time.sleep(left_ms / 1000)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False
