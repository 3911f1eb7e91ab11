"""One Chromium for all browser tests of a folder (others import the fixture), and visits to a page in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.collector import Collector, collecting

_FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


# A package scope: while Playwright is at work its event loop is, too, and later tests could start none.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser; a test opens a context of its own in it (`browser.new_context()`) and closes it."""
    executable = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(executable).exists():
        pytest.fail("Chromium is missing, so nothing is known about the browser. apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=list(_FLAGS),
            ignore_default_args=["--disable-back-forward-cache"],  # visitors have one
        )
        yield browser
        browser.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(locale="de-CH", screen={"width": 1600, "height": 900})
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, collector: Collector) -> Callable[..., Page]:
    """Opens a page whose script element has these attributes, after these scripts of the test."""

    def open_page(
        path: str = "/",
        attributes: str = "",
        before: str = "",
        referer: str | None = None,
        clock: bool = False,
    ) -> Page:
        collector.attributes = attributes
        page = context.new_page()
        if clock:
            page.clock.install()
        page.add_init_script(before)
        page.goto(collector.origin + path, referer=referer)
        return page

    return open_page
