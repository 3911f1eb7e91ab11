"""Visits at their limits, and what live batches may bring: late events, visitors with an open visit."""

from __future__ import annotations

import polars as pl
import pytest

from recount.counting.finding import SILENCE_MS, VISIT_MAX_MS
from recount.counting.visits import (
    ARCHIVE_SCHEMA,
    CARRY_SCHEMA,
    VISIT_END_SCHEMA,
    Cut,
    cut,
    empty_carry,
)
from recount.periods import HOUR_MS, MINUTE_MS
from tests.sequences import START, event, frame


def cut_at(*moments: int, carry: pl.DataFrame | None = None, until: int = 0) -> Cut:
    """Events of one visitor at moments (ms from START), cut until another."""
    return cut(frame(event(at=at) for at in moments), carry, START + until)


def begun(done: Cut) -> list[int]:
    """The start of each event's visit, ms from START."""
    return [at - START for at in done.events["visit_start"]]


@pytest.mark.parametrize(("gap", "visits"), [(SILENCE_MS - 1, 1), (SILENCE_MS, 2), (SILENCE_MS + 1, 2)])
def test_thirty_minutes_of_silence_break_a_visit(gap: int, visits: int) -> None:
    assert len(set(begun(cut_at(0, gap, until=gap + 1)))) == visits


def test_a_visit_never_reaches_twelve_hours() -> None:
    step = 29 * MINUTE_MS
    moments = [n * step for n in range(2 * VISIT_MAX_MS // step + 2)]
    done = cut_at(*moments, until=moments[-1] + 1)
    first_of_second = next(m for m in moments if m >= VISIT_MAX_MS)
    first_of_third = next(m for m in moments if m >= first_of_second + VISIT_MAX_MS)
    assert sorted(set(begun(done))) == [0, first_of_second, first_of_third]
    assert [end - START for end in done.ends["end_at"]] == [VISIT_MAX_MS, first_of_second + VISIT_MAX_MS]


def test_twelve_hours_are_counted_from_the_carried_start() -> None:
    carry = cut_at(0, until=1).carry
    step = 29 * MINUTE_MS
    for at in range(step, VISIT_MAX_MS, step):
        done = cut_at(at, carry=carry, until=at + 1)
        assert begun(done) == [0]
        carry = done.carry
    over = cut_at(VISIT_MAX_MS, carry=carry, until=VISIT_MAX_MS + 1)
    assert begun(over) == [VISIT_MAX_MS]
    assert over.ends["end_at"].to_list() == [START + VISIT_MAX_MS]


def test_a_visit_ends_when_its_silence_has_run_out() -> None:
    open_visit = cut_at(0, until=SILENCE_MS - 1)
    assert (open_visit.ends.height, open_visit.carry.height) == (0, 1)
    ended = cut_at(carry=open_visit.carry, until=SILENCE_MS)
    assert (ended.ends.height, ended.carry.height) == (1, 0)
    assert ended.ends["end_at"].item() == START + SILENCE_MS


def test_the_carry_goes_on_counting() -> None:
    first = cut(
        frame(
            [
                event(at=0, url="https://demo.example/in", referrer="https://a.example/", seq=1),
                event(at=1, kind="engagement", engaged_ms=700, url=None, seq=2),
            ]
        ),
        None,
        START + 2,
    )
    second = cut(
        frame(
            [event(at=5, kind="event", name="x", seq=3), event(at=6, url="https://demo.example/out", seq=4)]
        ),
        first.carry,
        START + HOUR_MS,
    )
    assert second.events.select("position", "pageviews_before", "events_before").rows() == [
        (3, 1, 0),
        (4, 1, 1),
    ]
    assert second.events["entry_url"].to_list() == ["https://demo.example/in"] * 2
    end = second.ends.row(0, named=True)
    assert (end["position"], end["pageviews"], end["events"], end["engaged_ms"]) == (4, 2, 1, 700)
    assert (end["entry_referrer"], end["exit_url"]) == ("https://a.example/", "https://demo.example/out")


def test_visitors_and_sites_do_not_mix() -> None:
    rows = [event(at=n, visitor=v, site=s) for n, (v, s) in enumerate([(1, "a"), (1, "b"), (2, "a")])]
    assert cut(frame(rows), None, START + HOUR_MS).ends.select("site", "visitor").rows() == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]


@pytest.mark.parametrize("late", [MINUTE_MS, -SILENCE_MS + 1, 0])
def test_a_late_event_joins_the_open_visit_within_reach(late: int) -> None:
    carry = cut_at(0, 2 * MINUTE_MS, until=3 * MINUTE_MS).carry
    done = cut_at(late, carry=carry, until=3 * MINUTE_MS)
    assert (begun(done), done.events["position"].to_list(), done.ends.height) == ([0], [3], 0)
    assert done.carry.select("start", "last").row(0) == (START, START + 2 * MINUTE_MS)


def test_a_very_late_event_is_a_visit_of_its_own() -> None:
    carry = cut_at(0, until=1).carry
    done = cut_at(-SILENCE_MS, MINUTE_MS, carry=carry, until=2 * MINUTE_MS)
    assert begun(done) == [-SILENCE_MS, 0]
    assert done.ends["end_at"].to_list() == [START]
    assert done.carry["last"].to_list() == [START + MINUTE_MS]


def test_a_very_late_event_leaves_the_open_visit_alone() -> None:
    carry = cut_at(0, until=1).carry
    done = cut_at(-HOUR_MS, carry=carry, until=2)
    assert done.carry.equals(carry)
    assert done.ends["start"].to_list() == [START - HOUR_MS]


@pytest.mark.parametrize("carry", [None, empty_carry()])
def test_nothing_gives_nothing(carry: pl.DataFrame | None) -> None:
    done = cut(frame([]), carry, START)
    assert done.events.schema == pl.Schema(ARCHIVE_SCHEMA)
    assert done.ends.schema == pl.Schema(VISIT_END_SCHEMA)
    assert done.carry.schema == pl.Schema(CARRY_SCHEMA)


def test_events_of_one_moment_go_by_their_number() -> None:
    rows = [event(at=0, seq=n, url=f"/{n}") for n in (11, 9, 10)]
    done = cut(frame(rows), None, START + 1)
    assert done.events["seq"].to_list() == [9, 10, 11]
    assert done.carry["exit_url"].to_list() == ["/11"]
