"""How far every consumer group is behind, in records and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from recount.errors import Unavailable
from recount.kafka import (
    DEAD,
    TIMEOUT_S,
    SourcePartition,
    committed,
    consumer,
    offset_ranges,
    source_partitions,
)
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
        try:
            ranges = offset_ranges(self._settings, source_partitions(self._settings))
            found = [self._lag(group, ranges, now_ms) for group in self._names()]
        except KafkaException as error:
            raise Unavailable("kafka", str(error)) from error
        return [lag for lag in found if lag is not None]

    def dead_letters(self) -> int:
        ranges = offset_ranges(self._settings, source_partitions(self._settings, (DEAD,)))
        return sum(end for _, end in ranges.values())

    def _names(self) -> list[str]:
        admin = AdminClient({"bootstrap.servers": self._settings.kafka, "log_level": 0})
        listed = admin.list_consumer_groups(request_timeout=ASK_S).result(TIMEOUT_S)
        return sorted(group.group_id for group in listed.valid)

    def _lag(
        self, group: str, ranges: Mapping[SourcePartition, tuple[int, int]], now_ms: int
    ) -> GroupLag | None:
        """None for a group that commits nothing."""
        client = consumer(self._settings, group)
        try:
            known = committed(client, ranges, ASK_S)
            behind = {
                place: max(offset, ranges[place][0])
                for place, offset in known.items()
                if offset < ranges[place][1]
            }
            oldest = min(_appended_ms(client, behind), default=now_ms)
        finally:
            client.close()
        if not known:
            return None
        records = sum(ranges[place][1] - offset for place, offset in behind.items())
        topics = tuple(sorted({topic for topic, _ in known}))
        return GroupLag(group, topics, records, max(0.0, (now_ms - oldest) / 1000) if records else 0.0)


def _appended_ms(client: Consumer, places: Mapping[SourcePartition, int]) -> Iterator[int]:
    """When Kafka took the record at each place."""
    deadline = time.monotonic() + OLDEST_WITHIN_S
    for (topic, partition), offset in places.items():
        client.assign([TopicPartition(topic, partition, offset)])
        message = client.poll(max(0.0, deadline - time.monotonic()))
        if message is not None and message.error() is None:
            yield message.timestamp()[1]
