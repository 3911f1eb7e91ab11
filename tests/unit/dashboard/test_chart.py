"""The geometry of the chart."""

from __future__ import annotations

import pytest

from dashboard_svc import chart


@pytest.mark.parametrize(
    ("largest", "top"),
    [(0, 4), (1, 4), (4, 4), (5, 8), (9, 20), (37, 40), (40, 40), (41, 80), (780, 800), (1001, 2000)],
)
def test_an_axis_of_counts_ends_on_a_round_number_above(largest: float, top: float) -> None:
    assert chart.axis_top([1, None, largest]) == top
    assert top >= largest


def test_an_axis_of_shares_ends_at_one() -> None:
    assert chart.axis_top([0.9], at_most=1.0) == 1.0
    assert chart.axis_top([0.11], at_most=1.0) == pytest.approx(0.2)
    assert chart.axis_top([None], at_most=1.0) > 0


def test_an_axis_of_time_has_steps_that_clocks_have() -> None:
    assert chart.axis_top([200], seconds=True) == 240
    assert chart.axis_top([0], seconds=True) == 20
    assert chart.axis_top([200_000], seconds=True) >= 200_000


def test_what_still_moves_is_dashed_and_joined_to_the_rest() -> None:
    drawn = chart.draw([0, 2, 4], [], 2, 4)
    assert drawn.solid == "M0 100L500 50"
    assert drawn.dashed == "M500 50L1000 0"
    assert chart.draw([0, 2, 4], [], 3, 4).dashed == ""
    assert chart.draw([0, 2, 4], [], 0, 4).solid == ""


def test_unknown_values_are_gaps_and_lonely_points_are_dots() -> None:
    drawn = chart.draw([1, 2, None, 3, None], [], 5, 4)
    assert drawn.solid == "M0 75L250 50"
    assert drawn.dots == ((75.0, 25.0),)
    assert drawn.ys == (75.0, 50.0, None, 25.0, None)


def test_one_point_lies_in_the_middle() -> None:
    assert chart.draw([3], [], 1, 4).dots == ((50.0, 25.0),)


def test_nothing_at_all() -> None:
    drawn = chart.draw([], [], 0, 4)
    assert (drawn.solid, drawn.area, drawn.xs) == ("", "", ())


def test_labels_are_few_and_lie_under_their_points() -> None:
    ticks = chart.spaced([str(n) for n in range(30)])
    assert len(ticks) == 8
    assert (ticks[0].at, ticks[0].text) == (0, "0")
    assert ticks[1].at == pytest.approx(4 * 100 / 29, abs=0.01)
    assert [tick.text for tick in chart.spaced(["a", "b"])] == ["a", "b"]


def test_stretches_reach_half_a_step_beyond_their_points() -> None:
    first, last = chart.stretches(["a", "", "b", "b", ""])
    assert (first.key, first.first, first.last, first.x, first.width) == ("a", 0, 0, 0.0, 12.5)
    assert (last.key, last.first, last.last, last.x, last.width) == ("b", 2, 3, 37.5, 50.0)
    assert [(s.x, s.width) for s in chart.stretches(["a"])] == [(0.0, 100.0)]
    assert chart.stretches(["", ""]) == []
