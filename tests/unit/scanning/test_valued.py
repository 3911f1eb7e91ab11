"""Rows by the values of their dimensions: the same however facts are numbered and remembered."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.querying.query import Filter
from recount.rules import Goal
from recount.scanning import dimensions, valued
from recount.scanning.dimensions import Lookup
from recount.scanning.valued import Rows, labelled
from tests.property.test_visits import LONG_AFTER
from tests.sequences import frame
from tests.unit.scanning.conftest import ROWS, SITES

DIMENSIONS = ("entry_page", "hostname", "source", "browser", "country", "verdict", "page", "event", "goal")
INTERPRETER = Interpreter()


def events(site: str) -> pl.DataFrame:
    whole = cut(frame(ROWS), None, LONG_AFTER).events
    return whole.filter(whole["site"] == site)


def counts(rows: Rows, dimension: str) -> Counter[str]:
    found = rows.valued(dimension)
    return Counter(found.value.values.gather(found.value.codes).to_list())


@pytest.mark.parametrize("site", ["demo", "ruled"])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_what_does_not_fit_the_memory_is_looked_up_again(
    site: str, dimension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = events(site)
    wanted = counts(Rows.of(whole, Lookup(SITES[site], INTERPRETER)), dimension)
    assert wanted
    for most in (0, 1, 3):
        monkeypatch.setattr(dimensions, "KNOWN_MAX", most)
        lookup = Lookup(SITES[site], INTERPRETER)
        parts = (Rows.of(whole[first : first + 7], lookup) for first in range(0, whole.height, 7))
        assert sum((counts(part, dimension) for part in parts), Counter()) == wanted


def test_a_row_has_a_label_for_each_of_its_values() -> None:
    signups = [row | {"kind": "event", "name": "signup"} for row in ROWS if row["site"] == "demo"][:3]
    made = cut(frame(signups), None, LONG_AFTER).events
    goals = tuple(Goal(name=name, event="signup") for name in ("signed up", "came in"))
    rows = Rows.of(made, Lookup(replace(SITES["demo"], goals=goals), INTERPRETER))
    found, labels = labelled(rows, ("goal", "event"), "+".join)
    assert Counter(labels) == {"signed up+signup": 3, "came in+signup": 3}
    assert found.at.tolist() == [0, 0, 1, 1, 2, 2]
    none, _ = labelled(rows.fitting([Filter("event", "not", ("signup",))]), ("goal", "event"), "+".join)
    assert (len(none), none.gathered(["ts"]).height) == (0, 0)


def test_numbers_are_told_apart_alike_whether_few_or_many_are_possible() -> None:
    numbers = np.random.default_rng(1).integers(0, 50, 200)
    for below in (50, 10**9):
        distinct, places = valued._numbered(numbers, below)
        assert distinct.tolist() == sorted(set(numbers.tolist()))
        assert distinct[places].tolist() == numbers.tolist()
