"""Records that can never be read, and records that come again: neither changes what is counted."""

from __future__ import annotations

import time
import uuid
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from recount import kafka
from recount.kafka import DEAD, EVENTS, SourcePartition, offset_ranges, source_partitions
from recount.keys import kafka_partition
from tests.faults.room import Room, now_ms
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(600)]
GROUP = "recount-store_batches"
POISON = {
    b'{"v": 1, "id": "cut off': "bad_json",
    b'{"v": 99, "id": "from the future"}': "unknown_version",
    b"[1, 2, 3]": "not_an_object",
    b"": "bad_json",
}


def test_poison_is_set_aside_and_its_neighbours_are_counted(room: Room) -> None:
    site, mark = room.add_site("poison"), uuid.uuid4().hex
    values = [value for n, poison in enumerate(POISON) for value in (event(site, f"{mark}-{n}"), poison)]
    values.append(event(site, f"{mark}-last"))
    partition = kafka_partition(site, 0, spread=1, partitions=room.settings.kafka_partitions)
    offsets = produce(room, partition, values)

    room.archive()
    assert room.counted(site) == {f"{mark}-{n}": 1 for n in (*range(len(POISON)), "last")}
    room.published[site] = len(POISON) + 1

    named = {
        o: reason
        for r in room.place.raw.receipts((EVENTS, partition), offsets[0])
        for o, reason in r.quarantined.items()
    }
    expected = {offsets[2 * n + 1]: reason for n, reason in enumerate(POISON.values())}
    assert {o: reason for o, reason in named.items() if o in offsets} == expected
    assert dead_letters(room, partition, set(expected)) == {
        (o, reason, value) for (o, reason), value in zip(expected.items(), POISON, strict=True)
    }


def test_everything_delivered_again_changes_nothing(room: Room) -> None:
    with room.load("redelivered") as load:
        load.wait_for(600)
    room.check(load)
    before = {site: room.counted(site) for site in room.published}
    room.stop("store_batches")
    rewound_ms = now_ms()
    rewind(room)
    room.start("store_batches")
    eventually(lambda: delivered_again(room, rewound_ms), "every record delivered again")
    room.check(load)
    assert {site: room.counted(site) for site in room.published} == before


def event(site: str, event_id: str) -> bytes:
    return orjson.dumps(
        {
            **{"v": 1, "id": event_id, "spool": "fault-test", "seq": 1, "site": site, "kind": "pageview"},
            **{"ts": now_ms(), "received": now_ms(), "visitor": "0123456789abcdef", "source_kind": "api"},
            **{
                "url": "https://faults.example/",
                "ua": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            },
        }
    )


def produce(room: Room, partition: int, values: list[bytes]) -> list[int]:
    """Straight into a partition of `events`; the offsets they got."""
    offsets: list[int] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None
        offsets.append(message.offset() or 0)

    producer = kafka.producer(room.settings)
    for value in values:
        producer.produce(EVENTS, value, partition=partition, on_delivery=delivered)
    assert producer.flush(60) == 0
    return sorted(offsets)


def dead_letters(room: Room, partition: int, offsets: set[int]) -> set[tuple[int, str, bytes]]:
    """(offset, reason, value) of the dead letters about these offsets of a partition."""
    (_, end), found = offset_ranges(room.settings, [(DEAD, 0)])[DEAD, 0], set()
    reader = kafka.consumer(room.settings, "fault-test")
    reader.assign([TopicPartition(DEAD, 0, 0)])
    at, deadline = 0, time.monotonic() + 60
    while at < end and time.monotonic() < deadline:
        for message in reader.consume(100, timeout=1.0):
            at = (message.offset() or 0) + 1
            headers: dict[str, bytes] = dict(cast("Any", message.headers()))
            offset, value = int(headers["offset"]), cast("bytes", message.value()) or b""
            if int(headers["partition"]) == partition and offset in offsets:
                found.add((offset, headers["reason"].decode(), value))
    reader.close()
    return found


def rewind(room: Room) -> None:
    """The group of store_batches, while it has no member, back to the beginning of `events`."""
    reader: Consumer = kafka.consumer(room.settings, GROUP)
    places = [TopicPartition(*source, 0) for source in source_partitions(room.settings, (EVENTS,))]
    reader.commit(offsets=places, asynchronous=False)
    reader.close()


def delivered_again(room: Room, since_ms: int) -> bool:
    """Whether receipts written since then cover every partition from its beginning to its end."""
    sources: list[SourcePartition] = source_partitions(room.settings, (EVENTS,))
    raw = room.place.raw
    for source, (oldest, end) in offset_ranges(room.settings, sources).items():
        fresh = [r for r in raw.receipts(source, oldest) if r.written_ms >= since_ms]
        at = oldest
        for receipt in sorted(fresh, key=lambda r: r.first):
            if receipt.first <= at:
                at = max(at, receipt.next)
        if at < end:
            return False
    return True
