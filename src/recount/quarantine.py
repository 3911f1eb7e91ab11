"""Records that can never be processed: kept in full in `events.dead`, with where and why in headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from recount.errors import Unavailable
from recount.kafka import DEAD, REFUSED_FOR_EVER, TIMEOUT_S, SourcePartition

RETRY_OF: Final = "retry_of"  # header of a replayed record: the id of the dead letter it was
ANY_PARTITION: Final = -1  # the client chooses
Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class DeadLetter:
    """A quarantined record: its source partition and offset, the reason, and the value as it came."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes

    @property
    def id(self) -> str:
        """`topic/partition/offset`: the same however often it is delivered."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def headers(self) -> Headers:
        """What a replay needs to know, as text."""
        return [
            ("reason", self.reason.encode()),
            ("topic", self.topic.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
        ]

    @classmethod
    def of(cls, headers: Mapping[str, bytes], value: bytes) -> DeadLetter | None:
        """The inverse of `headers`; None for a record that somebody else put into the topic."""
        try:
            topic, reason = headers["topic"].decode(), headers["reason"].decode()
            return cls(topic, int(headers["partition"]), int(headers["offset"]), reason, value)
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class Replay:
    """A record on its way back: the value as it came, the source partition it belongs in, and its letter."""

    source: SourcePartition
    value: bytes
    letter: str


def send(producer: Producer, letters: Sequence[DeadLetter]) -> None:
    """Returns once Kafka has acknowledged every letter; else raises Unavailable (a repeat is harmless)."""
    records = (_Record(letter.id, DEAD, ANY_PARTITION, letter.value, letter.headers()) for letter in letters)
    for error in _deliver(producer, records).values():
        raise Unavailable("kafka", f"{DEAD}: {error}")


def send_back(producer: Producer, replays: Sequence[Replay]) -> dict[str, str]:
    """Put records into their source partitions; a repeat is harmless, an id counts once.

    Returns the letters that Kafka refuses for ever, with its reason; else raises as `send` does.
    """
    failed = _deliver(
        producer,
        (_Record(r.letter, *r.source, r.value, [(RETRY_OF, r.letter.encode())]) for r in replays),
    )
    for letter, error in failed.items():
        if error.code() not in REFUSED_FOR_EVER:
            raise Unavailable("kafka", f"{letter}: {error}")
    return {letter: error.str() for letter, error in failed.items()}


class _Record(NamedTuple):
    name: str
    topic: str
    partition: int
    value: bytes
    headers: Headers


def _deliver(producer: Producer, records: Iterable[_Record]) -> dict[str, KafkaError]:
    """The records that failed; raises Unavailable where one stays without an answer."""
    failed: dict[str, KafkaError] = {}

    def report(name: str, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed[name] = error

    for record in records:
        try:
            producer.produce(
                record.topic,
                record.value,
                headers=record.headers,
                on_delivery=partial(report, record.name),
                partition=record.partition,
            )
        except KafkaException as error:
            failed[record.name] = error.args[0]
        except BufferError as error:
            raise Unavailable("kafka", f"{record.topic}: {error}") from error
        producer.poll(0)
    waiting = producer.flush(TIMEOUT_S)
    if waiting:
        raise Unavailable("kafka", f"{waiting} records not acknowledged within {TIMEOUT_S:.0f} s")
    return failed
