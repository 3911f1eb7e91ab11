"""Topics, and the few Kafka clients that the rooms share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from recount.errors import Unavailable
from recount.settings import Settings

EVENTS: Final = "events"
IMPORTS: Final = "imports"
DEAD: Final = "events.dead"
LIVE_GROUP: Final = "live"  # after the prefix of the deployment's tables
TIMEOUT_S: Final = 15.0
MESSAGE_MAX_BYTES: Final = 1024 * 1024
DAY_MS: Final = 86_400_000

# Answers about one record that no retry changes.
REFUSED_FOR_EVER: Final = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD}
)

SourcePartition = tuple[str, int]  # (topic, partition)
Offsets = dict[SourcePartition, int]
Ranges = dict[SourcePartition, tuple[int, int]]


def producer(settings: Settings) -> Producer:
    """Idempotent, acks=all, zstd; delivery errors reach the callback only after five minutes of retries."""
    return Producer(
        {
            "bootstrap.servers": settings.kafka,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "zstd",
            "linger.ms": 5,
            "queue.buffering.max.messages": 200_000,
            "message.timeout.ms": 300_000,
        }
    )


def consumer(
    settings: Settings, group: str, *, from_start: bool = True, options: Mapping[str, str | int] | None = None
) -> Consumer:
    """Commits nothing by itself; `options` are librdkafka's own."""
    return Consumer(
        {
            **(options or {}),
            "bootstrap.servers": settings.kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest" if from_start else "latest",
            "fetch.message.max.bytes": 4 * MESSAGE_MAX_BYTES,
            "fetch.wait.max.ms": 50,
        }
    )


def ensure_topics(settings: Settings) -> None:
    """Create the missing topics. LogAppendTime: with CreateTime, retention would delete backdated events."""
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    existing = set(_metadata(admin).topics)
    wanted = {EVENTS: settings.kafka_partitions, IMPORTS: settings.kafka_partitions, DEAD: 1}
    new = [
        NewTopic(t, num_partitions=n, replication_factor=1, config=_topic_config(settings, t))
        for t, n in wanted.items()
        if t not in existing
    ]
    for made in (admin.create_topics(new) if new else {}).values():
        made.result(TIMEOUT_S)


def _topic_config(settings: Settings, topic: str) -> dict[str, str]:
    kept_ms = settings.dead_retention_days * DAY_MS if topic == DEAD else settings.kafka_retention_ms
    return {
        "retention.ms": str(kept_ms),
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": "delete",
        "max.message.bytes": str(MESSAGE_MAX_BYTES + 65_536),
    }


def source_partitions(
    settings: Settings, topics: tuple[str, ...] = (EVENTS, IMPORTS)
) -> list[SourcePartition]:
    """Every (topic, partition) of the given topics."""
    known = _metadata(AdminClient({"bootstrap.servers": settings.kafka})).topics
    return [(topic, p) for topic in topics if topic in known for p in sorted(known[topic].partitions)]


def live_group(settings: Settings) -> str:
    """The consumer group of a deployment's live service."""
    return settings.table_prefix + LIVE_GROUP


def offset_ranges(settings: Settings, partitions: list[SourcePartition]) -> Ranges:
    """(oldest kept offset, offset that the next record will get) of each partition."""
    client = consumer(settings, "recount-offsets")
    try:
        return ranges_by(client, partitions)
    finally:
        client.close()


def ranges_by(
    client: Consumer, partitions: Sequence[SourcePartition], timeout_s: float = TIMEOUT_S
) -> Ranges:
    """The same, asked by a client that the caller keeps."""
    try:
        return {
            (topic, p): client.get_watermark_offsets(
                TopicPartition(topic, p), timeout=timeout_s, cached=False
            )
            for topic, p in partitions
        }
    except KafkaException as error:
        raise Unavailable("kafka", error.args[0].str()) from error


def committed(client: Consumer, places: Iterable[SourcePartition], timeout_s: float = TIMEOUT_S) -> Offsets:
    """What the client's group has committed of some partitions, without those of which it has nothing.

    A consumer that never joins is asked: the admin client's call crashes while Kafka still loads the group.
    """
    try:
        found = client.committed([TopicPartition(*place) for place in places], timeout=timeout_s)
    except KafkaException as error:
        raise Unavailable("kafka", error.args[0].str()) from error
    return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}


def unread(known: Offsets, ranges: Ranges) -> Ranges:
    """[first, end) of what a group that has committed `known` has not read of each partition, as far as Kafka
    still has it; without the partitions that it has read to their end."""
    starts = {place: max(offset, ranges[place][0]) for place, offset in known.items()}
    return {place: (first, ranges[place][1]) for place, first in starts.items() if first < ranges[place][1]}


def records_in(ranges: Ranges) -> int:
    return sum(end - first for first, end in ranges.values())


def lag_by(client: Consumer, ranges: Ranges, timeout_s: float = TIMEOUT_S) -> int | None:
    """Records that the client's group has not read; None for one that commits nothing."""
    known = committed(client, ranges, timeout_s)
    return records_in(unread(known, ranges)) if known else None


def group_names(settings: Settings, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Every consumer group of the cluster, sorted. Raises Unavailable."""
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    try:
        listed = admin.list_consumer_groups(request_timeout=timeout_s).result(TIMEOUT_S)
    except KafkaException as error:
        raise Unavailable("kafka", str(error)) from error
    return sorted(group.group_id for group in listed.valid)


def _metadata(admin: AdminClient):  # type: ignore[no-untyped-def] # confluent_kafka's ClusterMetadata is untyped
    try:
        return admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise Unavailable("kafka", str(error)) from error
