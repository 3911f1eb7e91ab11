from __future__ import annotations

import pytest

from recount.errors import Conflict, Unavailable
from recount.store.manifests import Entry, Manifest, Manifests, Publication, Root
from recount.store.provenance import ArchiveSource, Provenance
from recount.store.table import Table
from tests.contract import tables

HOUR = "hour/2026-11-22T23"


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


def made(generation: str, **given: object) -> Provenance:
    fields: dict[str, object] = {"kind": "hour", "period": "2026-11-22T23", "made_ms": 1, "logic_version": 1}
    return Provenance(generation=generation, **(fields | given))  # type: ignore[arg-type]


def move(manifests: Manifests, expected: Root | None, name: str) -> Root:
    manifest = Manifest(
        month="2026-11", id=f"manifest-{name}", periods={HOUR: Entry.of({3: name}, made(name))}
    )
    parent = None if expected is None else expected.id
    root = Root(id=name, months={"2026-11": manifest.id}, at_ms=5, parent=parent)
    record = Publication(id=name, parent=parent, at_ms=5, reason="test", run_id="r")
    manifests.move(expected, root, [manifest], record)
    return root


def test_nothing_is_published_at_first(table: Table) -> None:
    manifests = Manifests(table)
    assert manifests.current() is None
    assert manifests.entries(None, [HOUR]) == {}
    assert list(manifests.history()) == []


def test_a_move_shows_the_new_root_to_every_reader(table: Table) -> None:
    root = move(Manifests(table), None, "r1")
    reader = Manifests(table)
    assert reader.current() == root
    entries = reader.entries(root, [HOUR, "day/2026-11-22", "hour/1999-01-01T00"])
    assert {key: entry.generation(3) for key, entry in entries.items()} == {HOUR: "r1"}


def test_only_one_of_two_moves_from_the_same_root_succeeds(table: Table) -> None:
    manifests = Manifests(table)
    first = move(manifests, None, "r1")
    move(manifests, first, "r2")
    with pytest.raises(Conflict):
        move(Manifests(table), first, "r3")
    with pytest.raises(Conflict):
        move(Manifests(table), None, "r4")
    assert [root.id for root in Manifests(table).history()] == ["r2", "r1"]


def test_a_reader_keeps_what_its_root_shows(table: Table) -> None:
    manifests = Manifests(table)
    first = move(manifests, None, "r1")
    move(manifests, first, "r2")
    for reader in (manifests, Manifests(table)):
        assert reader.entries(first, [HOUR])[HOUR].generation(3) == "r1"
        assert reader.entries(reader.current(), [HOUR])[HOUR].generation(3) == "r2"


def test_publications_are_on_record(table: Table) -> None:
    manifests = Manifests(table)
    move(manifests, None, "r1")
    assert manifests.publication("r1").reason == "test"
    with pytest.raises(Unavailable):
        manifests.publication("never")


def test_provenance_keeps_all_but_what_grows_with_the_sites(table: Table) -> None:
    manifests = Manifests(table)
    source = ArchiveSource(hour="2026-11-22T23", generation="a1", cut={"events/00003": 17})
    whole = made("g1", archive=source, sites={"s": 5}, rules={"s": 2}, children={3: {HOUR: "g0"}})
    manifests.put_provenance([whole])
    found = Manifests(table).provenance([(HOUR, "g1")])
    assert found == {(HOUR, "g1"): whole.head}
    assert found[HOUR, "g1"].archive == source
    assert found[HOUR, "g1"].children == {3: {HOUR: "g0"}}


def test_a_large_manifest_is_cut_into_items(table: Table) -> None:
    periods = {
        f"hour/2026-11-{day:02d}T{hour:02d}": Entry.of(
            {slot: f"{day * 7919 + hour * 104729 + slot * 15485863 + 2**60:x}" * 2 for slot in range(64)},
            made("g"),
        )
        for day in range(1, 31)
        for hour in range(24)
    }
    root = Root(id="r1", months={"2026-11": "m1"}, at_ms=1)
    record = Publication(id="r1", parent=None, at_ms=1, reason="", run_id="")
    Manifests(table).move(None, root, [Manifest(month="2026-11", id="m1", periods=periods)], record)
    assert Manifests(table).manifest("2026-11", "m1").periods == periods
