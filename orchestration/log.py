"""The topics as the steps see them: where each source partition ends, and records by offset."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from recount.errors import Unavailable
from recount.kafka import (
    EVENTS,
    IMPORTS,
    TIMEOUT_S,
    SourcePartition,
    consumer,
    offset_ranges,
    source_partitions,
)
from recount.settings import Settings

READ_BATCH_MAX_RECORDS: Final = 5_000
RANGES_ATTEMPTS_MAX: Final = 3
RETRY_S: Final = 1.0
Records = list[tuple[int, bytes]]  # (offset, value), offsets ascending


class Log(Protocol):
    """Behaviour that the contract suite checks on Kafka and on the log of the unit tests."""

    def ranges(self) -> dict[SourcePartition, tuple[int, int]]:
        """(oldest kept offset, end offset) of every source partition. Raises Unavailable."""
        ...

    def read(self, source: SourcePartition, start: int, end: int) -> Iterator[Records]:
        """The records of [start, end) that still exist, in batches; silently skips what is gone.

        Raises Unavailable where the log does not answer.
        """
        ...


class KafkaLog:
    """The topics that hold events in a Kafka cluster."""

    def __init__(self, settings: Settings, topics: tuple[str, ...] = (EVENTS, IMPORTS)) -> None:
        self._settings = settings
        self._topics = topics

    def ranges(self) -> dict[SourcePartition, tuple[int, int]]:
        for _ in range(RANGES_ATTEMPTS_MAX - 1):
            try:
                return self._ranges()
            except Unavailable:  # a partition that is changing its leader, most of the time
                time.sleep(RETRY_S)
        return self._ranges()

    def read(self, source: SourcePartition, start: int, end: int) -> Iterator[Records]:
        oldest, newest = offset_ranges(self._settings, [source])[source]
        first, last = max(start, oldest), min(end, newest)
        if first >= last:
            return
        client = consumer(self._settings, "recount-reread")
        try:
            client.assign([TopicPartition(source[0], source[1], first)])
            yield from _batches(client, last)
        except KafkaException as error:
            raise Unavailable("kafka", str(error)) from error
        finally:
            client.close()

    def _ranges(self) -> dict[SourcePartition, tuple[int, int]]:
        return offset_ranges(self._settings, source_partitions(self._settings, self._topics))


def _batches(client: Consumer, end: int) -> Iterator[Records]:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        messages = client.consume(READ_BATCH_MAX_RECORDS, timeout=1.0)
        records = [r for r in map(_record, messages) if r[0] < end]
        if records:
            deadline = time.monotonic() + TIMEOUT_S
            yield records
        if messages and _offset(messages[-1]) >= end - 1:
            return
        if time.monotonic() > deadline:
            raise Unavailable("kafka", f"no record for {TIMEOUT_S:.0f} s before offset {end}")


def _record(message: Message) -> tuple[int, bytes]:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    value = message.value()
    return _offset(message), value if isinstance(value, bytes) else b""


def _offset(message: Message) -> int:
    offset = message.offset()
    if offset is None:
        raise KafkaException(KafkaError(KafkaError._BAD_MSG))
    return offset
