"""The Lambda that stores raw batches, on payloads as AWS sends them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from lambdas import payload
from lambdas.store_batches import App, store
from recount.errors import InvalidInput, Unavailable
from recount.quarantine import DeadLetter
from recount.settings import Settings
from recount.store.memory_table import MemoryTable
from recount.store.raw import RawStore
from recount.store.table import Item
from tests.made import TS
from tests.unit.lambdas.samples import FOLDER, sample

NOW = TS + 10_000


class Stage:
    """The Lambda with tables in memory and a list for dead letters."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.raw = RawStore(self.table, Settings())
        self.dead: list[DeadLetter] = []
        self.app = App(self.raw, self.dead.extend, lambda: NOW)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("kafka_*.json")), ids=lambda path: path.stem)
def test_every_record_of_a_payload_is_found(path: Path) -> None:
    given = sample(path.stem)
    found = payload.records(given)
    flat = [record for part in given["records"].values() for record in part]
    assert found.places["offset"].to_list() == [record["offset"] for record in flat]
    assert len(found.values) == len(found.appended_ms) == len(flat)


def test_another_payload_is_refused() -> None:
    with pytest.raises(InvalidInput):
        payload.records({"Records": []})


def test_events_are_stored_and_receipted() -> None:
    stage = Stage()
    assert store(stage.app, sample("kafka_events")) == {"events": 3, "items": 2, "quarantined": 0}
    events = stage.raw.read("2026-09-21T15").sort("partition", "offset")
    assert events["id"].to_list() == ["a", "b", "c"]
    assert stage.raw.missing(("events", 0), 15, 17) == []
    assert stage.raw.missing(("events", 3), 7, 8) == []


def test_an_import_is_stored_under_the_hours_of_its_lines() -> None:
    stage = Stage()
    store(stage.app, sample("kafka_imports"))
    (receipt,) = stage.raw.receipts(("imports", 1))
    assert receipt.hours == {"2015-05-17T10": 1, "2015-05-17T11": 1, "2015-05-17T12": 1}
    assert stage.raw.read("2015-05-17T11")["id"].to_list() == ["i1"]


def test_poison_is_quarantined_in_full_and_the_rest_is_stored() -> None:
    stage = Stage()
    assert store(stage.app, sample("kafka_poison")) == {"events": 2, "items": 1, "quarantined": 3}
    assert [(d.offset, d.reason) for d in stage.dead] == [
        (16, "bad_json"),
        (17, "unknown_version"),
        (18, "bad_json"),
    ]
    assert stage.dead[0].value == b'{"v":1,'
    (receipt,) = stage.raw.receipts(("events", 0))
    assert (receipt.first, receipt.next, sorted(receipt.quarantined)) == (15, 20, [16, 17, 18])


class Failing(MemoryTable):
    """Takes raw items but no receipts, as a table that goes away in between."""

    def put(self, item: Item, **conditions: object) -> None:
        if item["pk"].startswith("receipt#"):
            raise Unavailable("dynamodb", "gone")
        super().put(item)


def test_without_the_database_the_invocation_fails_and_a_repeat_completes_it() -> None:
    stage = Stage()
    broken = App(RawStore(Failing(), Settings()), stage.dead.extend, lambda: NOW)
    with pytest.raises(Unavailable):
        store(broken, sample("kafka_events"))
    store(stage.app, sample("kafka_events"))
    store(stage.app, sample("kafka_events"))
    assert stage.raw.read("2026-09-21T15").height == 3


def test_no_receipt_promises_a_record_that_could_not_be_quarantined() -> None:
    stage = Stage()

    def away(_: Sequence[DeadLetter]) -> None:
        raise Unavailable("kafka", "gone")

    with pytest.raises(Unavailable):
        store(App(stage.raw, away, lambda: NOW), sample("kafka_poison"))
    assert stage.raw.missing(("events", 0), 15, 20) == [(15, 20)]
