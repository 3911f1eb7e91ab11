"""Lag of real consumer groups, and an alert that goes through a real SNS."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import boto3
import orjson
import pytest
from confluent_kafka import TopicPartition

from orchestration.alerts.problems import Links, away
from orchestration.alerts.receivers import Sns, receivers
from orchestration.groups import KafkaGroups
from recount.errors import Unavailable
from recount.kafka import EVENTS, IMPORTS, consumer, ensure_topics, offset_ranges, producer
from recount.quarantine import DeadLetter, send
from recount.settings import Settings
from tests import made
from tests.stack import TestStack

pytestmark = pytest.mark.stack

PROBLEM = away("kafka", "no answer", 1_790_002_800_000, Links("http://dagster.example"))


@pytest.fixture(scope="module")
def settings(stack_parts: TestStack) -> Settings:
    stack_parts.need("kafka", "cloudwatch")
    ensure_topics(stack_parts.settings)
    return stack_parts.settings


def commit(settings: Settings, group: str, places: dict[tuple[str, int], int]) -> None:
    client = consumer(settings, group)
    client.commit(
        offsets=[TopicPartition(*place, offset) for place, offset in places.items()], asynchronous=False
    )
    client.close()


def test_every_group_is_seen_with_records_and_seconds(settings: Settings) -> None:
    group, quiet = f"behind-{uuid.uuid4()}", f"quiet-{uuid.uuid4()}"
    client = producer(settings)
    for n in range(7):
        client.produce(EVENTS, made.value(id=f"{group}-{n}", site="lag"), partition=n % 2)
    assert client.flush(30) == 0
    places = [(EVENTS, 0), (EVENTS, 1), (IMPORTS, 0)]
    ends = {place: end for place, (_, end) in offset_ranges(settings, places).items()}
    commit(settings, group, {(EVENTS, 0): ends[EVENTS, 0] - 4, (EVENTS, 1): ends[EVENTS, 1] - 3})
    commit(settings, quiet, {(IMPORTS, 0): ends[IMPORTS, 0]})
    time.sleep(1.1)
    found = {lag.group: lag for lag in KafkaGroups(settings).lags(time.time_ns() // 1_000_000)}
    assert (found[group].records, found[group].topics) == (7, (EVENTS,))
    assert found[group].seconds >= 1.0
    assert (found[quiet].records, found[quiet].seconds, found[quiet].topics) == (0, 0.0, (IMPORTS,))


def test_dead_letters_are_counted(settings: Settings) -> None:
    before = KafkaGroups(settings).dead_letters()
    send(producer(settings), [DeadLetter(EVENTS, 0, 10**12, "bad_json", b"{")])
    assert KafkaGroups(settings).dead_letters() == before + 1


def test_without_kafka_it_says_so(settings: Settings) -> None:
    with pytest.raises(Unavailable):
        KafkaGroups(replace(settings, kafka="127.0.0.1:9")).dead_letters()


def test_an_alert_goes_through_sns(settings: Settings) -> None:
    def client(service: str):  # type: ignore[no-untyped-def] # one of boto3's many
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=settings.cloudwatch,
            region_name=settings.aws_region,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    sns, sqs = client("sns"), client("sqs")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    receivers(replace(settings, alert_sns_topic=topic))["sns"].send(PROBLEM, "open", 0)
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    body = orjson.loads(message["Body"])
    assert body["Subject"] == "[Recount] critical: kafka does not answer"
    assert "What to do: Start kafka again" in body["Message"]
    assert body["MessageAttributes"]["severity"]["Value"] == "critical"


def test_a_topic_that_does_not_exist(settings: Settings) -> None:
    nowhere = f"arn:aws:sns:{settings.aws_region}:123456789012:nowhere"
    with pytest.raises(Unavailable):
        Sns(nowhere, settings.aws_region, settings.cloudwatch).send(PROBLEM, "open", 0)
