"""One event source mapping: topics -> batches -> a function, as Lambda does it for Kafka.

Offsets are committed only after a batch is done with. A failed batch is tried again after a pause, in halves
where the mapping bisects; when its tries are used up it goes to the on-failure destination, and only then on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from deploy.local.kafka_payload import PAYLOAD_MAX_BYTES, payload, size_of
from deploy.local.runtime_api import Outcome
from recount.errors import Unavailable
from recount.kafka import SourcePartition
from recount.metrics import EVENT_SOURCE_LAG, EVENT_SOURCE_RECORDS, EVENT_SOURCE_SECONDS, Metrics

log = structlog.get_logger()

BATCH_MAX_RECORDS: Final = 10_000  # Lambda's own limit
FOR_EVER: Final = -1
POLL_S: Final = 0.1
ASK_S: Final = 1.0
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 15.0
FAILING_SHOWN_AFTER_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How a function is fed. `retries` are tries after the first; FOR_EVER never gives up.

    A `warm` function is loaded at the start, another one by its first record.
    """

    name: str
    handler: str
    topics: tuple[str, ...]
    window_s: float
    timeout_s: float
    batch_records: int = BATCH_MAX_RECORDS
    batch_bytes: int = PAYLOAD_MAX_BYTES
    retries: int = FOR_EVER
    bisect: bool = False
    on_failure_topic: str | None = None
    from_start: bool = True
    niceness: int = 0
    warm: bool = True

    @property
    def group(self) -> str:
        return f"recount-{self.name}"


class Function(Protocol):
    """What a mapping invokes."""

    def invoke(self, payload: bytes) -> Outcome: ...


Destination = Callable[[Sequence[Message], str], None]


class Poller:
    """Runs one mapping until it is told to stop."""

    def __init__(
        self,
        mapping: Mapping,
        consumer: Consumer,
        function: Function,
        on_failure: Destination,
        metrics: Metrics,
        bootstrap_servers: str,
    ) -> None:
        self.mapping = mapping
        self._consumer = consumer
        self._function = function
        self._on_failure = on_failure
        self._metrics = metrics
        self._bootstrap_servers = bootstrap_servers
        self._left: deque[Message] = deque()
        self._done: dict[SourcePartition, int] = {}
        self._stop = threading.Event()
        self._failing_since: float | None = None
        self._trouble = ""
        self.assigned = threading.Event()

    def run(self) -> None:
        """Consume, invoke, commit; returns after `stop`."""
        self._consumer.subscribe(list(self.mapping.topics), on_assign=self._assigned, on_revoke=self._revoked)
        try:
            while not self._stop.is_set():
                batch = self._gather()
                if batch and self._deliver(batch):
                    self._commit(batch)
                self._measure_lag()
        finally:
            self._consumer.close()

    def stop(self) -> None:
        self._stop.set()

    @property
    def trouble(self) -> str:
        """Why batches have been failing for a while; empty where all is well."""
        since = self._failing_since
        return self._trouble if since and time.monotonic() - since > FAILING_SHOWN_AFTER_S else ""

    def _gather(self) -> list[Message]:
        """Up to one batch: full by records or bytes, or its window is over."""
        batch: list[Message] = []
        size_bytes = 0
        window_ends: float | None = None
        while not self._stop.is_set():
            for message in self._arriving(len(batch), window_ends):
                size_bytes += size_of(message)
                if batch and size_bytes > self.mapping.batch_bytes:
                    self._left.appendleft(message)
                    return batch
                batch.append(message)
                if len(batch) == self.mapping.batch_records:
                    return batch
            now = time.monotonic()
            if batch and window_ends is None:
                window_ends = now + self.mapping.window_s
            if window_ends is not None and now >= window_ends:
                return batch
            if not batch:
                self._measure_lag()
        return []

    def _arriving(self, have: int, window_ends: float | None) -> Iterator[Message]:
        """Messages left over from before, else those that come within a short wait."""
        if not self._left:
            wait_s = POLL_S if window_ends is None else max(0.0, min(POLL_S, window_ends - time.monotonic()))
            self._left.extend(
                message
                for message in self._consumer.consume(self.mapping.batch_records - have, wait_s)
                if usable(message)
            )
        while self._left:
            yield self._left.popleft()

    def _deliver(self, batch: Sequence[Message]) -> bool:
        """True once every record was handled or sent to the destination; False where told to stop before."""
        pieces: list[tuple[Sequence[Message], int]] = [(batch, 0)]
        while pieces:
            if self._stop.is_set():
                return False
            piece, failures = pieces.pop()
            outcome = self._invoke(piece)
            if outcome.ok:
                self._failing_since = None
                continue
            if self.mapping.bisect and len(piece) > 1:  # as on Lambda, halving uses up no try
                half = len(piece) // 2
                pieces += [(piece[half:], 0), (piece[:half], 0)]
            elif self._used_up(failures) and self._give_up(piece, outcome):
                continue
            else:
                pieces.append((piece, failures + 1))
            self._pause(failures)
        return True

    def _invoke(self, piece: Sequence[Message]) -> Outcome:
        began = time.perf_counter()
        outcome = self._function.invoke(payload(piece, self._bootstrap_servers))
        self._metrics.histogram(EVENT_SOURCE_SECONDS).labels(self.mapping.name).observe(
            time.perf_counter() - began
        )
        self._count(piece, outcome.result.value)
        if not outcome.ok:
            self._failing_since = self._failing_since or time.monotonic()
            self._trouble = outcome.describe()
            log.warning("batch_failed", mapping=self.mapping.name, records=len(piece), outcome=self._trouble)
        return outcome

    def _used_up(self, failures: int) -> bool:
        return self.mapping.retries != FOR_EVER and failures >= self.mapping.retries

    def _give_up(self, piece: Sequence[Message], outcome: Outcome) -> bool:
        """False where the destination is away: then the piece is tried again."""
        try:
            self._on_failure(piece, outcome.describe())
        except Unavailable as error:
            log.warning("destination_away", mapping=self.mapping.name, error=str(error))
            return False
        self._failing_since = None
        self._count(piece, "given_up")
        log.error("batch_given_up", mapping=self.mapping.name, records=len(piece), outcome=outcome.describe())
        return True

    def _pause(self, failures: int) -> None:
        """Wait before the next try, staying a member of the group without fetching."""
        ends = time.monotonic() + min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(failures, 10))
        held = self._consumer.assignment()
        self._consumer.pause(held)
        self._measure_lag(asking=True)
        while time.monotonic() < ends and not self._stop.is_set():
            message = self._consumer.poll(POLL_S)
            if message is not None and usable(message):  # it was on its way before the pause
                self._left.append(message)
        self._consumer.resume(self._consumer.assignment())

    def _commit(self, batch: Sequence[Message]) -> None:
        ends = {place_of(m): offset_of(m) + 1 for m in batch}
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
        self._done.update(ends)
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # the batch comes again, which every handler must bear anyway
            log.warning("commit_failed", mapping=self.mapping.name, error=error.args[0].name())

    def _count(self, piece: Sequence[Message], outcome: str) -> None:
        self._metrics.counter(EVENT_SOURCE_RECORDS).labels(self.mapping.name, outcome).inc(len(piece))

    def _measure_lag(self, *, asking: bool = False) -> None:
        """Ends of the partitions as last fetched, or asked for where nothing is being fetched."""
        gauge = self._metrics.gauge(EVENT_SOURCE_LAG)
        for held in self._consumer.position(self._consumer.assignment()):
            try:
                _, end = self._consumer.get_watermark_offsets(held, timeout=ASK_S, cached=not asking)
            except KafkaException:
                return  # Kafka is away: the last lag stays until it can say
            done = self._done.get((held.topic, held.partition), held.offset)
            if done >= 0 and end >= 0:
                gauge.labels(self.mapping.name, held.topic, str(held.partition)).set(max(0, end - done))

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.assigned.set()
        log.info("assigned", mapping=self.mapping.name, partitions=len(partitions))

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._left = deque(m for m in self._left if place_of(m) not in gone)
        for place in gone:
            self._done.pop(place, None)


def place_of(message: Message) -> SourcePartition:
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None
    return topic, partition


def offset_of(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset


def usable(message: Message) -> bool:
    """Whether it carries a record; anything else that Kafka reports passes by itself."""
    error = message.error()
    if error is None:
        return True
    if error.code() != KafkaError._PARTITION_EOF:
        log.warning("kafka_reports", error=error.name())
    return False
