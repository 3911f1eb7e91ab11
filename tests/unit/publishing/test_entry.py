from __future__ import annotations

from recount.store.manifests import Entry
from recount.store.provenance import Provenance


def made(generation: str, **given: object) -> Provenance:
    fields: dict[str, object] = {"kind": "hour", "period": "2026-11-22T23", "made_ms": 1, "logic_version": 1}
    return Provenance(generation=generation, **(fields | given))  # type: ignore[arg-type]


def test_the_most_common_generation_is_the_default() -> None:
    generations = {0: "a", 5: "a", 63: "b", 1023: "a"}
    entry = Entry.of(generations, made("b"))
    assert (entry.default, entry.overrides, entry.confirmed) == ("a", {63: "b"}, "b")
    assert entry.generations() == generations
    assert {slot: entry.generation(slot) for slot in generations} == generations
    assert entry.generation(1) is None
    assert entry.generation(2000) is None


def test_a_period_without_data_is_published_all_the_same() -> None:
    entry = Entry.of({}, made("a", open_until=7, carry_in="in", carry_out="out"))
    assert entry.generations() == {}
    assert entry.generation(0) is None
    assert (entry.confirmed, entry.open_until, entry.carry_in, entry.carry_out) == ("a", 7, "in", "out")
