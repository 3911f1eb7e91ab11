"""Kafka records -> the `aws:kafka` event that Lambda's mapping for Amazon MSK sends.

Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html#msk-sample-event
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any, Final

import orjson
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

ARN: Final = "arn:aws:kafka:local:000000000000:cluster/recount/local"
PAYLOAD_MAX_BYTES: Final = 6 * 1024 * 1024
RECORD_OVERHEAD_BYTES: Final = 200  # names, offset, timestamp and quotes of one record


def size_of(message: Message) -> int:
    """Bytes that a record takes in the payload, at most."""
    raw = len(message.value() or b"") + len(message.key() or b"")
    headers = sum(len(name) + 6 + 5 * len(value) for name, value in _headers(message))
    return RECORD_OVERHEAD_BYTES + (raw + 4) * 4 // 3 + headers


def payload(messages: Sequence[Message], bootstrap_servers: str) -> bytes:
    """The event as JSON. Records of a partition keep their order."""
    records: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        records.setdefault(f"{message.topic()}-{message.partition()}", []).append(_record(message))
    event = {
        "eventSource": "aws:kafka",
        "eventSourceArn": ARN,
        "bootstrapServers": bootstrap_servers,
        "records": records,
    }
    return orjson.dumps(event)


def _record(message: Message) -> dict[str, Any]:
    kind, timestamp_ms = message.timestamp()
    record = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": timestamp_ms,
        "timestampType": "LOG_APPEND_TIME" if kind == TIMESTAMP_LOG_APPEND_TIME else "CREATE_TIME",
        "headers": [{name: list(value)} for name, value in _headers(message)],
    }
    for field, raw in (("key", message.key()), ("value", message.value())):
        if raw is not None:
            record[field] = b2a_base64(raw, newline=False).decode("ascii")
    return record


def _headers(message: Message) -> list[tuple[str, bytes]]:
    found: Any = message.headers()  # confluent_kafka types what it takes, not what it gives
    return [(name, value or b"") for name, value in found or ()]
