from __future__ import annotations

from recount.periods import hour_start_ms, hours_between, month_days
from recount.querying.plan import Composed, Shown, periods_of, plan
from recount.querying.query import Span
from recount.store.manifests import Entry

ENTRY = Entry(default="g", confirmed="g", slots="1")
BERLIN = "Europe/Berlin"


def shown(*keys: str, live: tuple[str, ...] = ()) -> Shown:
    return Shown(dict.fromkeys(keys, ENTRY), frozenset(live))


def days(*names: str) -> list[str]:
    return [f"day/{name}" for name in names]


def everything() -> list[str]:
    months = ["2026-09", "2026-10", "2026-11"]
    return [f"month/{m}" for m in months] + [f"day/{d}" for m in months for d in month_days(m)]


def test_whole_months_and_the_days_around_them() -> None:
    found = plan(Span("2026-09-29", "2026-11-02"), BERLIN, shown(*everything()))
    assert found.months == ("month/2026-10",)
    assert [*found.days] == days("2026-09-29", "2026-09-30", "2026-11-01", "2026-11-02")
    assert found.composed == ()


def test_what_is_not_published_is_not_read() -> None:
    found = plan(Span("2026-09-01", "2026-10-02"), BERLIN, shown("day/2026-10-02"))
    assert (found.months, found.days) == ((), ("day/2026-10-02",))


def test_hours_are_found_in_days_only() -> None:
    found = plan(Span("2026-10-01", "2026-10-31"), BERLIN, shown(*everything()), in_days=True)
    assert found.months == ()
    assert len(found.days) == 31


def test_live_hours_join_the_published_day() -> None:
    found = plan(Span("2026-11-01", "2026-11-30"), BERLIN, shown(*everything(), live=("2026-11-30T12",)))
    assert found.months == ()
    assert len(found.days) == 29
    assert found.composed == (Composed("2026-11-30", ("day/2026-11-30",), frozenset({"2026-11-30T12"})),)


def test_a_live_hour_that_was_published_open_is_left_out_of_its_day() -> None:
    hours = [f"hour/2026-11-30T{n:02d}" for n in (9, 10, 11)]
    found = plan(
        Span("2026-11-30", "2026-11-30"), BERLIN, shown("day/2026-11-30", *hours, live=("2026-11-30T11",))
    )
    assert found.composed == (Composed("2026-11-30", (*hours[:2],), frozenset({"2026-11-30T11"})),)


def test_a_day_cut_short_is_made_of_its_hours() -> None:
    until = hour_start_ms("2026-11-02T02")
    hours = [
        f"hour/{h}" for h in hours_between(hour_start_ms("2026-11-01T22"), hour_start_ms("2026-11-02T06"))
    ]
    found = plan(Span("2026-11-01", "2026-11-02", until), BERLIN, shown(*everything(), *hours))
    assert found.days == ("day/2026-11-01",)
    assert found.composed == (
        Composed(
            "2026-11-02",
            ("hour/2026-11-01T23", "hour/2026-11-02T00", "hour/2026-11-02T01"),
            frozenset(),
            until,
        ),
    )


def test_a_live_hour_can_lie_in_two_days() -> None:
    live = "2026-11-01T18"  # 23:30 to 00:30 in Kolkata
    found = plan(Span("2026-11-01", "2026-11-02"), "Asia/Kolkata", shown(*everything(), live=(live,)))
    assert [one.day for one in found.composed] == ["2026-11-01", "2026-11-02"]


def test_periods_to_look_up_hold_everything_a_plan_reads() -> None:
    until = hour_start_ms("2026-11-02T02")
    span = Span("2026-09-29", "2026-11-02", until)
    keys = periods_of(span, BERLIN)
    found = plan(span, BERLIN, shown(*keys))
    assert {*found.numbers, *found.sets} <= set(keys)
