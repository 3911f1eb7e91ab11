from __future__ import annotations

from typing import Any

import pytest

from recount.errors import Conflict, InvalidInput
from recount.store.reprocessings import HourDone, Reprocessing, Reprocessings
from tests.contract import tables


@pytest.fixture(params=tables.KINDS)
def store(request: pytest.FixtureRequest) -> Reprocessings:
    return Reprocessings(tables.make(request))


def asked(name: str = "one", **given: Any) -> Reprocessing:
    fields: dict[str, Any] = {"spans": [("2026-11-22T03", "2026-11-22T07")], "source": "archive"}
    fields |= {"reason": "a bug", "requested_by": "someone", "requested_ms": 5}
    return Reprocessing(id=name, **(fields | given))


def done(hour: str, generation: str = "g") -> HourDone:
    return HourDone(
        hour=hour,
        base="b",
        base_root="r",
        generation=generation,
        archive="a",
        logic_version=1,
        run_id="",
        made_ms=1,
    )


def test_a_request_is_kept_and_listed_newest_first(store: Reprocessings) -> None:
    store.add(asked("one", requested_ms=1, sites=["demo"]))
    store.add(asked("two", requested_ms=2))
    assert [request.id for request in store.all()] == ["two", "one"]
    assert store.get("one").sites == ["demo"]
    assert store.find("three") is None
    with pytest.raises(InvalidInput, match="recount reprocess list"):
        store.get("three")
    with pytest.raises(Conflict):
        store.add(asked("one"))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"spans": [("2026-11-23T00", "2026-11-22T00")]}, "hours"),
        ({"spans": [("today", "today")]}, "hours"),
    ],
)
def test_a_bad_request_is_refused_by_field(store: Reprocessings, given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.add(asked(**given))
    assert caught.value.field == field


def test_runs_of_one_request_widen_it(store: Reprocessings) -> None:
    assert store.join(asked()).spans == [("2026-11-22T03", "2026-11-22T07")]
    widened = store.join(asked(spans=[("2026-11-22T06", "2026-11-22T09")], reason="another"))
    assert widened.spans == [("2026-11-22T03", "2026-11-22T09")]
    widened = store.join(asked(spans=[("2026-11-23T06", "2026-11-23T06")]))
    assert (widened.first, widened.last, len(widened.hours)) == ("2026-11-22T03", "2026-11-23T06", 8)
    assert store.get("one") == widened
    assert widened.reason == "a bug"


def test_of_two_changes_of_one_state_the_second_is_refused(store: Reprocessings) -> None:
    store.add(asked())
    seen = store.get("one")
    store.change(seen, state="discarded")
    with pytest.raises(Conflict):
        store.change(seen, state="published")
    with pytest.raises(InvalidInput, match="is discarded"):
        store.open("one")
    with pytest.raises(InvalidInput, match="is discarded"):
        store.join(asked())


def test_a_run_keeps_the_root_that_it_began_with(store: Reprocessings) -> None:
    assert store.begin("one", "run", "root-1") == "root-1"
    assert store.begin("one", "run", "root-2") == "root-1"
    assert store.begin("one", "run-2", "root-2") == "root-2"


def test_hours_are_recorded_one_by_one_and_replaced(store: Reprocessings) -> None:
    store.put_hours("one", [done("2026-11-22T04"), done("2026-11-22T03")])
    store.put_hours("one", [done("2026-11-22T04", "newer")])
    store.put_hours("two", [done("2026-11-22T05")])
    assert {h: d.generation for h, d in store.hours("one").items()} == {
        "2026-11-22T03": "g",
        "2026-11-22T04": "newer",
    }
    assert store.hours("three") == {}
