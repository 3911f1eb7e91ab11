"""An incident is told once, told once more when it gets worse, and once when it is over."""

from __future__ import annotations

import msgspec
import pytest

from orchestration.alerts.book import INCIDENTS_MAX, Book
from orchestration.alerts.deliver import MESSAGES_MAX, deliver
from orchestration.alerts.problems import Event, Problem, Severity
from recount.errors import Unavailable

SETTLE_MS = 1_000
CHECKED = frozenset({"lag"})


def problem(key: str = "lag/live", severity: Severity = "warning", since_ms: int = 100) -> Problem:
    return Problem(
        key=key, severity=severity, since_ms=since_ms, title="t", what="w", todo="d", link="http://x/"
    )


class Listener:
    """A receiver that keeps what it is told, unless it is away."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []
        self.away = False

    def send(self, problem: Problem, event: Event, over_ms: int) -> None:
        if self.away:
            raise Unavailable("listener", "does not listen")
        self.heard.append((problem.key, problem.severity, event))


class Desk:
    """Looks and tells, as the sensor does; the book goes through its cursor each time."""

    def __init__(self, *names: str) -> None:
        self.book = Book()
        self.listeners = {name: Listener() for name in names or ("one",)}

    def look(self, now_ms: int, *problems: Problem, checked: frozenset[str] = CHECKED) -> None:
        kept = msgspec.json.decode(msgspec.json.encode(self.book), type=Book)
        noted = kept.noted(problems, checked=checked, now_ms=now_ms, settle_ms=SETTLE_MS)
        self.book, _ = deliver(noted, self.listeners)

    @property
    def heard(self) -> list[tuple[str, str, str]]:
        return self.listeners["one"].heard


def test_told_once_and_once_when_over() -> None:
    desk = Desk()
    for now_ms in (1_000, 2_000, 3_000):
        desk.look(now_ms, problem())
    assert desk.heard == [("lag/live", "warning", "open")]
    desk.look(3_500)
    assert len(desk.heard) == 1, "not over before it has settled"
    desk.look(4_000)
    desk.look(5_000)
    assert desk.heard[1:] == [("lag/live", "warning", "over")]
    assert desk.book.incidents == {}


def test_a_relapse_before_it_is_over_is_the_same_incident() -> None:
    desk = Desk()
    desk.look(1_000, problem())
    desk.look(1_900)
    desk.look(2_000, problem(since_ms=1_950))
    assert len(desk.heard) == 1
    assert desk.book.incidents["lag/live"].problem.since_ms == 100, "it goes on since it began"


def test_after_it_is_over_it_is_a_new_incident() -> None:
    desk = Desk()
    desk.look(1_000, problem())
    desk.look(2_000)
    desk.look(3_000, problem(since_ms=3_000))
    assert [event for _, _, event in desk.heard] == ["open", "over", "open"]


def test_getting_worse_is_told_and_getting_better_is_not() -> None:
    desk = Desk()
    desk.look(1_000, problem())
    desk.look(2_000, problem(severity="critical"))
    desk.look(3_000, problem())
    desk.look(3_500, problem(severity="critical"))
    assert [(severity, event) for _, severity, event in desk.heard] == [
        ("warning", "open"),
        ("critical", "open"),
    ]


def test_what_cannot_be_looked_at_is_not_over() -> None:
    desk = Desk()
    desk.look(1_000, problem())
    desk.look(9_000, checked=frozenset({"run"}))
    assert [event for _, _, event in desk.heard] == ["open"]


def test_what_never_mends_is_told_once_and_forgotten_in_silence() -> None:
    desk = Desk()
    lost = msgspec.structs.replace(problem(), recovers=False)
    desk.look(1_000, lost)
    desk.look(9_000)
    assert [event for _, _, event in desk.heard] == ["open"]
    assert desk.book.incidents == {}


def test_a_receiver_that_is_away_is_told_later_and_holds_up_nobody() -> None:
    desk = Desk("one", "two")
    desk.listeners["two"].away = True
    desk.look(1_000, problem())
    desk.look(2_000, problem())
    assert (len(desk.heard), desk.listeners["two"].heard) == (1, [])
    desk.listeners["two"].away = False
    desk.look(3_000, problem())
    desk.look(4_000)
    desk.look(5_000)
    assert [event for _, _, event in desk.listeners["two"].heard] == ["open", "over"]
    assert [event for _, _, event in desk.heard] == ["open", "over"]


def test_the_end_waits_for_a_receiver_that_was_told_the_beginning() -> None:
    desk = Desk("one", "two")
    desk.look(1_000, problem())
    desk.listeners["two"].away = True
    desk.look(3_000)
    assert desk.book.incidents != {}
    desk.listeners["two"].away = False
    desk.look(4_000)
    assert desk.listeners["two"].heard[-1][2] == "over"
    assert desk.book.incidents == {}


def test_nobody_is_told_the_end_of_what_they_never_heard_of() -> None:
    desk = Desk("one", "two")
    desk.listeners["two"].away = True
    desk.look(1_000, problem())
    desk.look(3_000)
    desk.listeners["two"].away = False
    desk.look(4_000)
    assert desk.listeners["two"].heard == []


def test_a_flood_comes_in_portions_and_is_bounded() -> None:
    desk = Desk()
    flood = [problem(f"lag/{n}", since_ms=n) for n in range(INCIDENTS_MAX + 10)]
    desk.look(1_000, *flood)
    assert len(desk.heard) == MESSAGES_MAX
    desk.look(2_000, *flood)
    assert len({key for key, _, _ in desk.heard}) == 2 * MESSAGES_MAX
    assert len(desk.book.incidents) == INCIDENTS_MAX


@pytest.mark.parametrize("names", [(), ("one",)])
def test_without_anybody_to_tell_the_book_is_kept_small(names: tuple[str, ...]) -> None:
    book = Book().noted([problem()], checked=CHECKED, now_ms=0, settle_ms=SETTLE_MS)
    book = book.noted([], checked=CHECKED, now_ms=SETTLE_MS, settle_ms=SETTLE_MS)
    assert deliver(book, {name: Listener() for name in names})[0].incidents == {}
