"""The topics as the steps see them: one suite for the log in memory and for Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic, TopicPartition

from orchestration.log import KafkaLog, Log
from recount import kafka
from recount.errors import Unavailable
from recount.kafka import SourcePartition
from recount.settings import Settings
from tests.memory_log import MemoryLog

RECORDS: Final = 12


class Topics(Protocol):
    """A log, and a hand on its records."""

    log: Log
    source: SourcePartition

    def append(self, values: Sequence[bytes]) -> int:
        """Returns the first offset given."""
        ...

    def expire(self, oldest: int) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.source = ("events", 0)
        self._memory = MemoryLog(self.source, ("imports", 0))
        self.log: Log = self._memory

    def append(self, values: Sequence[bytes]) -> int:
        return self._memory.append(self.source, values)[0]

    def expire(self, oldest: int) -> None:
        self._memory.expire(self.source, oldest)


class OnKafka:
    """Two topics of its own, so that nobody else reads these records."""

    def __init__(self, settings: Settings) -> None:
        topics = tuple(f"test-{kind}-{uuid.uuid4()}" for kind in ("events", "imports"))
        admin = AdminClient({"bootstrap.servers": settings.kafka})
        for made in admin.create_topics([NewTopic(t, num_partitions=2) for t in topics]).values():
            made.result(30)
        self._settings = settings
        self.source = (topics[0], 1)
        self.log: Log = KafkaLog(settings, topics)

    def append(self, values: Sequence[bytes]) -> int:
        first = self.log.ranges()[self.source][1]
        producer = kafka.producer(self._settings)
        for value in values:
            producer.produce(self.source[0], value, partition=self.source[1])
        assert producer.flush(30) == 0
        return first

    def expire(self, oldest: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._settings.kafka})
        target = TopicPartition(*self.source, oldest)
        for done in admin.delete_records([target]).values():
            done.result(30)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def topics(request: pytest.FixtureRequest) -> Topics:
    if request.param == "memory":
        return InMemory()
    return OnKafka(replace(Settings(), kafka=request.getfixturevalue("kafka")))


def values(count: int = RECORDS) -> list[bytes]:
    return [f"{uuid.uuid4()}".encode() for _ in range(count)]


def read(topics: Topics, start: int, end: int) -> list[tuple[int, bytes]]:
    return [record for batch in topics.log.read(topics.source, start, end) for record in batch]


def test_every_source_partition_has_a_range(topics: Topics) -> None:
    ranges = topics.log.ranges()
    assert len({topic for topic, _ in ranges}) == 2
    assert topics.source in ranges
    assert all(oldest <= end for oldest, end in ranges.values())


def test_records_come_with_their_offsets_in_order(topics: Topics) -> None:
    sent = values()
    first = topics.append(sent)
    assert topics.log.ranges()[topics.source][1] == first + RECORDS
    assert read(topics, first, first + RECORDS) == [(first + n, value) for n, value in enumerate(sent)]


def test_the_range_is_half_open(topics: Topics) -> None:
    sent = values()
    first = topics.append(sent)
    assert read(topics, first + 3, first + 5) == [(first + 3, sent[3]), (first + 4, sent[4])]
    assert read(topics, first + 3, first + 3) == []


def test_nothing_is_read_beyond_the_end(topics: Topics) -> None:
    sent = values(2)
    first = topics.append(sent)
    assert [offset for offset, _ in read(topics, first, first + 100)] == [first, first + 1]
    assert read(topics, first + 50, first + 100) == []


def test_what_is_gone_is_left_out(topics: Topics) -> None:
    first = topics.append(values())
    topics.expire(first + 4)
    assert topics.log.ranges()[topics.source][0] == first + 4
    assert [offset for offset, _ in read(topics, first, first + 6)] == [first + 4, first + 5]
    assert read(topics, first, first + 2) == []


def test_a_log_that_is_away_says_so() -> None:
    memory = MemoryLog(("events", 0))
    memory.away = True
    with pytest.raises(Unavailable):
        memory.ranges()
    with pytest.raises(Unavailable):
        list(memory.read(("events", 0), 0, 1))


def test_kafka_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "TIMEOUT_S", 2.0)
    with pytest.raises(Unavailable):
        KafkaLog(replace(Settings(), kafka="127.0.0.1:9")).ranges()
