"""The event source mapping with the real runtime client and a real Kafka."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local.event_source import EventSource, serve
from deploy.local.mapping import FOR_EVER, Mapping
from deploy.local.runtime_api import LocalFunction, Result
from deploy.local.supervise import python_path
from recount.settings import Settings
from tests.waiting import eventually

DEADLINE_S = 180.0
HANDLER = "tests.integration.lambda_handler.handler"


class Room:
    """Two topics, the files that the handler writes, and a source that is stopped at the end."""

    def __init__(self, kafka: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka = kafka
        self.handled_file = folder / "handled"
        self.calls_file = folder / "calls"
        self.away = folder / "away"
        self.topic, self.failed = f"in-{uuid.uuid4().hex[:8]}", f"failed-{uuid.uuid4().hex[:8]}"
        self.group = ""
        self.source: EventSource | None = None
        for name, value in (("HANDLED", self.handled_file), ("CALLS", self.calls_file), ("AWAY", self.away)):
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(python_path()))
        self.admin = AdminClient({"bootstrap.servers": kafka})
        for made in self.admin.create_topics(
            [NewTopic(self.topic, 2, 1), NewTopic(self.failed, 1, 1)]
        ).values():
            made.result(30)

    def start(self, **options: Any) -> EventSource:
        name = f"test-{uuid.uuid4().hex[:8]}"
        defaults: dict[str, Any] = {"window_s": 0.2, "timeout_s": 30.0}
        mapping = Mapping(name=name, handler=HANDLER, topics=(self.topic,), **defaults | options)
        self.group = mapping.group
        self.source = EventSource(Settings(kafka=self.kafka), [mapping])
        self.source.start()
        return self.source

    def send(self, *values: str, partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for value in values:
            producer.produce(self.topic, value.encode(), b"key", partition=partition)
        assert producer.flush(30) == 0

    @property
    def handled(self) -> list[str]:
        return self.handled_file.read_text().splitlines() if self.handled_file.exists() else []

    @property
    def calls(self) -> list[tuple[int, int]]:
        """(process, records) of each call."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [(int(pid), int(records)) for pid, records in (line.split() for line in lines)]

    def committed(self) -> int:
        reader = Consumer({"bootstrap.servers": self.kafka, "group.id": self.group})
        try:
            places = reader.committed([TopicPartition(self.topic, p) for p in range(2)], timeout=30)
        except KafkaException:  # a fresh Kafka is still choosing who coordinates the group
            return 0
        finally:
            reader.close()
        return sum(max(0, place.offset) for place in places)

    def failed_records(self, count: int) -> list[Any]:
        consumer = Consumer(
            {"bootstrap.servers": self.kafka, "group.id": "reader", "enable.auto.commit": False}
        )
        consumer.assign([TopicPartition(self.failed, 0, 0)])
        try:
            return consumer.consume(count, timeout=DEADLINE_S)
        finally:
            consumer.close()


@pytest.fixture
def room(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    room = Room(kafka, tmp_path, monkeypatch)
    yield room
    if room.source is not None:
        room.source.stop()


def test_every_record_is_handled_and_committed(room: Room) -> None:
    values = [f"v{i}" for i in range(2000)]
    room.send(*values[:1000], partition=0)
    room.send(*values[1000:], partition=1)
    room.start()
    eventually(lambda: room.committed() == 2000, "all offsets committed")
    assert sorted(room.handled) == sorted(values)


def test_a_batch_is_never_larger_than_the_mapping_allows(room: Room) -> None:
    room.send(*(f"v{i}" for i in range(25)))
    room.start(batch_records=10)
    eventually(lambda: room.committed() == 25, "all offsets committed")
    assert max(records for _, records in room.calls) <= 10


def test_one_bad_record_is_isolated_and_goes_to_the_destination(room: Room) -> None:
    room.send(*(f"v{i}" for i in range(5)), "poison", *(f"w{i}" for i in range(4)))
    room.start(retries=0, bisect=False, on_failure_topic=room.failed, batch_records=1)
    eventually(lambda: room.committed() == 10, "all offsets committed")
    assert len(room.handled) == 9
    (failed,) = room.failed_records(1)
    assert failed.value() == b"poison"
    headers = dict(failed.headers())
    assert headers["source"].decode() == f"{room.topic}-0@5"
    assert b"cannot handle this batch" in headers["cause"]


def test_bisecting_for_ever_lets_the_rest_through_but_commits_nothing_before_it_is_done(room: Room) -> None:
    room.away.touch()
    room.send("a", "b", "c", "away", "d")
    source = room.start(retries=FOR_EVER, bisect=True)
    eventually(lambda: len(room.calls) >= 4 and room.calls[-1][1] == 1, "the bad record alone")
    assert room.committed() == 0
    room.away.unlink()
    eventually(lambda: room.committed() == 5, "all offsets committed")
    assert set(room.handled) == {"a", "b", "c", "away", "d"}
    assert source.trouble() == ""


def test_a_handler_past_its_timeout_is_killed_and_the_batch_given_up(room: Room) -> None:
    room.send("hang")
    room.start(retries=0, timeout_s=3.0, on_failure_topic=room.failed)
    eventually(lambda: room.committed() == 1, "the batch given up")
    room.send("after")
    eventually(lambda: room.handled == ["after"], "the next record in a fresh process")
    assert len({pid for pid, _ in room.calls}) == 2
    (failed,) = room.failed_records(1)
    assert b"no answer within 3 s" in dict(failed.headers())["cause"]


def test_a_process_that_ends_is_noticed_at_once(room: Room) -> None:
    room.send("exit")
    room.start(retries=0, timeout_s=600.0, on_failure_topic=room.failed)
    eventually(lambda: room.committed() == 1, "the batch given up long before its timeout")
    (failed,) = room.failed_records(1)
    assert b"ended with 3" in dict(failed.headers())["cause"]


def test_a_killed_process_is_replaced(room: Room) -> None:
    room.send("one")
    room.start()
    eventually(lambda: room.handled == ["one"], "the first record")
    os.kill(room.calls[-1][0], signal.SIGKILL)
    room.send("two")
    eventually(lambda: room.handled == ["one", "two"], "the second record")


def test_a_process_killed_while_idle_is_no_trouble(room: Room) -> None:
    room.send("one")
    source = room.start()
    eventually(lambda: room.committed() == 1, "the first record")
    child = psutil.Process(room.calls[-1][0])
    child.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")
    assert source.trouble() == ""


def test_uncommitted_records_come_again_after_a_restart(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.away.touch()
    room.send("away")
    first = room.start(retries=FOR_EVER)
    eventually(lambda: room.calls, "a failed call")
    first.stop()
    room.away.unlink()
    second = EventSource(Settings(kafka=room.kafka), first.mappings)
    room.source = second
    second.start()
    eventually(lambda: room.handled == ["away"], "the record again")


def test_probes_and_metrics(room: Room) -> None:
    source = room.start()
    server = serve(source, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200, "ready")
        room.send("one", "two")
        eventually(lambda: room.committed() == 2, "handled")
        text = httpx.get(f"{url}/metrics").text
        assert (
            f'recount_event_source_records_total{{function="{source.mappings[0].name}",outcome="ok"}} 2.0'
            in text
        )
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/other").status_code == 404
    finally:
        server.shutdown()


def test_a_handler_that_cannot_be_loaded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    function = LocalFunction("broken", "tests.no_such_module.handler", timeout_s=30.0, env=os.environ)
    try:
        outcome = function.invoke(orjson.dumps({}))
    finally:
        function.stop()
    assert outcome.result is Result.DIED
    assert "no_such_module" in outcome.describe()


def test_invocations_of_a_stopped_function_start_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = {
        **os.environ,
        "HANDLED": str(tmp_path / "h"),
        "CALLS": str(tmp_path / "c"),
        "PYTHONPATH": os.pathsep.join(python_path()),
    }
    function = LocalFunction("again", HANDLER, timeout_s=30.0, env=env)
    try:
        assert function.invoke(orjson.dumps({"records": {}})).ok
        function.stop()
        assert not function.ready
        assert orjson.loads(function.invoke(orjson.dumps({"records": {}})).body) == {"records": 0}
        assert threading.active_count() < 50
    finally:
        function.stop()
