"""Shipping: nothing is remembered before Kafka has it, nothing blocks what follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import KafkaError

from edge import pieces
from edge import shipper as shipper_module
from edge.pieces import Lost
from edge.ship import create_app
from edge.shipper import Shipper
from edge.spool import Spool
from edge.spool_format import frame, segment_path, segments
from edge.spool_reader import Batch, Reader
from recount.kafka import EVENTS
from recount.metrics import SPOOL_MISSING, SPOOL_QUARANTINED, SPOOL_SHIPPED, Metrics
from tests.unit.edge.fake_producer import FakeProducer


class Dock:
    """A root with spools, a shipper and its Kafka."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kafka = FakeProducer()
        self.metrics = Metrics()
        self.shipper = self.another()

    def another(self) -> Shipper:
        return Shipper(self.root, lambda: self.kafka, self.metrics)  # type: ignore[arg-type, return-value]

    def spool(self) -> Spool:
        return Spool(self.root, max_bytes=1 << 20)

    def settle(self, shipper: Shipper | None = None) -> None:
        """Enough steps for everything there is."""
        for _ in range(12):
            (shipper or self.shipper).step()

    def numbers(self, spool: Spool) -> list[int]:
        """What Kafka has of a spool, in the order of its arrival."""
        values = [orjson.loads(value) for topic, _, value in self.kafka.log if topic == EVENTS]
        return [value["seq"] for value in values if value["spool"] == spool.id]

    def count(self, name: str, *labels: str) -> float:
        names = {"cause": labels[0]} if labels else {}
        return self.metrics.registry.get_sample_value(name, names) or 0


@pytest.fixture
def dock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dock]:
    monkeypatch.setattr(shipper_module, "DISCOVER_EVERY_S", 0.0)
    made = Dock(tmp_path)
    yield made
    made.shipper.close()


def fill(spool: Spool, count: int) -> None:
    for _ in range(count):
        number = spool.last_seq + 1
        spool.append(number % 3, 1000 + number, b'{"id":"e%d"}' % number)


def test_events_arrive_in_their_partitions(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 7)
    dock.settle()
    assert sorted(dock.numbers(spool)) == list(range(1, 8))
    assert all(partition == orjson.loads(value)["seq"] % 3 for _, partition, value in dock.kafka.log)
    assert dock.shipper.states() == [
        {"spool": spool.id, "shipped_seq": 7, "oldest_unshipped_ms": None, "waiting_bytes": 0}
    ]
    assert dock.count(SPOOL_SHIPPED.name) == 7


def test_the_spool_of_a_dead_writer_is_shipped_and_removed(dock: Dock) -> None:
    living, dead = dock.spool(), dock.spool()
    fill(living, 2)
    fill(dead, 3)
    dead.close()
    dock.settle()
    assert (sorted(dock.numbers(living)), sorted(dock.numbers(dead))) == ([1, 2], [1, 2, 3])
    assert living.folder.exists()
    assert not dead.folder.exists()
    fill(living, 1)
    dock.settle()
    assert sorted(dock.numbers(living)) == [1, 2, 3]


def test_kafka_away_loses_nothing(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 5)
    dock.kafka.is_away = True
    dock.shipper.deadline = time.monotonic()  # as on shutdown: do not wait for Kafka
    dock.settle()
    assert dock.shipper.states()[0]["shipped_seq"] == 0
    assert dock.shipper.states()[0]["oldest_unshipped_ms"] == 1001
    dock.kafka.is_away = False
    dock.shipper.deadline = None
    dock.settle()
    assert sorted(dock.numbers(spool)) == [1, 2, 3, 4, 5]


def test_readiness_tells_when_kafka_does_not_take_events(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    client = create_app(dock.shipper, dock.metrics).test_client()
    assert client.get("/readyz").status_code == 200
    fill(dock.spool(), 1)
    dock.kafka.is_away = True
    dock.shipper.deadline = time.monotonic()
    dock.shipper.step()
    monkeypatch.setattr(shipper_module, "UNREACHABLE_AFTER_S", 0.0)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    spools = client.get("/v1/spools").json
    assert spools is not None
    assert spools["spools"][0]["oldest_unshipped_ms"] == 1001
    metrics = client.get("/metrics").text
    assert "recount_spool_oldest_seconds" in metrics
    assert "recount_spool_bytes" in metrics


def test_a_failed_delivery_is_sent_again(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 4)
    dock.kafka.fails_with = {b'"e3"': KafkaError(KafkaError._MSG_TIMED_OUT)}
    dock.shipper.step()
    assert dock.shipper.states()[0]["shipped_seq"] == 0
    dock.kafka.fails_with = {}
    dock.settle()
    assert set(dock.numbers(spool)) == {1, 2, 3, 4}


def test_what_kafka_refuses_for_ever_is_set_aside(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 3)
    dock.kafka.fails_with = {b'"e2"': KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)}
    dock.settle()
    assert sorted(dock.numbers(spool)) == [1, 3]
    assert dock.shipper.states()[0]["shipped_seq"] == 3
    (kept,) = (dock.root / "quarantine").iterdir()
    assert b'"e2"' in kept.read_bytes()
    assert dock.count(SPOOL_QUARANTINED.name, "kafka-MSG_SIZE_TOO_LARGE") == 1


def test_what_the_client_refuses_at_once_does_not_hold_up_the_rest(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 3)
    dock.kafka.refuses = {b'"e2"': KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)}
    dock.settle()
    assert sorted(dock.numbers(spool)) == [1, 3]
    assert dock.shipper.states()[0]["shipped_seq"] == 3
    assert dock.count(SPOOL_QUARANTINED.name, "kafka-MSG_SIZE_TOO_LARGE") == 1


def test_a_partition_that_kafka_does_not_know_is_waited_for(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 3)
    dock.kafka.refuses = {b'"e2"': KafkaError(KafkaError._UNKNOWN_PARTITION)}
    dock.shipper.step()
    assert dock.shipper.states()[0]["shipped_seq"] == 0
    dock.kafka.refuses = {}
    dock.settle()
    assert set(dock.numbers(spool)) == {1, 2, 3}


def test_a_spool_that_cannot_be_read_does_not_hold_up_the_others(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted((dock.spool(), dock.spool()), key=lambda spool: spool.id)
    fill(first, 2)
    fill(second, 2)
    read = Reader.read

    def fail(reader: Reader, max_bytes: int, *, writer_lives: bool) -> Batch:
        if reader.folder == second.folder:
            raise OSError("the disk does not answer")
        return read(reader, max_bytes, writer_lives=writer_lives)

    monkeypatch.setattr(shipper_module, "UNREADABLE_REST_S", 0.0)
    monkeypatch.setattr(Reader, "read", fail)
    dock.settle()
    assert (dock.numbers(first), dock.numbers(second)) == ([1, 2], [])
    assert [state["shipped_seq"] for state in dock.shipper.states()] == [2, 0]
    monkeypatch.setattr(Reader, "read", read)
    dock.settle()
    assert (dock.numbers(first), dock.numbers(second)) == ([1, 2], [1, 2])


def test_damage_is_set_aside_counted_and_passed(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 5)
    spool.close()
    path = segment_path(spool.folder, segments(spool.folder)[0])
    size = len(frame(0, 1, b'{"id":"e1"}', 1))
    data = bytearray(path.read_bytes())
    data[size + 30] ^= 1
    path.write_bytes(data)
    dock.settle()
    assert sorted(dock.numbers(spool)) == [1, 3, 4, 5]
    assert dock.count(SPOOL_MISSING.name) == 1
    assert dock.count(SPOOL_QUARANTINED.name, "damaged") == 1
    assert [piece.lost for piece in pieces.kept(dock.root)] == [Lost(spool.id, 2, 2, "damaged")]
    assert not spool.folder.exists()


def test_a_restarted_shipper_goes_on(dock: Dock) -> None:
    spool = dock.spool()
    fill(spool, 3)
    dock.settle()
    second = dock.another()
    dock.settle(second)
    assert len(dock.kafka.log) == 3  # one shipper a spool
    dock.shipper.close()
    fill(spool, 2)
    dock.settle(second)
    assert dock.numbers(spool).count(4) == 1
    assert sorted(dock.numbers(spool)) == [1, 2, 3, 4, 5]
    assert dock.count(SPOOL_MISSING.name) == 0
    second.close()


def test_a_full_client_queue_is_waited_out(dock: Dock) -> None:
    spool = dock.spool()
    dock.kafka.room = 2
    fill(spool, 9)
    dock.settle()
    assert sorted(dock.numbers(spool)) == list(range(1, 10))


def test_old_spools_do_not_hold_up_living_ones(dock: Dock) -> None:
    dead = [dock.spool() for _ in range(3)]
    for spool in dead:
        fill(spool, 1)
        spool.close()
    living = dock.spool()
    fill(living, 1)
    dock.shipper.step()
    assert dock.numbers(living) == [1]
    assert sum(len(dock.numbers(spool)) for spool in dead) == 1


def test_a_root_that_does_not_exist_yet(tmp_path: Path) -> None:
    dock = Dock(tmp_path / "later")
    assert dock.shipper.step() == 0
    assert dock.shipper.states() == []
