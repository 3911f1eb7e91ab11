"""The page in a real browser: on a fake of the store for what it shows, on real parts for what moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard_svc.app import create_app
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.stack import TestStack
from tests.unit.dashboard.fake import FakeAnswerer, services
from tests.unit.dashboard.some import CORRECTIONS, HOURS

pytestmark = pytest.mark.browser

DEADLINE_MS = 60_000
VISITOR = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)
OpenPage = Callable[[str], Page]


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """No access log."""


@contextmanager
def served(answerer: FakeAnswerer) -> Iterator[str]:
    """The application on a thread; its live stream answers 404, as where the live view is refused."""
    sites = Site(id="demo", domain="demo.example"), Site(id="b", domain="b.example")
    app = create_app(services(answerer, *sites, corrections=CORRECTIONS, compared=HOURS))
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens a page that must not be stopped by the policy, nor fail in a script."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    faults: list[str] = []

    def opened(url: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None,
        )
        page.goto(url)
        return page

    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def dashboard() -> Iterator[str]:
    with served(FakeAnswerer()) as url:
        yield url


def test_keys_choose_the_range_and_the_address_keeps_it(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    expect(page.locator("#range summary")).to_contain_text("Last 7 days")
    first = page.locator(".totals .value").first.inner_text()
    page.keyboard.press("t")
    expect(page.locator("#range summary")).to_contain_text("Last 30 days")
    assert page.locator(".totals .value").first.inner_text() != first
    assert "period=30d" in page.url
    page.keyboard.press("3")
    expect(page.locator(".totals a[aria-current]")).to_contain_text("Pageviews")
    page.keyboard.press("x")
    expect(page.locator(".plot path.then")).to_have_count(0)
    assert "compare=none" in page.url
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#range summary")).to_contain_text("25 Sep")
    page.go_back()
    expect(page.locator("#range summary")).to_contain_text("Last 30 days")
    page.reload()
    expect(page.locator(".totals a[aria-current]")).to_contain_text("Pageviews")


def test_the_picker_and_its_dates(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    page.keyboard.press("r")
    expect(page.locator("#range .sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#range .sheet")).to_be_hidden()
    page.click("#range summary")
    page.fill("input[name=from]", "2026-11-10")
    page.fill("input[name=to]", "2026-11-12")
    page.click(".custom button")
    expect(page.locator("#range summary")).to_contain_text("10 – 12 Nov 2026")
    page.click("text=Hours")
    expect(page.locator(".values tbody tr")).to_have_count(72)


def test_the_chart_is_read_with_pointer_and_keys(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo?period=30d")
    plot = page.locator(".plot")
    plot.hover()
    tip = page.locator("#tip")
    expect(tip).to_contain_text("Nov 2026")
    expect(tip).to_contain_text("Published")
    plot.focus()
    page.keyboard.press("Home")
    expect(tip).to_contain_text("25 Oct 2026")
    page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("26 Oct 2026")
    expect(plot).to_have_attribute("aria-valuenow", "2")
    page.keyboard.press("End")
    expect(tip).to_contain_text("then live as of")


def test_every_number_tells_where_it_is_from(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    tip = page.locator("#tip")
    page.locator(".totals a").nth(1).hover()
    expect(tip).to_contain_text("Published until 13:00, then live as of 13:33")
    page.locator("#list-source li").first.focus()
    page.keyboard.press("ArrowDown")
    expect(tip).to_contain_text("of all. Published until 13:00")
    expect(page.locator("#list-source li").nth(1)).to_be_focused()


def test_corrections_are_marked_told_and_lead_to_the_log(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    expect(page.locator(".notes.corrected")).to_contain_text("visitors 1,209 → 1,261")
    marks = page.locator(".marks a")
    expect(marks).to_have_count(2)
    tip = page.locator("#tip")
    marks.first.hover()
    expect(tip).to_contain_text("because partner.example is our own site")
    page.locator(".plot").focus()
    for key in ("End", "Home", "ArrowRight"):
        page.keyboard.press(key)
    expect(tip).to_contain_text("Corrected on 22 Nov 2026: 600 → 650")
    page.keyboard.press("Tab")
    expect(marks.first).to_be_focused()
    page.keyboard.press("Tab")
    expect(tip).to_contain_text("3 events arrived late")
    page.keyboard.press("Enter")
    expect(page.locator(".log .card:target h2")).to_contain_text("22 Nov 2026, 17:00 – 18:00")


def test_live_against_published_has_its_reasons(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo?period=today")
    panel = page.locator("section", has=page.locator("#agreement-title"))
    expect(panel.locator("tbody tr")).to_have_count(5)
    expect(panel).to_contain_text("3 events were delivered twice and are counted once")
    panel.locator("[data-dialog]").click()
    expect(page.locator("#dialog h2")).to_contain_text("Live against published")
    expect(page.locator("#dialog tbody tr")).to_have_count(5)


def test_tabs_by_keys_and_lists_in_a_dialog(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    page.locator("#tab-source").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-channel")).to_be_focused()
    expect(page.locator("#list-channel")).to_be_visible()
    expect(page.locator("#list-source")).to_be_hidden()
    assert "sources=channel" in page.url
    page.keyboard.press("Tab")
    page.locator("#list-country [data-dialog]").click()
    dialog = page.locator("#dialog")
    expect(dialog.locator("tbody tr")).to_have_count(11)
    page.keyboard.type("swe")
    expect(dialog.locator("tbody tr:visible")).to_have_count(1)
    dialog.locator("text=Languages").click()
    expect(dialog.locator("h2")).to_contain_text("Languages")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("d")
    expect(page.locator("#range summary")).to_contain_text("Today")
    expect(page.locator("#list-channel")).to_be_visible()


def test_the_theme_is_remembered(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_without_script_everything_is_there(dashboard: str, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(dashboard + "/demo")
    page.click("#range summary")
    page.click("text=Last 30 days")
    expect(page.locator("#range summary")).to_contain_text("Last 30 days")
    page.click("text=Channels")
    expect(page.locator("#list-channel")).to_be_visible()
    assert "period=30d" in page.url
    page.locator("#list-channel >> xpath=..").locator("[data-dialog]:visible").click()
    expect(page.locator("h2")).to_contain_text("Channels")
    context.close()


def test_nothing_is_wider_than_a_phone(dashboard: str, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    for path in (
        "/demo",
        "/demo?period=12mo&metric=visit_duration",
        "/",
        "/nowhere",
        "/demo/country",
        "/demo/corrections",
        "/demo/reconciliation",
    ):
        page.goto(dashboard + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


def test_a_live_view_that_is_refused_leaves_the_page_as_it_is(dashboard: str, open_page: OpenPage) -> None:
    page = open_page(dashboard + "/demo")
    expect(page.locator("#live-word")).to_have_text("live is away")
    expect(page.locator(".totals .value").first).not_to_have_text("–")


@pytest.mark.stack
@pytest.mark.timeout(900)
def test_live_numbers_move(stack_parts: TestStack, open_page: OpenPage) -> None:
    stack_parts.need("kafka", "dynamodb", "ingest", "shipper", "live", "dashboard")
    Catalog(open_tables(stack_parts.settings).catalog).add(Site(id="dash-moves", domain="moves.example"))
    page = open_page(stack_parts.urls["dashboard"] + "/dash-moves?period=today")
    expect(page.locator("#live-now")).to_have_text("0")
    expect(page.locator("#report")).to_contain_text("Waiting for the first visit")
    send(stack_parts.urls["ingest"], page)
    expect(page.locator("#live-now")).to_have_text("1", timeout=DEADLINE_MS)
    expect(page.locator(".totals .value").first).to_have_text("1", timeout=DEADLINE_MS)
    expect(page.locator("#list-page")).to_contain_text("/first")
    expect(page.locator(".as-of")).to_contain_text("Live, as of")


def send(door: str, page: Page) -> None:
    """One pageview, as soon as the door knows the site."""
    event = {"site": "dash-moves", "kind": "pageview", "url": "https://moves.example/first"}
    for _ in range(240):
        answer = httpx.post(f"{door}/v1/events", json=event, headers={"User-Agent": VISITOR})
        if answer.status_code == 202:
            return
        page.wait_for_timeout(250)
    pytest.fail(f"the door still answers {answer.status_code}: {answer.text}")
