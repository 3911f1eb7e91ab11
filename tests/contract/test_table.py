"""The behaviour that every table has, whatever keeps it."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from recount.errors import Conflict, Unavailable
from recount.settings import Settings
from recount.store.table import ITEM_MAX_BYTES, Item, Table
from recount.store.tables import open_tables
from tests.contract import tables


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


def item(pk: str, sk: str, **more: object) -> Item:
    return {"pk": pk, "sk": sk, **more}


def sort_keys(items: object) -> list[str]:
    return [i["sk"] for i in items]  # type: ignore[attr-defined]


def test_every_type_comes_back_as_it_went_in(table: Table) -> None:
    stored = item(
        "a",
        "b",
        text="ä",
        empty="",
        number=-(2**62),
        flag=False,
        data=bytes(range(256)),
        nothing=None,
        many=["x", 1, {"y": b"z"}],
        nested={"2026-09-21T15": 3, "none": {}},
    )
    table.put(stored)
    read = table.get(("a", "b"), consistent=True)
    assert read == stored
    assert read is not None
    assert (type(read["number"]), type(read["flag"]), type(read["data"])) == (int, bool, bytes)


def test_an_item_that_is_not_there(table: Table) -> None:
    assert table.get(("a", "b")) is None
    table.delete(("a", "b"))
    assert list(table.query("a")) == []


def test_put_replaces_the_whole_item(table: Table) -> None:
    table.put(item("a", "b", old=1))
    table.put(item("a", "b", new=2))
    assert table.get(("a", "b"), consistent=True) == item("a", "b", new=2)


def test_put_if_absent_takes_only_the_first(table: Table) -> None:
    table.put(item("a", "b", n=1), if_absent=True)
    with pytest.raises(Conflict):
        table.put(item("a", "b", n=2), if_absent=True)
    table.put(item("a", "c", n=3), if_absent=True)
    assert table.get(("a", "b"), consistent=True) == item("a", "b", n=1)


def test_put_if_equals_needs_every_value(table: Table) -> None:
    table.put(item("a", "b", n=1, name="x"))
    table.put(item("a", "b", n=2, name="x"), if_equals={"n": 1, "name": "x"})
    with pytest.raises(Conflict):
        table.put(item("a", "b", n=3), if_equals={"n": 1})
    with pytest.raises(Conflict):
        table.put(item("a", "b", n=3), if_equals={"n": 2, "name": "y"})
    with pytest.raises(Conflict):
        table.put(item("a", "absent", n=3), if_equals={"n": 2})
    assert table.get(("a", "b"), consistent=True) == item("a", "b", n=2, name="x")


def test_query_is_ordered_and_bounded_on_both_sides(table: Table) -> None:
    table.put_many([item("a", f"{n:02d}") for n in (3, 1, 2, 5, 4)] + [item("other", "02")])
    assert sort_keys(table.query("a", consistent=True)) == ["01", "02", "03", "04", "05"]
    assert sort_keys(table.query("a", start="02", end="04")) == ["02", "03", "04"]
    assert sort_keys(table.query("a", start="04")) == ["04", "05"]
    assert sort_keys(table.query("a", end="02")) == ["01", "02"]
    assert sort_keys(table.query("a", descending=True, limit=2)) == ["05", "04"]
    assert sort_keys(table.query("a", limit=0)) == []
    assert sort_keys(table.query("a", start="9")) == []


def test_a_query_goes_on_past_one_page(table: Table) -> None:
    data = os.urandom(ITEM_MAX_BYTES - 1000)
    table.put_many(item("a", f"{n:02d}", data=data) for n in range(7))
    read = list(table.query("a"))
    assert sort_keys(read) == [f"{n:02d}" for n in range(7)]
    assert all(i["data"] == data for i in read)
    assert sort_keys(table.query("a", limit=5)) == [f"{n:02d}" for n in range(5)]


def test_any_number_of_items_at_once(table: Table) -> None:
    table.put_many(item("a", f"{n:03d}", n=n) for n in range(130))
    keys = [("a", f"{n:03d}") for n in range(140)] + [("a", "000")]
    found = table.get_many(keys)
    assert sorted(found) == [("a", f"{n:03d}") for n in range(130)]
    assert found["a", "129"]["n"] == 129
    assert sorted(sort_keys(table.scan())) == [f"{n:03d}" for n in range(130)]
    assert table.get_many([]) == {}
    table.put_many([])


def test_deleting_removes_one_item(table: Table) -> None:
    table.put_many([item("a", "1"), item("a", "2")])
    table.delete(("a", "1"))
    assert sort_keys(table.query("a", consistent=True)) == ["2"]


def test_what_was_read_can_be_changed_without_changing_the_table(table: Table) -> None:
    table.put(item("a", "b", n=1))
    read = table.get(("a", "b"), consistent=True)
    assert read is not None
    read["n"] = 2
    assert table.get(("a", "b"), consistent=True) == item("a", "b", n=1)


def test_a_database_that_is_away_is_unavailable() -> None:
    away = open_tables(replace(Settings(), dynamodb="http://127.0.0.1:9")).raw
    with pytest.raises(Unavailable):
        away.get(("a", "b"))


def test_many_items_are_removed_at_once(table: Table) -> None:
    table.put_many({"pk": "p", "sk": f"{n:03d}"} for n in range(60))
    table.delete_many([("p", f"{n:03d}") for n in range(1, 60)] + [("p", "none")])
    assert [item["sk"] for item in table.query("p", consistent=True)] == ["000"]
    table.delete_many([])
