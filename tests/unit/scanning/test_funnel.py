"""Funnels: counted as plain Python counts them, and what cannot be asked."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.visits import cut
from recount.errors import InvalidInput
from recount.interpret import Interpreter
from recount.periods import HOUR_MS
from recount.querying.query import Filter, Span
from recount.scanning.dimensions import Lookup
from recount.scanning.funnel import Funnel, Step, _reached, _Taking, count, funnel_of
from recount.scanning.scanner import Scanner
from recount.store.catalog import Site
from tests.property.test_visits import LONG_AFTER
from tests.sequences import FIREFOX, Row, frame, sequences, visits_of
from tests.unit.scanning.conftest import ROWS, SITES
from tests.unit.scanning.test_scanner import WHOLE

STEPS: Final = (
    (Step("page", "/a"), Step("event", "signup")),
    (Step("page", "*"), Step("page", "/*"), Step("event", "s*")),
)
INTERPRETER: Final = Interpreter()


def asked(site: str = "demo", **given: Any) -> Funnel:
    fields: dict[str, Any] = {"steps": ["/pricing", "event:signup"], "window": None, "filters": ()}
    fields |= given
    return funnel_of(SITES[site], WHOLE, SITES[site].timezone, **fields)


@settings(max_examples=60, deadline=None)
@given(rows=sequences(), steps=st.sampled_from(STEPS), days=st.sampled_from([None, 1, 2]))
def test_a_funnel_counts_as_plain_python_counts(
    rows: list[Row], steps: tuple[Step, ...], days: int | None
) -> None:
    rows = [row | {"ua": FIREFOX, "network": None} for row in rows]
    funnel = Funnel(Span("2026-11-20", "2026-11-30"), "UTC", steps, days)
    events = cut(frame(rows), None, LONG_AFTER).events
    events = events.filter(events["site"] == "demo")
    half = events.height // 2
    demo = Site(id="demo", domain="demo.example")
    taken, begun = _Taking(funnel, Lookup(demo, INTERPRETER)).take([events[:half], events[half:]])
    found = [one.people for one in _reached(funnel, taken)]
    assert found == brute_force(rows, steps, days)
    acted = [visit for (site, _), visits in visits_of(rows).items() if site == "demo" for visit in visits]
    assert begun == sum(bool(visit.seen("pageview") + visit.seen("event")) for visit in acted)


def brute_force(rows: list[Row], steps: tuple[Step, ...], days: int | None) -> list[int]:
    """Each person by every way through his events."""
    reached = [0] * len(steps)
    for (site, _), visits in visits_of(rows).items():
        if site != "demo":
            continue
        ways = [visit.events for visit in visits] if days is None else [[e for v in visits for e in v.events]]
        for events in ways:
            for depth in range(deepest(events, steps, days)):
                reached[depth] += 1
    return reached


def deepest(events: list[Row], steps: tuple[Step, ...], days: int | None) -> int:
    best = 0
    for start, event in enumerate(events):
        if not takes(steps[0], event):
            continue
        depth = 1
        for later in events[start + 1 :]:
            within = days is None or later["ts"] - event["ts"] <= days * 24 * HOUR_MS
            if depth < len(steps) and within and takes(steps[depth], later):
                depth += 1
        best = max(best, depth)
    return best


def takes(step: Step, event: Row) -> bool:
    if step.kind == "event":
        fits = (
            event.get("name") == "signup"
            if step.pattern == "signup"
            else str(event.get("name")).startswith("s")
        )
        return event["kind"] == "event" and fits
    if event["kind"] != "pageview" or event["url"] is None:
        return False
    return step.pattern in ("*", "/*") or event["url"].startswith("https://demo.example/a")


def test_what_is_published_is_counted(scanner: Scanner) -> None:
    answer = count(scanner, SITES["demo"], asked())
    human = [row for row in ROWS if row["site"] == "demo" and "Googlebot" not in row["ua"]]
    wanted = [0, 0]
    for visits in visits_of(human).values():
        for visit in visits:
            views = [
                n
                for n, e in enumerate(visit.events)
                if e["kind"] == "pageview" and e["url"].endswith("/pricing")
            ]
            wanted[0] += bool(views)
            wanted[1] += bool(views) and any(e.get("name") == "signup" for e in visit.events[views[0] + 1 :])
    assert [step.visits for step in answer.steps] == wanted
    assert wanted[0] > wanted[1] > 0
    assert answer.visits == sum(len(visits) for visits in visits_of(human).values())


def test_goals_are_steps_as_what_reaches_them_is(scanner: Scanner) -> None:
    found = count(scanner, SITES["demo"], asked(steps=["goal:read", "goal:signed up"]))
    wanted = count(scanner, SITES["demo"], asked(steps=["/docs/*", "event:signup"]))
    assert [vars(step) | {"step": None} for step in found.steps] == [
        vars(step) | {"step": None} for step in wanted.steps
    ]
    assert found.steps[1].visits


def test_filters_are_of_whole_visits(scanner: Scanner) -> None:
    everybody = count(scanner, SITES["demo"], asked())
    germans = count(scanner, SITES["demo"], asked(filters=(Filter("country", "equals", ("DE",)),)))
    others = count(scanner, SITES["demo"], asked(filters=(Filter("country", "not", ("DE",)),)))
    for whole, one, rest in zip(everybody.steps, germans.steps, others.steps, strict=True):
        assert whole.visits == (one.visits or 0) + (rest.visits or 0)
    with pytest.raises(InvalidInput, match="make page a step") as caught:
        asked(filters=(Filter("page", "equals", ("/",)),))
    assert caught.value.field == "filters[0].dimension"


def test_a_window_over_several_visits_counts_visitors(scanner: Scanner) -> None:
    answer = count(scanner, SITES["known"], asked("known", window="30d"))
    assert [step.visits for step in answer.steps] == [None, None]
    assert answer.steps[0].visitors >= answer.steps[1].visitors > 0


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"steps": ["/only"]}, "steps", "2 to 10 steps"),
        ({"steps": ["/"] * 11}, "steps", "2 to 10 steps"),
        ({"steps": "/a"}, "steps", "2 to 10 steps"),
        ({"steps": ["/a", ""]}, "steps[1]", "a step is a page"),
        ({"steps": ["/a", 7]}, "steps[1]", "a step is a page"),
        ({"steps": ["/a", {"page": "/b", "event": "x"}]}, "steps[1]", "a step is a page"),
        ({"steps": ["/a", {"visit": "x"}]}, "steps[1]", "a step is a page"),
        ({"steps": ["/a", "Signup"]}, "steps[1]", "'event:Signup'"),
        ({"steps": ["/a", "goal:nothing"]}, "steps[1]", "known: read, signed up"),
        ({"window": "0d"}, "window", "'1d' to '90d'"),
        ({"window": "91d"}, "window", "'1d' to '90d'"),
        ({"window": 7}, "window", "'1d' to '90d'"),
        ({"window": "2d"}, "window", "one day only"),
    ],
)
def test_bad_funnels(given: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(**given)
    assert caught.value.field == field
    assert says in caught.value.detail


def test_steps_as_they_are_typed() -> None:
    given = ["/a:b*", "event:Sign up", "goal:read", {"page": "*/x"}, {"event": "a:b"}]
    assert [step.name for step in asked(steps=given).steps] == [
        "/a:b*",
        "event:Sign up",
        "goal:read",
        "*/x",
        "event:a:b",
    ]
