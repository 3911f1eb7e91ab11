"""What a Kafka event source mapping sends to a Lambda: `aws:kafka` payloads, made into values and places.

Shape: https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import polars as pl

from recount.errors import InvalidInput
from recount.event import POSITION_SCHEMA

KafkaPayload = Mapping[str, Any]  # the decoded JSON of an invocation


class Records(NamedTuple):
    """`values`: one a record; `places`: POSITION_SCHEMA rows alike; `appended_ms`: the topic's time."""

    values: list[bytes]
    places: pl.DataFrame
    appended_ms: list[int]


def records(payload: KafkaPayload) -> Records:
    """Raises InvalidInput where the payload is not one of a Kafka mapping."""
    if payload.get("eventSource") not in {"aws:kafka", "SelfManagedKafka"}:
        raise InvalidInput("not the payload of a Kafka event source mapping", field="eventSource")
    flat = list(_flat(payload))
    return Records(
        values=[a2b_base64(record["value"] or "") for record in flat],
        places=pl.DataFrame(
            {name: [record[name] for record in flat] for name in POSITION_SCHEMA}, schema=POSITION_SCHEMA
        ),
        appended_ms=[record["timestamp"] for record in flat],
    )


def _flat(payload: KafkaPayload) -> Iterator[dict[str, Any]]:
    for part in payload["records"].values():
        yield from part
