"""How a mapping makes batches, tries again, bisects and gives up; its consumer and function are lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    Message,
    TopicPartition,
)

from deploy.local import mapping as mapping_module
from deploy.local.event_source import MAPPINGS
from deploy.local.kafka_payload import PAYLOAD_MAX_BYTES, payload, size_of
from deploy.local.mapping import FOR_EVER, Mapping, Poller
from deploy.local.runtime_api import Outcome, Result
from recount.errors import Unavailable
from recount.metrics import Metrics


class Record:
    """What the mapping reads of a Kafka message."""

    def __init__(
        self,
        offset: int,
        value: bytes | None = b"{}",
        key: bytes | None = b"k",
        headers: list[tuple[str, bytes | None]] | None = None,
        kind: int = TIMESTAMP_LOG_APPEND_TIME,
        partition: int = 0,
    ) -> None:
        self._offset, self._value, self._key, self._headers = offset, value, key, headers
        self._kind, self._partition = kind, partition

    def topic(self) -> str:
        return "events"

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        return self._value

    def key(self) -> bytes | None:
        return self._key

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return self._kind, 1_700_000_000_000

    def error(self) -> None:
        return None


class Source:
    """A consumer over a list; it stops its poller when the list is at its end."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.committed: list[TopicPartition] = []
        self.closed = False
        self.poller: Poller | None = None

    def subscribe(self, topics: list[str], **_: object) -> None:
        assert topics == ["events"]

    def consume(self, count: int, timeout: float) -> list[Record]:
        taken, self.records = self.records[:count], self.records[count:]
        if not taken and self.poller is not None and self.poller.mapping.window_s == 0:
            self.poller.stop()
        return taken

    def poll(self, timeout: float) -> Record | None:
        return self.records.pop(0) if self.records else None

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        self.committed += offsets

    def assignment(self) -> list[TopicPartition]:
        return []

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return []

    def pause(self, partitions: list[TopicPartition]) -> None: ...

    def resume(self, partitions: list[TopicPartition]) -> None: ...

    def close(self) -> None:
        self.closed = True


class Handler:
    """A function that fails for the batches a rule names; remembers the offsets of every call."""

    def __init__(self, fails: Callable[[list[int], int], bool]) -> None:
        self.calls: list[list[int]] = []
        self._fails = fails

    def invoke(self, payload: bytes) -> Outcome:
        event = orjson.loads(payload)
        self.calls.append([record["offset"] for part in event["records"].values() for record in part])
        return Outcome(Result.ERROR if self._fails(self.calls[-1], len(self.calls)) else Result.OK)


def run(
    records: Sequence[Record],
    fails: Callable[[list[int], int], bool] = lambda _offsets, _call: False,
    destination: Callable[[Sequence[Message], str], None] = lambda _messages, _cause: None,
    **options: Any,
) -> tuple[Source, Handler]:
    defaults: dict[str, Any] = {"window_s": 0.0, "timeout_s": 1.0}
    feed = Mapping(name="test", handler="h", topics=("events",), **defaults | options)
    source, handler = Source(records), Handler(fails)
    poller = Poller(feed, cast(Consumer, source), handler, destination, Metrics(), "127.0.0.1:1")
    source.poller = poller
    poller.run()
    return source, handler


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_module, "PAUSE_FIRST_S", 0.0)


def offsets(count: int) -> list[Record]:
    return [Record(i) for i in range(count)]


def test_commits_the_offset_after_the_last_record_of_each_partition() -> None:
    source, _ = run([Record(4), Record(7, partition=1), Record(5)])
    assert {(p.partition, p.offset) for p in source.committed} == {(0, 6), (1, 8)}
    assert source.closed


def test_batches_are_limited_by_records() -> None:
    _, handler = run(offsets(25), batch_records=10)
    assert [len(call) for call in handler.calls] == [10, 10, 5]


def test_batches_are_limited_by_bytes_and_nothing_is_lost_between_them() -> None:
    big = [Record(i, b"x" * 1000) for i in range(10)]
    limit = 3 * size_of(cast(Message, big[0]))
    _, handler = run(big, batch_bytes=limit)
    assert [len(call) for call in handler.calls] == [3, 3, 3, 1]
    assert [offset for call in handler.calls for offset in call] == list(range(10))


def test_a_record_larger_than_a_batch_still_goes_alone() -> None:
    _, handler = run([Record(0, b"x" * 5000), Record(1)], batch_bytes=1000)
    assert handler.calls == [[0], [1]]


def test_retries_are_counted_after_the_first_try_and_then_given_up() -> None:
    given_up: list[int] = []
    source, handler = run(
        offsets(2),
        fails=lambda _offsets, _call: True,
        destination=lambda messages, _cause: given_up.extend(cast(int, m.offset()) for m in messages),
        retries=2,
    )
    assert handler.calls == [[0, 1]] * 3
    assert given_up == [0, 1]
    assert [p.offset for p in source.committed] == [2]


def test_for_ever_goes_on_until_it_works() -> None:
    source, handler = run(offsets(3), fails=lambda _offsets, call: call <= 20, retries=FOR_EVER)
    assert len(handler.calls) == 21
    assert [p.offset for p in source.committed] == [3]


@pytest.mark.parametrize("retries", [0, 1])
def test_bisecting_isolates_the_one_bad_record_in_few_calls_and_keeps_the_order(retries: int) -> None:
    given_up: list[int] = []
    _, handler = run(
        offsets(64),
        fails=lambda call, _: 37 in call,
        destination=lambda messages, _cause: given_up.extend(cast(int, m.offset()) for m in messages),
        retries=retries,
        bisect=True,
    )
    assert given_up == [37]
    handled = [call for call in handler.calls if 37 not in call]
    assert [offset for call in handled for offset in call] == [i for i in range(64) if i != 37]
    assert len(handler.calls) < 20


def test_during_an_outage_a_bisecting_mapping_does_not_shatter_its_batch() -> None:
    source, handler = run(
        offsets(1024), fails=lambda _offsets, call: call <= 100, retries=FOR_EVER, bisect=True
    )
    assert len(handler.calls) < 100 + 2 * 11
    assert [p.offset for p in source.committed] == [1024]


def test_where_the_destination_is_away_the_batch_is_tried_again() -> None:
    tries: list[int] = []

    def destination(messages: Sequence[Message], _cause: str) -> None:
        tries.append(len(messages))
        if len(tries) < 3:
            raise Unavailable("kafka", "away")

    source, handler = run(offsets(1), fails=lambda _offsets, _call: True, destination=destination, retries=0)
    assert len(tries) == len(handler.calls) == 3
    assert [p.offset for p in source.committed] == [1]


def test_told_to_stop_it_commits_nothing_of_an_unfinished_batch() -> None:
    stop: list[Callable[[], None]] = []

    def fails(_offsets: list[int], call: int) -> bool:
        if call == 3:
            stop[0]()
        return True

    feed = Mapping(name="test", handler="h", topics=("events",), window_s=0.0, timeout_s=1.0)
    source, handler = Source(offsets(4)), Handler(fails)
    poller = Poller(
        feed, cast(Consumer, source), handler, lambda _messages, _cause: None, Metrics(), "127.0.0.1:1"
    )
    stop.append(poller.stop)
    poller.run()
    assert source.committed == []


def test_the_payload_has_the_shape_that_lambda_sends() -> None:
    records = [
        Record(5, b'{"a":1}', None, [("h", b"\x01\x02"), ("n", None)]),
        Record(6, None, b"key", kind=TIMESTAMP_CREATE_TIME),
    ]
    event = orjson.loads(payload(cast(list[Message], records), "127.0.0.1:9092"))
    assert event["eventSource"] == "aws:kafka"
    assert event["bootstrapServers"] == "127.0.0.1:9092"
    assert event["records"] == {
        "events-0": [
            {
                "topic": "events",
                "partition": 0,
                "offset": 5,
                "timestamp": 1_700_000_000_000,
                "timestampType": "LOG_APPEND_TIME",
                "headers": [{"h": [1, 2]}, {"n": []}],
                "value": "eyJhIjoxfQ==",
            },
            {
                "topic": "events",
                "partition": 0,
                "offset": 6,
                "timestamp": 1_700_000_000_000,
                "timestampType": "CREATE_TIME",
                "headers": [],
                "key": "a2V5",
            },
        ]
    }


def test_the_size_that_is_counted_is_never_less_than_the_size_that_is_sent() -> None:
    for value in (b"", b"x", b"x" * 999, bytes(range(256)) * 10):
        record = cast(Message, Record(2**62, value, b"k" * 36, [("header", b"\xff" * 20)], partition=99_999))
        assert len(payload([record] * 50, "")) <= 50 * size_of(record) + 200


def test_configured_mappings_stay_within_lambdas_limits() -> None:
    for feed in (feed for feeds in MAPPINGS.values() for feed in feeds):
        assert feed.batch_records <= 10_000
        assert feed.batch_bytes <= PAYLOAD_MAX_BYTES
        assert feed.timeout_s <= 900
        assert feed.handler.startswith("lambdas.")
