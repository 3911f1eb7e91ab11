"""What the tracker sends, in a real Chromium and to a real collector: pages, apps, events, links."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.collector import HIDE, Collector, Visit, settle

pytestmark = pytest.mark.browser


# Pageviews


def test_a_pageview_says_what_was_seen(visit: Visit, collector: Collector) -> None:
    visit("/start?utm_source=news#part", referer="http://example.org/from")
    (event,) = collector.wait("pageview")
    assert re.fullmatch(r"\d{10,30}", event.pop("id"))
    assert 0 <= event.pop("age_ms") < 1_000
    assert event == {
        "kind": "pageview",
        "site": "demo",
        "url": f"{collector.origin}/start?utm_source=news",
        "referrer": "http://example.org/from",
        "screen": "1600x900",
        "lang": "de-CH",
    }


def test_ids_are_all_different(visit: Visit, collector: Collector) -> None:
    page = visit()
    page.evaluate("for (let i = 0; i < 50; i++) recount('again')")
    events = collector.wait("event", "again", count=50)
    assert len({event["id"] for event in events}) == 50


def test_nothing_is_stored_and_no_preflight_is_needed(
    visit: Visit, collector: Collector, context: BrowserContext
) -> None:
    collector.script_origin = collector.other_origin
    page = visit()
    settle(page, collector)
    assert context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert {delivery.method for delivery in collector.deliveries} == {"POST"}
    first = collector.deliveries[0].headers
    assert first["content-type"].startswith("text/plain")
    assert first["host"] == collector.other_origin.removeprefix("http://")
    assert first["path"] == "/v1/events"


def test_another_endpoint(visit: Visit, collector: Collector) -> None:
    visit(attributes='data-api="/collect"')
    collector.wait("pageview")
    assert collector.deliveries[0].headers["path"] == "/collect"


def test_a_long_address_is_cut_to_what_the_collector_takes(visit: Visit, collector: Collector) -> None:
    visit("/?q=" + "x" * 3_000)
    (event,) = collector.wait("pageview")
    assert len(event["url"]) == 2_000


def test_a_page_counts_when_it_is_first_seen(visit: Visit, collector: Collector) -> None:
    page = visit(before="Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    settle(page, collector)
    assert collector.events("pageview") == []
    page.evaluate(HIDE, False)
    collector.wait("pageview")
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    settle(page, collector)
    assert len(collector.events("pageview")) == 1


def test_a_page_out_of_the_back_forward_cache_counts_again(visit: Visit, collector: Collector) -> None:
    page = visit("/first")
    page.evaluate("window.alive = true")
    page.goto(f"{collector.origin}/second")
    page.evaluate("history.back()")
    urls = [event["url"] for event in collector.wait("pageview", count=3)]
    assert sorted(urls) == [f"{collector.origin}/first"] * 2 + [f"{collector.origin}/second"]
    assert page.evaluate("window.alive")
    settle(page, collector)
    assert len(collector.events("pageview")) == 3


# Single-page apps


def test_a_single_page_app(visit: Visit, collector: Collector) -> None:
    page = visit("/app")
    page.evaluate("history.pushState({}, '', '/app/one?tab=2')")
    page.evaluate("history.replaceState({}, '', '/app/two')")
    page.evaluate("history.back()")
    page.wait_for_url("**/app")
    events = collector.wait("pageview", count=4)
    seen = [event["url"].removeprefix(collector.origin) for event in events]
    assert sorted(seen) == ["/app", "/app", "/app/one?tab=2", "/app/two"]


def test_the_same_path_is_the_same_page(visit: Visit, collector: Collector) -> None:
    page = visit("/app")
    page.evaluate("history.pushState({}, '', '?page=2')")
    page.evaluate("history.replaceState({ scroll: 1 }, '')")
    page.click("#anchor")
    settle(page, collector)
    assert len(collector.events("pageview")) == 1


def test_history_keeps_working(visit: Visit, collector: Collector) -> None:
    page = visit("/app")
    page.evaluate("history.pushState({ step: 1 }, '', '/app/one')")
    assert page.evaluate("[history.state.step, location.pathname, history.length]") == [1, "/app/one", 3]
    with pytest.raises(Exception, match="SecurityError"):
        page.evaluate("history.pushState({}, '', 'https://example.com/')")
    assert len(collector.wait("pageview", count=2)) == 2


def test_pages_behind_the_hash(visit: Visit, collector: Collector) -> None:
    page = visit("/app#/inbox", attributes="data-hash")
    page.evaluate("location.hash = '#/sent'")
    urls = {event["url"] for event in collector.wait("pageview", count=2)}
    assert urls == {f"{collector.origin}/app#/inbox", f"{collector.origin}/app#/sent"}


def test_the_referrer_of_a_single_page_app_stays_that_of_the_visit(
    visit: Visit, collector: Collector
) -> None:
    page = visit("/app", referer="http://example.org/")
    page.evaluate("history.pushState({}, '', '/app/one')")
    assert {event["referrer"] for event in collector.wait("pageview", count=2)} == {"http://example.org/"}


def test_pageviews_by_hand(visit: Visit, collector: Collector) -> None:
    page = visit("/app", attributes="data-manual")
    page.evaluate("history.pushState({}, '', '/app/one')")
    settle(page, collector)
    assert collector.events("pageview") == []
    page.evaluate("recount('pageview', { url: 'https://example.com/virtual', props: { plan: 'free' } })")
    (event,) = collector.wait("pageview")
    assert (event["url"], event["props"]) == ("https://example.com/virtual", {"plan": "free"})
    page.evaluate("recount('Signup')")
    (signup,) = collector.wait("event", "Signup")
    assert signup["url"] == "https://example.com/virtual"


# Custom events and links


def test_a_custom_event_with_properties_and_revenue(visit: Visit, collector: Collector) -> None:
    page = visit()
    page.evaluate(
        "recount('Signup', { props: { plan: 'pro', seats: 3, trial: true },"
        " revenue: { amount: '9.99', currency: 'EUR' } })"
    )
    (event,) = collector.wait("event", "Signup")
    assert event["props"] == {"plan": "pro", "seats": 3, "trial": True}
    assert event["revenue"] == {"amount": "9.99", "currency": "EUR"}
    assert event["url"] == f"{collector.origin}/"


def test_calls_before_the_script_has_loaded(visit: Visit, collector: Collector) -> None:
    collector.head = (
        "<script>recount('Early', { props: { nth: 1 } }); recount('Early', { props: { nth: 2 } })</script>"
    )
    visit()
    assert sorted(event["props"]["nth"] for event in collector.wait("event", "Early", count=2)) == [1, 2]


@pytest.mark.parametrize(
    ("link", "name", "path"),
    [
        ("#outside b", "outbound", "OTHER/elsewhere?q=1"),
        ("#file", "download", "OWN/files/report.PDF"),
        ("#outside-file", "download", "OTHER/files/data.zip"),
        ("#saved", "download", "OWN/files/plain"),
    ],
)
def test_links_out_and_downloads(visit: Visit, collector: Collector, link: str, name: str, path: str) -> None:
    page = visit("/page")
    page.click(link)
    (event,) = collector.wait("event", name)
    target = path.replace("OTHER", collector.other_origin).replace("OWN", collector.origin)
    assert event["props"] == {"url": target}
    assert event["url"] == f"{collector.origin}/page"


def test_the_middle_button_opens_links_and_the_right_one_does_not(visit: Visit, collector: Collector) -> None:
    page = visit()
    page.click("#outside", button="right")
    page.click("#outside", button="middle")
    page.bring_to_front()
    settle(page, collector)
    assert len(collector.wait("event", "outbound")) == 1


def test_the_keyboard_follows_links_too(visit: Visit, collector: Collector) -> None:
    page = visit()
    page.focus("#outside")
    page.keyboard.press("Enter")
    assert len(collector.wait("event", "outbound")) == 1


def test_other_clicks_are_not_events(visit: Visit, collector: Collector) -> None:
    page = visit(before="addEventListener('click', (event) => event.preventDefault())")
    for target in ("body", "#inside", "#mail", "#anchor", "#odd-file", "#drawn rect"):
        page.click(target)
    settle(page, collector)
    assert {event["name"] for event in collector.events("event")} == {"settled"}


def test_links_can_be_left_alone(visit: Visit, collector: Collector) -> None:
    page = visit(
        attributes="data-no-outbound data-no-download",
        before="addEventListener('click', (event) => event.preventDefault())",
    )
    page.click("#outside")
    page.click("#file")
    settle(page, collector)
    assert {event["name"] for event in collector.events("event")} == {"settled"}


def test_other_kinds_of_files(visit: Visit, collector: Collector) -> None:
    page = visit(
        attributes='data-files="step|iges"',
        before="addEventListener('click', (event) => event.preventDefault())",
    )
    page.click("#file")
    page.click("#odd-file")
    (event,) = collector.wait("event", "download")
    assert event["props"]["url"].endswith("/files/model.step")
