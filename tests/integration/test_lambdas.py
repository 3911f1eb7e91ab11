"""The Lambdas' handlers on real Kafka, DynamoDB and CloudWatch."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from lambdas import publish_metrics, store_batches
from recount.kafka import DEAD, consumer, ensure_topics
from recount.settings import Settings
from recount.store.raw import RawStore
from recount.store.tables import ensure_tables, open_tables
from tests.made import value
from tests.stack import TestStack
from tests.unit.lambdas.samples import sample
from tests.unit.lambdas.test_publish_metrics import _as_payload


@pytest.fixture
def settings(stack_parts: TestStack) -> Settings:
    stack_parts.need("kafka", "dynamodb", "cloudwatch")
    own = replace(stack_parts.settings, table_prefix=f"lambdas-{uuid.uuid4().hex[:12]}-")
    ensure_tables(own)
    ensure_topics(own)
    return own


@pytest.fixture
def handled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The handlers' own start, as in a fresh Lambda environment with these settings."""
    for name, text in settings.to_env().items():
        monkeypatch.setenv(name, text)
    store_batches._app.cache_clear()
    publish_metrics._app.cache_clear()
    return settings


def dead_letters(settings: Settings, wanted: int) -> dict[bytes, bytes | None]:
    """Offset (as its header has it) -> value, of the letters from `events` partition 0."""
    client = consumer(settings, f"test-{uuid.uuid4()}")
    client.assign([TopicPartition(DEAD, 0, OFFSET_BEGINNING)])
    found: dict[bytes, bytes | None] = {}
    deadline = time.monotonic() + 60
    while len(found) < wanted and time.monotonic() < deadline:
        for message in client.consume(100, timeout=1):
            headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]
            found[headers["offset"]] = message.value()
    client.close()
    return found


def test_a_payload_is_stored_and_its_poison_is_in_the_dead_letters(handled: Settings) -> None:
    answer = store_batches.handler(sample("kafka_poison"), None)
    assert answer == {"events": 2, "items": 1, "quarantined": 3}
    letters = dead_letters(handled, 3)
    assert letters[b"16"] == b'{"v":1,'
    assert {b"17", b"18"} <= set(letters)
    raw = RawStore(open_tables(handled).raw, handled)
    assert sorted(raw.read("2026-09-21T15")["id"]) == ["a", "e"]
    assert raw.missing(("events", 0), 15, 20) == []


def test_metrics_can_be_read_back_by_the_second(handled: Settings) -> None:
    second = int(time.time()) - 5
    given = _as_payload([value(received=second * 1000 + n) for n in range(7)])
    assert publish_metrics.handler(given, None)["datums"] == 4
    client = boto3.client(
        "cloudwatch",
        endpoint_url=handled.cloudwatch,
        region_name=handled.aws_region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    start = datetime.fromtimestamp(second, UTC)
    statistics = client.get_metric_statistics(
        Namespace="Recount",
        MetricName="EventsReceived",
        StartTime=start,
        EndTime=start + timedelta(seconds=1),
        Period=1,
        Statistics=["Sum"],
    )
    assert [point["Sum"] for point in statistics["Datapoints"]] == [7.0]
