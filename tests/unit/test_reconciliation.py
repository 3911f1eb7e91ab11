"""Live against published: each difference has a reason, and what has none is told."""

from __future__ import annotations

from typing import Any

import pytest

from recount.reconciliation import Compared, Explained, Side, aside, explain, unexplained

PUBLISHED = Side(visitors=10, visits=12, pageviews=90, events=10, counted=100, set_aside=20)


def side(**changed: int) -> Side:
    names = Side.__struct_fields__
    return Side(**{n: getattr(PUBLISHED, n) + changed.get(n, 0) for n in names})


def found(live: Side, late_max: int = 0, published: Side = PUBLISHED, **given: Any) -> Explained:
    return explain(Compared(live, published, **given), late_max)


def names(explained: Explained) -> dict[str, int]:
    return {reason.name: reason.by for reason in explained.reasons}


def test_the_same_numbers_need_no_reason() -> None:
    assert found(PUBLISHED) == Explained((), 0)


@pytest.mark.parametrize(
    ("live", "given", "reasons"),
    [
        (side(counted=3), {"late_max": 5}, {"late": 3}),
        (side(counted=3), {"ledger": {"duplicate": 3}}, {"duplicates": 3}),
        (side(counted=5), {"ledger": {"duplicate": 3}, "late_max": 9}, {"duplicates": 3, "late": 2}),
        (side(counted=4, set_aside=-4), {}, {"bots": 4}),
        (side(counted=-4, set_aside=4), {}, {"bots": -4}),
        (side(counted=-7), {"imported": 9}, {"imported": -7}),
        (side(visits=1), {}, {"visits": 1}),
        (side(visits=-2), {}, {"visits": -2}),
    ],
)
def test_every_reason_covers_what_it_can(live: Side, given: dict[str, Any], reasons: dict[str, int]) -> None:
    explained = found(live, **given)
    assert (names(explained), explained.unexplained) == (reasons, 0)


@pytest.mark.parametrize(
    ("live", "given", "rest"),
    [
        (side(counted=3), {}, 3),
        (side(counted=-3), {"ledger": {"duplicate": 3}, "late_max": 3}, 3),
        (side(counted=9), {"ledger": {"duplicate": 3}, "late_max": 2}, 4),
        (side(visitors=2), {}, 2),
        (side(visitors=2, counted=1), {"late_max": 1}, 1),
    ],
)
def test_what_no_reason_covers_is_unexplained(live: Side, given: dict[str, Any], rest: int) -> None:
    assert found(live, **given).unexplained == rest


def test_estimates_may_differ_by_their_error() -> None:
    published, live = Side(visitors=50_000), Side(visitors=51_000)
    explained = found(live, published=published)
    assert (names(explained), explained.unexplained) == ({"sketch": 1000}, 0)
    assert found(Side(visitors=56_000), published=published).unexplained > 0


def test_words() -> None:
    (reason,) = found(side(counted=1), late_max=1).reasons
    assert reason.words == "1 event arrived after the cut and will be added"
    (visits,) = found(side(visits=2)).reasons
    assert visits.words == "2 visits joined by events that arrived out of order"
    line = {"bot": 1200, "duplicate": 1, "pending": 0}
    assert aside(Compared(PUBLISHED, PUBLISHED, line)) == ["1,200 by bots", "1 duplicates"]


def test_the_sites_with_most_unexplained_come_first() -> None:
    sites = {
        "a": Compared(side(counted=1), PUBLISHED),
        "b": Compared(PUBLISHED, PUBLISHED),
        "c": Compared(side(counted=5), PUBLISHED),
    }
    assert list(unexplained(sites, 0).items()) == [("c", 5), ("a", 1)]
    assert unexplained(sites, 1) == {"c": 4}
