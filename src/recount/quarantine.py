"""Records that can never be processed: kept in full in `events.dead`, with where and why in headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Producer

from recount.errors import Unavailable
from recount.kafka import DEAD, TIMEOUT_S


@dataclass(frozen=True)
class DeadLetter:
    """A quarantined record: its source partition and offset, the reason, and the value as it came."""

    topic: str
    partition: int
    offset: int
    reason: str
    value: bytes

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """What a replay needs to know, as text."""
        return [
            ("reason", self.reason.encode()),
            ("topic", self.topic.encode()),
            ("partition", str(self.partition).encode()),
            ("offset", str(self.offset).encode()),
        ]


def send(producer: Producer, letters: Sequence[DeadLetter]) -> None:
    """Returns once Kafka has acknowledged every letter; else raises Unavailable (a repeat is harmless)."""
    failed: list[str] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(str(error))

    try:
        for letter in letters:
            producer.produce(DEAD, letter.value, headers=letter.headers(), on_delivery=delivered)
            producer.poll(0)
        waiting = producer.flush(TIMEOUT_S) if letters else 0
    except (KafkaException, BufferError) as error:
        raise Unavailable("kafka", f"{DEAD}: {error}") from error
    if waiting or failed:
        detail = failed[0] if failed else f"{waiting} of {len(letters)} dead letters not acknowledged"
        raise Unavailable("kafka", f"{DEAD}: {detail}")
