"""How far every consumer group is behind, in records and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from recount import kafka
from recount.errors import Unavailable
from recount.kafka import Ranges
from recount.settings import Settings

ASK_S: Final = 5.0
OLDEST_WITHIN_S: Final = 10.0  # for all partitions of a group; those not read by then count as just arrived


@dataclass(frozen=True)
class GroupLag:
    """`records` not processed, and the age of the oldest of them; `topics` that the group commits to."""

    group: str
    topics: tuple[str, ...]
    records: int
    seconds: float


class Groups(Protocol):
    """What the alerts ask of Kafka beside the topics' ends."""

    def lags(self, now_ms: int) -> list[GroupLag]:
        """Every group that commits offsets of our topics. Raises Unavailable."""
        ...

    def dead_letters(self) -> int:
        """How many letters were ever written. Raises Unavailable."""
        ...


class KafkaGroups:
    """The groups of a Kafka cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def lags(self, now_ms: int) -> list[GroupLag]:
        ranges = kafka.offset_ranges(self._settings, kafka.source_partitions(self._settings))
        try:
            found = [self._lag(group, ranges, now_ms) for group in kafka.group_names(self._settings, ASK_S)]
        except KafkaException as error:
            raise Unavailable("kafka", str(error)) from error
        return [lag for lag in found if lag is not None]

    def dead_letters(self) -> int:
        ranges = kafka.offset_ranges(self._settings, kafka.source_partitions(self._settings, (kafka.DEAD,)))
        return sum(end for _, end in ranges.values())

    def _lag(self, group: str, ranges: Ranges, now_ms: int) -> GroupLag | None:
        """None for a group that commits nothing."""
        client = kafka.consumer(self._settings, group)
        try:
            known = kafka.committed(client, ranges, ASK_S)
            unread = kafka.unread(known, ranges)
            oldest = min(_appended_ms(client, unread), default=now_ms)
        finally:
            client.close()
        if not known:
            return None
        topics = tuple(sorted({topic for topic, _ in known}))
        seconds = max(0.0, (now_ms - oldest) / 1000) if unread else 0.0
        return GroupLag(group, topics, kafka.records_in(unread), seconds)


def _appended_ms(client: Consumer, unread: Ranges) -> Iterator[int]:
    """When Kafka took the first record of each range."""
    deadline = time.monotonic() + OLDEST_WITHIN_S
    for (topic, partition), (first, _) in unread.items():
        client.assign([TopicPartition(topic, partition, first)])
        message = client.poll(max(0.0, deadline - time.monotonic()))
        if message is not None and message.error() is None:
            yield message.timestamp()[1]
