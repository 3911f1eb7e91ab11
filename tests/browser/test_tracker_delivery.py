"""When the tracker sends and when it does not: time on the page, consent, and a collector that fails."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.collector import HIDE, Collector, Event, Visit, settle

pytestmark = pytest.mark.browser

# Without a beacon each delivery is a fetch; `answered` counts those whose outcome the page has dealt with.
NO_BEACON = """
  delete Navigator.prototype.sendBeacon;
  window.answered = 0;
  const plainFetch = fetch;
  window.fetch = (...call) => {
    const answer = plainFetch(...call);
    setTimeout(() => answer.catch(() => 0).then(() => window.answered++));
    return answer;
  };
"""


def attempts(collector: Collector, kind: str) -> list[tuple[int, Event]]:
    """Every delivery of an event of this kind, accepted or not: status and event."""
    return [(d.status, event) for d in collector.deliveries for event in d.events if event["kind"] == kind]


# Engagement


def engaged_ms(events: list[Event]) -> int:
    return sum(int(event["engaged_ms"]) for event in events)


def scroll(page: Page, top_px: int) -> None:
    """Returns when the page has been told."""
    page.evaluate(
        "(y) => new Promise((done) => { addEventListener('scroll', done, { once: true }); scrollTo(0, y) })",
        top_px,
    )


def test_time_and_depth_are_sent_when_the_page_is_left(visit: Visit, collector: Collector) -> None:
    page = visit("/long", clock=True)
    page.set_viewport_size({"width": 800, "height": 1_000})
    page.clock.fast_forward(7_000)
    scroll(page, 1_000)
    scroll(page, 0)
    page.goto("about:blank")
    events = collector.wait("engagement")
    assert len(events) == 1
    assert 7_000 <= events[0]["engaged_ms"] < 37_000
    assert events[0]["scroll_percent"] == 50
    assert events[0]["url"] == f"{collector.origin}/long"


def test_time_hidden_or_without_focus_does_not_count(
    visit: Visit, collector: Collector, context: BrowserContext
) -> None:
    page = visit(clock=True)
    page.clock.fast_forward(2_000)
    page.evaluate(HIDE, True)
    collector.wait("engagement")
    page.clock.fast_forward(1_000_000)
    page.evaluate(HIDE, False)
    page.clock.fast_forward(3_000)

    context.new_cdp_session(page).send("Emulation.setFocusEmulationEnabled", {"enabled": False})
    context.new_page().bring_to_front()
    page.wait_for_function("!document.hasFocus()")
    page.clock.fast_forward(1_000_000)
    page.bring_to_front()
    page.wait_for_function("document.hasFocus()")
    page.evaluate(HIDE, True)
    assert 5_000 <= engaged_ms(collector.wait("engagement", count=2)) < 65_000


def test_each_page_of_an_app_has_its_own_time_and_depth(visit: Visit, collector: Collector) -> None:
    page = visit("/app", clock=True)
    page.set_viewport_size({"width": 800, "height": 1_000})
    scroll(page, 3_000)
    page.clock.fast_forward(4_000)
    page.evaluate("history.pushState({}, '', '/app/one')")
    scroll(page, 0)
    (first,) = collector.wait("engagement")
    assert (first["url"], first["scroll_percent"]) == (f"{collector.origin}/app", 100)
    page.clock.fast_forward(100_000)
    page.evaluate(HIDE, True)
    second = collector.wait("engagement", count=2)[1]
    assert (second["url"], second["scroll_percent"]) == (f"{collector.origin}/app/one", 25)
    assert first["engaged_ms"] < 64_000 < 100_000 <= second["engaged_ms"]


def test_no_time_without_a_page(visit: Visit, collector: Collector) -> None:
    page = visit(attributes="data-manual", clock=True)
    page.clock.fast_forward(5_000)
    page.evaluate(HIDE, True)
    settle(page, collector)
    assert collector.events("engagement") == []


# Consent


def test_the_opt_out_flag(visit: Visit, collector: Collector) -> None:
    page = visit()
    collector.wait("pageview")
    page.evaluate("localStorage.recount_optout = '1'; recount('Unseen')")
    page.evaluate("delete localStorage.recount_optout")
    settle(page, collector)
    assert collector.events("event", "Unseen") == []


def test_a_page_without_storage(visit: Visit, collector: Collector) -> None:
    visit(
        before="Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('denied') } })"
    )
    collector.wait("pageview")


@pytest.mark.parametrize("signal", ["doNotTrack = '1'", "globalPrivacyControl = true"])
def test_signals_are_respected_where_the_site_says_so(
    visit: Visit, collector: Collector, signal: str
) -> None:
    name, value = signal.split(" = ")
    before = f"Object.defineProperty(navigator, '{name}', {{ get: () => {value} }})"
    respecting = visit(attributes='data-dnt="respect"', before=before)
    respecting.evaluate("recount('Unseen')")
    settle(visit("/other", before=before), collector)
    assert collector.events("event", "Unseen") == []
    assert [event["url"] for event in collector.events("pageview")] == [f"{collector.origin}/other"]


def test_without_a_signal_a_respecting_site_counts(visit: Visit, collector: Collector) -> None:
    visit(attributes='data-dnt="respect"')
    collector.wait("pageview")


# Delivery


@pytest.mark.parametrize("missing", [NO_BEACON, "Navigator.prototype.sendBeacon = () => false"])
def test_fetch_where_no_beacon_can_be_sent(visit: Visit, collector: Collector, missing: str) -> None:
    collector.script_origin = collector.other_origin
    visit(before=missing)
    collector.wait("pageview")
    assert {delivery.method for delivery in collector.deliveries} == {"POST"}


def wait_for_answers(page: Page, count: int) -> None:
    """Returns when the page knows what became of its deliveries, so that its clock may be moved on."""
    page.wait_for_function("(count) => window.answered >= count", arg=count)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failed_event_is_sent_again_with_its_id_and_its_age(
    visit: Visit, collector: Collector, status: int
) -> None:
    collector.status = status
    page = visit(before=NO_BEACON, clock=True)
    wait_for_answers(page, 1)
    collector.status = 202
    page.clock.fast_forward(60_000)
    collector.wait("pageview")
    (_, first), (_, second) = attempts(collector, "pageview")
    assert first.pop("age_ms") < 30_000
    assert 60_000 <= second.pop("age_ms") < 120_000
    assert first == second


def test_what_waits_goes_with_the_next_event(visit: Visit, collector: Collector) -> None:
    collector.status = 503
    page = visit(before=NO_BEACON, clock=True)
    wait_for_answers(page, 1)
    page.clock.fast_forward(60_000)
    wait_for_answers(page, 2)
    page.clock.fast_forward(600_000)  # one retry by itself, no more
    collector.status = 202
    page.evaluate("recount('Signup')")
    collector.wait("event", "Signup")
    collector.wait("pageview")
    assert [status for status, _ in attempts(collector, "pageview")] == [503, 503, 202]
    ages: dict[str, Any] = {event["kind"]: event["age_ms"] for event in collector.events()}
    assert ages["event"] < 30_000 < 660_000 <= ages["pageview"]


def test_a_refusal_is_final(visit: Visit, collector: Collector) -> None:
    collector.status = 400
    page = visit(before=NO_BEACON, clock=True)
    wait_for_answers(page, 1)
    collector.status = 202
    page.clock.fast_forward(60_000)
    settle(page, collector)
    assert [status for status, _ in attempts(collector, "pageview")] == [400]


def test_offline_events_wait_and_the_newest_are_kept(
    visit: Visit, collector: Collector, context: BrowserContext
) -> None:
    page = visit(clock=True)
    collector.wait("pageview")
    page.evaluate(NO_BEACON)  # counts answers; offline no beacon is asked for anyway
    context.set_offline(True)
    page.evaluate("for (let nth = 0; nth < 40; nth++) recount('Offline', { props: { nth } })")
    wait_for_answers(page, 40)
    context.set_offline(False)
    page.clock.fast_forward(60_000)
    events = collector.wait("event", "Offline", count=32)
    assert [event["props"]["nth"] for event in events] == list(range(8, 40))
    assert all(60_000 <= event["age_ms"] < 120_000 for event in events)
