"""A visitor in a real browser: on the live API, then in the published hour, then on the dashboard's page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import customer_page, eventually
from tests.stack import TestStack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(900)]

SITE = "e2e-shop"
VISITOR = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
BUY = """recount('Purchase', {props: {plan: 'team'}, revenue: {amount: '29.90', currency: 'EUR'}})"""


def test_what_the_browser_did_is_what_the_dashboard_says(stack: TestStack, chromium: Browser) -> None:
    snippet = _add_site(stack)
    with customer_page(snippet) as origin:
        _visit(chromium, origin)
    live = eventually(lambda: _live(stack), lambda seen: seen["totals"].get("events", 0) >= 1)
    assert _numbers(live["totals"]) == {"visitors": 1, "visits": 1, "pageviews": 3, "events": 1}
    assert live["current_visitors"] == 1
    assert {row["value"]: row["pageviews"] for row in live["top"]["page"]} == {
        "/": 1,
        "/pricing": 1,
        "/thanks": 1,
    }

    published = stack.recount("publish-open")
    assert published.returncode == 0, published.stdout + published.stderr

    answer = _query(stack, metrics=["visitors", "visits", "pageviews", "events"])
    assert [_numbers(row) for row in answer["rows"]] == [
        {"visitors": 1, "visits": 1, "pageviews": 3, "events": 1}
    ]
    assert _by(stack, "page", "pageviews") == {"/": 1, "/pricing": 1, "/thanks": 1}
    assert _by(stack, "entry_page", "visits") == {"/": 1}
    assert _by(stack, "event", "events") == {"Purchase": 1}
    assert _by(stack, "prop:plan", "events") == {"team": 1}
    assert _by(stack, "browser", "visitors") == {"Chrome": 1}
    assert _by(stack, "source", "visits") == {"newsletter": 1}
    _look_at_the_page(stack, chromium)


def _add_site(stack: TestStack) -> str:
    added = stack.recount("sites", "add", "shop.example", "--id", SITE, "--json")
    assert added.returncode == 0, added.stderr
    snippet: str = json.loads(added.stdout)["snippet"]
    eventually(lambda: _refusal_of_no_address(stack), lambda reason: reason == "bad_event")
    return snippet


def _refusal_of_no_address(stack: TestStack) -> str:
    """Why the door refuses an event without an address: it says so only once it knows the site."""
    answer = httpx.get(stack.urls["ingest"] + "/p.gif", params={"site": SITE, "url": "nowhere"})
    return str(answer.headers.get("Recount-Drop", ""))


def _visit(chromium: Browser, origin: str) -> None:
    context = chromium.new_context(user_agent=VISITOR, locale="en-GB")
    page = context.new_page()
    with page.expect_request("**/v1/events"):
        page.goto(origin + "/?utm_source=newsletter&utm_medium=email&secret=1")
    page.evaluate("history.pushState({}, '', '/pricing')")
    page.evaluate("history.pushState({}, '', '/thanks')")
    page.evaluate(BUY)
    page.wait_for_timeout(200)
    page.goto("about:blank")
    context.close()


def _live(stack: TestStack) -> dict[str, Any]:
    answer = httpx.get(f"{stack.urls['live']}/v1/live/{SITE}")
    return answer.json() if answer.is_success else {"totals": {}}


def _query(stack: TestStack, **query: object) -> dict[str, Any]:
    url = stack.urls["dashboard"] + "/api/v1/query"
    answer = httpx.post(url, json={"site": SITE, "date_range": "today", **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _by(stack: TestStack, dimension: str, metric: str) -> dict[str, int]:
    rows = _query(stack, metrics=[metric], dimensions=[dimension])["rows"]
    return {row[dimension]: row[metric] for row in rows}


def _numbers(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in ("visitors", "visits", "pageviews", "events")}


def _look_at_the_page(stack: TestStack, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(f"{stack.urls['dashboard']}/{SITE}?range=today")
    text = page.inner_text("body")
    for expected in ("/pricing", "/thanks", "newsletter", "Chrome", "Purchase"):
        assert expected in text
    page.close()
