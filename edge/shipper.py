"""Ships spools to Kafka: read a batch, produce it, wait until all of it is acknowledged, then remember that.

Nothing is remembered before Kafka has it, so an event may be delivered twice (and is counted once, by its
id), but none is skipped. A failed pass is simply read again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, Message, Producer

from edge import pieces
from edge.spool_format import (
    oldest_unshipped_ms,
    read_progress,
    shippable,
    spool_folders,
    waiting_bytes,
)
from edge.spool_reader import Batch, Claim, Reader
from edge.unshipped import Unshipped, unshipped
from recount import metrics as m
from recount.glimpse import glimpse
from recount.kafka import EVENTS, REFUSED_FOR_EVER
from recount.metrics import Metrics

READ_MAX_BYTES: Final = 4 * 1024 * 1024
DISCOVER_EVERY_S: Final = 0.25
FLUSH_STEP_S: Final = 0.25
UNREACHABLE_AFTER_S: Final = 5.0
UNREADABLE_REST_S: Final = 5.0

log = structlog.get_logger("shipper")


@dataclass
class Shipment:
    """One claimed spool and how far it is shipped."""

    folder: Path
    claim: Claim
    reader: Reader
    last_seq: int = 0
    rests_until: float = 0.0  # after a fault of its disk

    @property
    def spool(self) -> str:
        return self.folder.name


@dataclass
class _Outcome:
    """What the delivery reports of one pass said."""

    undelivered: int = 0
    refused: list[tuple[str, bytes]] = field(default_factory=list)

    def report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed(error, message.value() or b"")

    def failed(self, error: KafkaError, value: bytes) -> None:
        if error.code() in REFUSED_FOR_EVER:
            self.refused.append((error.name(), value))
        else:
            self.undelivered += 1


class Shipper:
    """All spools below a root. `step` is one pass; a caller loops until told to stop."""

    def __init__(self, root: Path, make_producer: Callable[[], Producer], metrics: Metrics) -> None:
        self._root = root
        self._make_producer = make_producer
        self._producer = make_producer()
        self._shipments: dict[str, Shipment] = {}
        self._discovered_at = -DISCOVER_EVERY_S
        self._delivered_at = time.monotonic()
        self._waits_since: float | None = None
        self._shipped = metrics.counter(m.SPOOL_SHIPPED)
        self._missing = metrics.counter(m.SPOOL_MISSING)
        self._quarantined = metrics.counter(m.SPOOL_QUARANTINED)
        self.deadline: float | None = None  # set on shutdown: when to give up waiting for Kafka

    def reachable(self) -> bool:
        """Whether Kafka takes what we have; True while there is nothing to ship."""
        since = self._waits_since
        return since is None or time.monotonic() - since < UNREACHABLE_AFTER_S

    def step(self) -> int:
        """Ship what is there now; returns how many events were delivered."""
        self._discover()
        passes: list[tuple[Shipment, Batch, bool]] = []
        outcome = _Outcome()
        for shipment, lives in self._chosen():
            batch = _read(shipment, lives)
            if batch is not None:
                self._produce(shipment, batch, outcome)
                passes.append((shipment, batch, lives))
        if any(batch.frames for _, batch, _ in passes) and not self._delivered(outcome):
            self._start_again()
            return 0
        for cause, value in outcome.refused:
            seen = glimpse(value)
            self._quarantine(f"kafka-{cause}", seen.spool or "", seen.seq or 0, seen.seq or 0, value)
        return sum(self._settle(*each) for each in passes)

    def is_idle(self) -> bool:
        """Whether every spool is shipped to its end."""
        return all(shipment.reader.is_finished() for shipment in self._shipments.values())

    def states(self) -> list[dict[str, Any]]:
        """What GET /v1/spools answers: one entry a spool of this machine, claimed by us or not."""
        return [_state(folder) for folder in spool_folders(self._root)]

    def unshipped(self, before_ms: int) -> Unshipped:
        """What GET /v1/spools/unshipped answers."""
        return unshipped(self._root, before_ms)

    def lost(self) -> list[pieces.Lost]:
        """The numbers that lie in quarantine, newest pieces first."""
        return [piece.lost for piece in pieces.newest(self._root) if piece.lost is not None]

    def close(self) -> None:
        for shipment in self._shipments.values():
            shipment.reader.close()
            shipment.claim.release()
        self._shipments.clear()

    def _discover(self) -> None:
        now = time.monotonic()
        if now - self._discovered_at < DISCOVER_EVERY_S:
            return
        self._discovered_at = now
        for folder in spool_folders(self._root):
            if folder.name in self._shipments:
                continue
            claim = Claim.take(folder)
            if claim is not None:
                reader = Reader(folder)
                self._shipments[folder.name] = Shipment(folder, claim, reader, reader.committed.seq)
                log.info("spool claimed", spool=folder.name, from_seq=reader.committed.seq + 1)

    def _chosen(self) -> list[tuple[Shipment, bool]]:
        """Every spool whose writer lives, and one of the others: old ones must not slow new events down."""
        now = time.monotonic()
        able = [shipment for shipment in self._shipments.values() if shipment.rests_until <= now]
        chosen = [(shipment, shipment.claim.writer_lives()) for shipment in able]
        left_behind = [each for each in chosen if not each[1]]
        return [each for each in chosen if each[1]] + left_behind[:1]

    def _produce(self, shipment: Shipment, batch: Batch, outcome: _Outcome) -> None:
        # One call a partition: the client ignores a partition given with each message of a batch.
        by_partition: dict[int, list[dict[str, Any]]] = {}
        for frame in batch.frames:
            message = {"value": shippable(shipment.spool, frame.seq, frame.payload)}
            by_partition.setdefault(frame.partition, []).append(message)
        for partition, messages in by_partition.items():
            self._enqueue(partition, messages, outcome)

    def _enqueue(self, partition: int, messages: list[dict[str, Any]], outcome: _Outcome) -> None:
        while True:
            self._producer.produce_batch(EVENTS, messages, partition, on_delivery=outcome.report)
            messages = _left_over(messages, outcome)
            if not messages:
                return
            self._producer.poll(FLUSH_STEP_S)
            if self._gave_up():
                outcome.undelivered += len(messages)
                return

    def _delivered(self, outcome: _Outcome) -> bool:
        """Wait for every delivery report; False where something must be sent again."""
        if self._waits_since is None:
            self._waits_since = time.monotonic()
        while self._producer.flush(FLUSH_STEP_S) > 0:
            if self._gave_up():
                return False
        if outcome.undelivered:
            return False
        self._waits_since = None
        return True

    def _gave_up(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _start_again(self) -> None:
        log.warning("kafka did not take the events; sending them again")
        self._producer.purge()
        self._producer = self._make_producer()
        for shipment in self._shipments.values():
            shipment.reader.rewind()

    def _settle(self, shipment: Shipment, batch: Batch, writer_lived: bool) -> int:
        """After delivery: remember it, count it, and remove the spool of a dead writer once it is empty."""
        for damage in batch.damaged:
            self._quarantine("damaged", shipment.spool, damage.after + 1, damage.before - 1, damage.data)
        for frame in batch.frames:
            if frame.seq > shipment.last_seq + 1:
                self._missing.inc(frame.seq - shipment.last_seq - 1)
                log.error(
                    "events are missing", spool=shipment.spool, after=shipment.last_seq, before=frame.seq
                )
            shipment.last_seq = max(shipment.last_seq, frame.seq)
        self._shipped.inc(len(batch.frames))
        if batch.end != shipment.reader.committed:
            shipment.reader.commit(batch.end)
        elif not writer_lived and shipment.reader.is_finished():
            self._remove(shipment)
        return len(batch.frames)

    def _remove(self, shipment: Shipment) -> None:
        shipment.reader.close()
        for path in sorted(shipment.folder.iterdir()):
            path.unlink()
        shipment.folder.rmdir()
        shipment.claim.release()
        del self._shipments[shipment.spool]
        log.info(
            "spool of a finished writer shipped to its end", spool=shipment.spool, last_seq=shipment.last_seq
        )

    def _quarantine(self, cause: str, spool: str, first: int, last: int, data: bytes) -> None:
        """Keep a piece in a file; the same piece met again is the same file."""
        name = pieces.keep(self._root, cause, spool, first, last, data)
        self._quarantined.labels(cause).inc()
        log.error("quarantined", cause=cause, file=name, size_bytes=len(data))


def _read(shipment: Shipment, writer_lives: bool) -> Batch | None:
    """None where the disk does not give it: the other spools must not wait for that."""
    try:
        return shipment.reader.read(READ_MAX_BYTES, writer_lives=writer_lives)
    except OSError as error:
        shipment.rests_until = time.monotonic() + UNREADABLE_REST_S
        log.error("a spool cannot be read; trying again", spool=shipment.spool, error=str(error))
        return None


def _left_over(messages: list[dict[str, Any]], outcome: _Outcome) -> list[dict[str, Any]]:
    """The messages for which the client's queue has no room yet; any other refusal is final for this pass."""
    left = []
    for message in messages:
        error = message.pop("_error", None)
        if error is None:
            continue
        if error.code() == KafkaError._QUEUE_FULL:
            left.append(message)
        else:
            outcome.failed(error, message["value"])
    return left


def _state(folder: Path) -> dict[str, Any]:
    try:
        return {
            "spool": folder.name,
            "shipped_seq": read_progress(folder).seq,
            "oldest_unshipped_ms": oldest_unshipped_ms(folder),
            "waiting_bytes": waiting_bytes(folder),
        }
    except FileNotFoundError:  # removed while we looked
        return {"spool": folder.name, "shipped_seq": None, "oldest_unshipped_ms": None, "waiting_bytes": 0}
