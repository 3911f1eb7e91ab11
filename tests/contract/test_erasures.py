"""Orders, tombstones, and the raw items that they rewrite, on a table in memory and on a real one."""

from __future__ import annotations

from typing import Any

import pytest

from recount.columns import positions
from recount.erasing.matching import Effect
from recount.erasing.tombstone import Tombstone
from recount.errors import Conflict, InvalidInput, Unavailable
from recount.event import ERASED
from recount.periods import hour_of
from recount.settings import Settings
from recount.store.catalog import Site
from recount.store.erasures import Erasure, Erasures, Line, tombstone_of
from recount.store.raw import RawStore
from recount.store.table import Table
from recount.store.tombstones import Tombstones, remembered
from tests import made
from tests.contract import tables
from tests.made import TS

VISITOR = 2**64 - 1  # does not fit what is signed


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


def ordered(name: str = "20261125-1700-aaaa", **given: Any) -> Erasure:
    fields: dict[str, Any] = {"site": Site(id="demo", domain="demo.example"), "what": "visitor"}
    fields |= {"subject": "visitor", "reason": "asked", "requested_by": "someone", "requested_ms": 5}
    return Erasure(id=name, **(fields | {"before_ms": TS * 2, "expires_ms": TS * 3} | given))


def test_orders_are_kept_and_found_by_how_they_begin(table: Table) -> None:
    store = Erasures(table)
    first, second = ordered(), ordered("20261125-1701-bbbb", requested_ms=6)
    store.add(first)
    store.add(second)
    assert store.all() == [second, first]
    assert store.get("20261125-1701") == second
    for name in ("20261125", "2027", ""):
        with pytest.raises(InvalidInput):
            store.get(name)
    with pytest.raises(Conflict):
        store.add(first)
    with pytest.raises(InvalidInput, match="say why"):
        store.add(ordered("c", reason=" "))


def test_one_run_at_a_time_works_on_an_order(table: Table) -> None:
    store = Erasures(table)
    store.add(ordered())
    report = [
        Line(store="raw items", done="rewritten", before=3, after=1),
        Line(store="kafka", done="", after=8, until_ms=9),
    ]
    changed = store.change(store.get("2026"), spans=[("2026-11-22T03", "2026-11-22T05")], report=report)
    assert store.get("2026") == changed
    assert (len(changed.hours), changed.left) == (3, 1)
    with pytest.raises(Conflict, match="another run"):
        store.change(ordered(), step="raw")


def test_tombstones_are_in_force_until_they_expire(table: Table) -> None:
    now = [TS]
    store = Tombstones(table, lambda: now[0])
    tombstone = tombstone_of(ordered(), visitor=VISITOR)
    store.put(tombstone)
    store.put(tombstone)
    assert store.active() == [tombstone]
    assert store.get(tombstone.id) == tombstone
    assert store.remove_expired() == 0
    now[0] = tombstone.expires_ms
    assert store.active() == []
    assert store.remove_expired() == 1
    assert store.get(tombstone.id) is None


def test_raw_items_are_rewritten_in_place_and_stay_as_many(table: Table) -> None:
    plain = RawStore(table, Settings())
    values = [
        made.value(id=f"e{n}", seq=n, visitor=f"{VISITOR if n % 2 else n:016x}", url=f"/p/{n}")
        for n in range(6)
    ]
    plain.write(plain.prepare(values, positions("events", 1, range(6)), TS), lambda _: None)
    buried = [tombstone_of(ordered(), visitor=VISITOR)]
    store, hour = RawStore(table, Settings(), lambda: buried), hour_of(TS)
    assert store.read(hour)["kind"].to_list().count(ERASED) == 3, "before anything is rewritten"
    assert store.erase(hour, dry_run=True).events == Effect(erased=3)
    assert plain.read(hour)["kind"].to_list().count(ERASED) == 0
    assert store.erase(hour).items == 1
    assert store.erase(hour).items == 0
    left = plain.read(hour)
    assert sorted(left["offset"].to_list()) == list(range(6))
    assert sorted(left["url"].drop_nulls().to_list()) == ["/p/0", "/p/2", "/p/4"]
    store.write(store.prepare(values, positions("events", 1, range(6)), TS), lambda _: None)
    assert plain.read(hour)["kind"].to_list().count(ERASED) == 3, "a redelivery does not write it back"
    assert sum(receipt.hours[hour] for receipt in store.receipts(("events", 1))) == 6


def test_who_reads_all_the_time_asks_now_and_then() -> None:
    answers: list[list[Tombstone] | Unavailable] = [
        Unavailable("dynamodb", "away"),
        [],
        Unavailable("dynamodb", "away"),
    ]
    clock = [0.0]

    def read() -> list[Tombstone]:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    buried = remembered(read, patient=True, kept_s=5, clock=lambda: clock[0])
    with pytest.raises(Unavailable):
        buried()
    assert buried() == []
    clock[0] = 6
    assert buried() == [], "what was known goes on"
    assert answers == []
    strict = remembered(lambda: _raise(), kept_s=5, clock=lambda: clock[0])
    for _ in range(2):
        with pytest.raises(Unavailable):
            strict()


def _raise() -> list[Tombstone]:
    raise Unavailable("dynamodb", "away")


def test_the_marks_of_a_sites_dead_letters_are_forgotten(table: Table) -> None:
    store, hour = RawStore(table, Settings()), hour_of(TS)
    values = [made.value(site=site, visitor="nobody", seq=n) for n, site in enumerate(("demo", "b", "demo"))]
    store.write(store.prepare(values, positions("events", 1, range(3)), TS), lambda _: None)
    store.forget_letters(hour, "demo")
    assert store.quarantined(hour)["site"].to_list() == ["b"]
    store.forget_letters(hour, "b")
    assert store.quarantined(hour).is_empty()
