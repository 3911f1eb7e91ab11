"""A Kafka producer in memory: takes, refuses or keeps quiet, as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError

Report = Callable[[KafkaError | None, Any], None]


class FakeMessage:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value


class FakeProducer:
    """`log` holds what was acknowledged: (topic, partition, value)."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int, bytes]] = []
        self.is_away = False
        self.fails_with: dict[bytes, KafkaError] = {}
        self.refuses: dict[bytes, KafkaError] = {}  # at once, as the client does before it queues a message
        self.room = 1_000_000
        self._waiting: list[tuple[str, int, bytes, Report]] = []

    def produce_batch(
        self, topic: str, messages: list[dict[str, Any]], partition: int, on_delivery: Report
    ) -> int:
        queued = 0
        for message in messages:
            refused = next((e for text, e in self.refuses.items() if text in message["value"]), None)
            if refused is not None:
                message["_error"] = refused
                continue
            if len(self._waiting) >= self.room:
                message["_error"] = KafkaError(KafkaError._QUEUE_FULL)
                continue
            self._waiting.append((topic, partition, message["value"], on_delivery))
            queued += 1
        return queued

    def poll(self, timeout: float = 0) -> int:
        if self.is_away:
            return 0
        waiting, self._waiting = self._waiting, []
        for topic, partition, value, report in waiting:
            error = next((e for text, e in self.fails_with.items() if text in value), None)
            if error is None:
                self.log.append((topic, partition, value))
            report(error, FakeMessage(value))
        return len(waiting)

    def flush(self, timeout: float = 0) -> int:
        self.poll()
        return len(self._waiting)

    def purge(self) -> None:
        self._waiting.clear()
