"""Lambda: topics `events` and `imports` -> raw batches in DynamoDB, dead letters, receipts.

It never gives up: while DynamoDB or Kafka is away the invocation fails, its offsets stay uncommitted, and the
event source mapping sends the batch again. A record that no retry can help is quarantined here, so it never
holds up the rest. Everything is written under keys made from offsets, so a repeat overwrites itself.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from lambdas import payload
from recount import kafka, logs, quarantine
from recount.quarantine import DeadLetter
from recount.settings import Settings
from recount.store.raw import RawStore
from recount.store.raw_batch import RawBatch
from recount.store.tables import open_tables
from recount.store.tombstones import Tombstones, remembered

log = structlog.get_logger()


@dataclass(frozen=True)
class App:
    """What an invocation needs from outside; made once a process."""

    store: RawStore
    quarantine: Callable[[Sequence[DeadLetter]], None]
    now_ms: Callable[[], int]

    @classmethod
    def start(cls, settings: Settings) -> App:
        logs.configure(settings.log_level)
        tables = open_tables(settings)
        store = RawStore(tables.raw, settings, remembered(Tombstones(tables.catalog).active))
        store.announce()
        producer = kafka.producer(settings)
        return cls(store, functools.partial(quarantine.send, producer), lambda: time.time_ns() // 1_000_000)


def handler(event: payload.KafkaPayload, context: object) -> dict[str, Any]:
    """The entry point that Lambda calls; raises Unavailable while a dependency is away."""
    return store(_app(), event)


def store(app: App, event: payload.KafkaPayload) -> dict[str, Any]:
    """Store one payload; returns once items, dead letters and receipts are all acknowledged."""
    batch = prepare(app.store, event, app.now_ms())
    app.store.write(batch, app.quarantine)
    answer = {"events": batch.events, "items": len(batch.items), "quarantined": len(batch.dead)}
    log.info("stored", receipts=len(batch.receipts), **answer)
    return answer


def prepare(raw: RawStore, event: payload.KafkaPayload, now_ms: int) -> RawBatch:
    """The pure part: payload in; items, dead letters and receipts out."""
    records = payload.records(event)
    return raw.prepare(records.values, records.places, now_ms)


@functools.cache
def _app() -> App:
    return App.start(Settings.from_env())
