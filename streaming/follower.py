"""The consuming thread: follows the partitions that Kafka assigns, and rebuilds each from the topic at first.

Nothing is kept on disk. A partition that is assigned is read again from the first hour that the live state
shows; the visits open at that moment come from the archive where it has them. Offsets are committed only so
that the group's lag can be seen from outside.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import polars as pl
import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from recount.event import FUTURE_MAX_MS, POSITION_SCHEMA
from recount.kafka import EVENTS, TIMEOUT_S
from recount.metrics import LIVE_DELAY_SECONDS, LIVE_EVENTS, LIVE_EVICTED, LIVE_LAG, Metrics
from recount.periods import HOUR_MS
from streaming.pipeline import Erasures, Pipeline, Taken

BATCH_MAX: Final = 100_000
BATCH_WAIT_S: Final = 0.3
SETTLE_MS: Final = 30_000  # how late an event may be and still find its visit open
SWEEP_EVERY_S: Final = 10.0
COMMIT_EVERY_S: Final = 5.0
DELAY_SAMPLES: Final = 20
RETRY_S: Final = 1.0

log = structlog.get_logger("live")


class Carries(Protocol):
    """Where open visits of the past are found."""

    def at(self, moment_ms: int, partitions: Collection[int]) -> pl.DataFrame:
        """Visits (CARRY_SCHEMA, `site` by place) of these partitions, open at the start of an hour."""
        ...


@dataclass
class Progress:
    """How far a partition is read; `goal` is the end offset at its assignment, `seen_ms` the topic's time."""

    position: int
    goal: int
    seen_ms: int
    end: int = field(default=0)

    @property
    def caught_up(self) -> bool:
        return self.position >= self.goal

    @property
    def lag(self) -> int:
        return max(0, self.end - self.position)


class Follower:
    """`run` until `stop`; an error that only a new process can mend ends it. Properties suit any thread."""

    def __init__(
        self,
        consumer: Consumer,
        pipeline: Pipeline,
        carries: Carries,
        metrics: Metrics,
        *,
        live_hours: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._consumer = consumer
        self._pipeline = pipeline
        self._carries = carries
        self._metrics = metrics
        self._live_hours = live_hours
        self._now_ms = now_ms
        self._progress: dict[int, Progress] = {}
        self._assigned = False
        self._stop = threading.Event()
        self._swept_at = self._committed_at = time.monotonic()
        self._evicted = 0
        self._erasures: Erasures = frozenset()

    @property
    def partitions(self) -> frozenset[int]:
        return frozenset(self._progress)

    @property
    def whole(self) -> frozenset[int]:
        """The partitions read to where their topic ended at their assignment."""
        return frozenset(n for n, progress in list(self._progress.items()) if progress.caught_up)

    @property
    def positions(self) -> dict[int, int]:
        """The first offset of each whole partition that is not counted yet."""
        return {n: progress.position for n, progress in list(self._progress.items()) if progress.caught_up}

    @property
    def ready(self) -> bool:
        """Joined the group, and read what was in the topic then."""
        return self._assigned and all(p.caught_up for p in list(self._progress.values()))

    @property
    def horizon_ms(self) -> int:
        """The first moment that the live state shows: the start of an hour."""
        return (self._now_ms() // HOUR_MS - self._live_hours) * HOUR_MS

    @property
    def as_of_ms(self) -> int:
        """Everything that reached the topic before this moment is counted."""
        return min((p.seen_ms for p in list(self._progress.values())), default=self._now_ms())

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        self._pipeline.warm_up()
        while not self._pipeline.can_start and not self._stop.wait(RETRY_S):
            log.info("waiting_for_catalog")
        self._consumer.subscribe(
            [EVENTS], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        try:
            while not self._stop.is_set():
                self.step()
        finally:
            self._consumer.close()

    def step(self) -> None:
        """Read what is there, at most a batch, and count it."""
        messages = [m for m in self._consumer.consume(BATCH_MAX, timeout=BATCH_WAIT_S) if self._counts(m)]
        if messages:
            self._take(messages)
        self._look_at_ends()
        if self._pipeline.erasures != self._erasures and self._progress:
            self._read_again()
        now = time.monotonic()
        if now - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = now
            self._pipeline.sweep(self._until_ms)
        if now - self._committed_at >= COMMIT_EVERY_S and self._progress:
            self._committed_at = now
            self._commit()

    def _counts(self, message: Message) -> bool:
        """Raises KafkaException for an error that only a new process can mend; others pass by themselves."""
        error = message.error()
        if error is not None and error.fatal():
            raise KafkaException(error)
        return error is None and message.partition() in self._progress

    @property
    def _until_ms(self) -> int:
        return self.as_of_ms - SETTLE_MS

    def _take(self, messages: Sequence[Message]) -> None:
        partitions = [m.partition() for m in messages]
        offsets = [m.offset() for m in messages]
        places = pl.DataFrame(
            {"topic": [EVENTS] * len(messages), "partition": partitions, "offset": offsets},
            schema=POSITION_SCHEMA,
        )
        values = [m.value() or b"" for m in messages]
        was_ready = self.ready
        taken = self._pipeline.take(values, places, self.horizon_ms, self._until_ms)
        for message, partition, offset in zip(messages, partitions, offsets, strict=True):
            progress = self._progress[partition or 0]
            progress.position = (offset or 0) + 1
            progress.seen_ms = message.timestamp()[1]
        self._observe(taken, was_ready)

    def _observe(self, taken: Taken, fresh: bool) -> None:
        self._metrics.counter(LIVE_EVENTS).inc(taken.events)
        folded = self._pipeline.state.folded_rows
        self._metrics.counter(LIVE_EVICTED).inc(folded - self._evicted)
        self._evicted = folded
        if fresh and taken.events:
            now, delays = self._now_ms(), self._metrics.histogram(LIVE_DELAY_SECONDS)
            for received in taken.received.gather_every(max(1, taken.events // DELAY_SAMPLES)):
                delays.observe(max(0, now - received) / 1000)

    def _look_at_ends(self) -> None:
        """End offsets as the last fetch told them; a partition read to its end is as fresh as now."""
        now = self._now_ms()
        for partition, progress in self._progress.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(EVENTS, partition), cached=True)
            progress.end = max(progress.end, end)
            if progress.lag == 0 and progress.caught_up:
                progress.seen_ms = now
            self._metrics.gauge(LIVE_LAG).labels(str(partition)).set(progress.lag)

    def _commit(self) -> None:
        offsets = [TopicPartition(EVENTS, p, progress.position) for p, progress in self._progress.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        partitions = {tp.partition for tp in assigned}
        if not self._progress:
            self._erasures = self._pipeline.erasures
        consumer.incremental_assign(self._begin(consumer, partitions))
        self._assigned = True
        log.info(
            "assigned", partitions=sorted(partitions), records=sum(p.lag for p in self._progress.values())
        )

    def _read_again(self) -> None:
        """Something was erased that may be counted here: forget all, and count what is left."""
        self._erasures = self._pipeline.erasures
        for start in self._begin(self._consumer, set(self._progress)):
            self._consumer.seek(start)
        log.info("reading_again", erasures=len(self._erasures))

    def _begin(self, consumer: Consumer, partitions: Collection[int]) -> list[TopicPartition]:
        """Where to read partitions from; all that was known of them is dropped."""
        horizon_ms = self.horizon_ms
        start_ms = horizon_ms - FUTURE_MAX_MS
        self._pipeline.drop(partitions)
        starts = _starts(consumer, partitions, start_ms)
        for tp in starts:
            first, end = consumer.get_watermark_offsets(tp, timeout=TIMEOUT_S, cached=False)
            tp.offset = end if tp.offset == OFFSET_END else max(tp.offset, first)
            self._progress[tp.partition] = Progress(tp.offset, end, start_ms, end)
            self._metrics.gauge(LIVE_LAG).labels(str(tp.partition)).set(end - tp.offset)
        self._pipeline.start_from(self._carries.at(horizon_ms, partitions))
        return starts

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        partitions = {tp.partition for tp in revoked}
        for partition in partitions:
            self._progress.pop(partition, None)
            self._metrics.gauge(LIVE_LAG).remove(str(partition))
        self._pipeline.drop(partitions)
        consumer.incremental_unassign(revoked)
        log.info("revoked", partitions=sorted(partitions))


def _starts(consumer: Consumer, partitions: Collection[int], start_ms: int) -> list[TopicPartition]:
    """The first offset of each partition from `start_ms` of the topic's time on; OFFSET_END for none."""
    if not partitions:
        return []
    found = consumer.offsets_for_times(
        [TopicPartition(EVENTS, p, start_ms) for p in sorted(partitions)], TIMEOUT_S
    )
    for tp in found:
        if tp.error is not None:
            raise KafkaException(tp.error)
        if tp.offset == OFFSET_BEGINNING:
            tp.offset = 0
    return found
