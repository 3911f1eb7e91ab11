"""What lies in spools and not in Kafka is told by hour and site, whatever is shipped meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge import pieces
from edge import unshipped as module
from edge.ship import create_app
from edge.shipper import Shipper
from edge.spool import Spool
from edge.spool_format import segments
from edge.spool_reader import Reader
from edge.unshipped import Place, unshipped
from orchestration.spools import Unshipped as Asked
from recount.ids import new_id
from recount.metrics import Metrics
from recount.periods import HOUR_MS
from tests.made import TS, value
from tests.unit.edge.fake_producer import FakeProducer
from tests.unit.edge.test_pieces import payload

HOUR, NEXT = "2026-09-21T15", "2026-09-21T16"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path, max_bytes=1 << 20)
    yield made
    made.close()


def fill(spool: Spool, *events: tuple[str, int]) -> None:
    """(site, ms after the hour's start), received at once."""
    for site, ts in events:
        spool.append(0, TS + ts, payload(site=site, ts=TS + ts))


def test_what_was_received_before_is_told_by_hour_and_site(spool: Spool, tmp_path: Path) -> None:
    fill(spool, ("a", 0), ("b", 1), ("a", HOUR_MS - 1), ("a", HOUR_MS), ("a", HOUR_MS + 9))
    found = unshipped(tmp_path, TS + HOUR_MS + 5)
    assert found.waiting == [
        Place(spool.id, HOUR, "a", [1, 3]),
        Place(spool.id, HOUR, "b", [2]),
        Place(spool.id, NEXT, "a", [4]),
    ]
    assert (found.unnamed, found.set_aside) == (0, [])


def test_what_is_shipped_is_not_told(spool: Spool, tmp_path: Path) -> None:
    fill(spool, ("a", 0), ("a", 1))
    reader = Reader(spool.folder)
    reader.commit(reader.read(1 << 20, writer_lives=True).end)
    assert unshipped(tmp_path, TS + HOUR_MS).waiting == []
    fill(spool, ("a", 2))
    assert unshipped(tmp_path, TS + HOUR_MS).waiting == [Place(spool.id, HOUR, "a", [3])]
    reader.close()


def test_every_segment_is_looked_into(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=40_000)
    fill(spool, *(("a", n) for n in range(100)))
    assert len(segments(spool.folder)) > 2
    (place,) = unshipped(tmp_path, TS + HOUR_MS).waiting
    assert place.seqs == list(range(1, 101))
    spool.close()
    assert unshipped(tmp_path, TS + HOUR_MS).waiting == [place], "also when its writer is gone"


def test_beyond_a_limit_only_the_number_is_told(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_MAX", 3)
    fill(spool, *(("a", n) for n in range(10)))
    found = unshipped(tmp_path, TS + HOUR_MS)
    assert (found.waiting[0].seqs, found.unnamed) == ([1, 2, 3], 7)


def test_what_is_no_event_is_counted_all_the_same(spool: Spool, tmp_path: Path) -> None:
    spool.append(0, TS, b'{"id":"x"}')
    assert unshipped(tmp_path, TS + 1).unnamed == 1


def test_what_is_in_quarantine_is_told_apart(tmp_path: Path) -> None:
    spool = new_id()
    pieces.keep(tmp_path, "kafka-INVALID_RECORD", spool, 9, 9, value(spool=spool, seq=9))
    assert unshipped(tmp_path, TS).set_aside == [Place(spool, HOUR, "demo", [9])]


def test_the_shipper_answers_what_the_cut_asks(spool: Spool, tmp_path: Path) -> None:
    fill(spool, ("a", 0))
    pieces.keep(tmp_path, "damaged", spool.id, 7, 8, b"???")
    shipper = Shipper(tmp_path, lambda: FakeProducer(), Metrics())  # type: ignore[arg-type, return-value]
    client = create_app(shipper, Metrics()).test_client()
    body = client.get(f"/v1/spools/unshipped?before_ms={TS + 1}").data
    found = msgspec.json.decode(body, type=Asked)
    assert [place.seqs for place in found.waiting] == [[1]]
    assert client.get(f"/v1/spools/unshipped?before_ms={TS}").json == {
        **{"waiting": [], "unnamed": 0, "set_aside": []}
    }
    told = client.get("/v1/spools").json
    assert told is not None
    assert told["quarantined"] == [{"spool": spool.id, "first": 7, "last": 8, "cause": "damaged"}]
