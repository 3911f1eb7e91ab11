"""The edge cache: what it keeps and for whom, and how soon a correction is seen."""

from __future__ import annotations

import gzip
import re
import time
import zlib
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Final

import httpx
import pytest

from edge import tracker
from recount.counting.rollup import Rollup, merge
from recount.store.catalog import Site
from recount.store.tables import open_tables
from tests.integration.front_door import FrontDoor
from tests.publishing import Press
from tests.rollups import hour_rollup
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = pytest.mark.stack

DAY: Final = "2015-03-02"
HOUR, LATER = f"{DAY}T10", "2015-03-03T10"
MINE, OTHER = "edge-mine", "edge-other"
RANGE: Final = f"from={DAY}&to={DAY}"


class Newsroom:
    """Two sites with a published day, and a press to correct it."""

    def __init__(self, front: FrontDoor, folder: Path) -> None:
        self.front = front
        tables = open_tables(front.settings)
        sites = {name: Site(id=name, domain=f"{name}.example") for name in (MINE, OTHER)}
        for site in sites.values():
            front.catalog.add(site)
        self.press = Press(
            folder,
            rollups=tables.rollups,
            roots=tables.manifests,
            sites=sites,
            slots=front.settings.site_slots,
            clock_ms=time.time_ns() // 1_000_000,  # months that others are still writing are not over
        )
        self.publish({HOUR: made(HOUR), LATER: made(LATER)})
        # An empty day may be kept as well, once the hours after it are published.
        eventually(lambda: all("/page?" in self.page(site).text for site in sites), "it is published")

    def publish(self, hours: Mapping[str, Rollup]) -> None:
        self.press.publish(hours)

    def correct(self, pageviews: int) -> None:
        """Another number for one of the sites; the other one's hour is as it was."""
        mine = hour_rollup(HOUR, [MINE], seed=pageviews, views=pageviews)
        self.publish({HOUR: merge([mine, hour_rollup(HOUR, [OTHER])])})

    def page(self, site: str, **headers: str) -> httpx.Response:
        return self.front.http.get(f"/{site}?{RANGE}", headers=headers)

    def list_of(self, site: str) -> str:
        """The address of a full list, as the present page has it."""
        links = re.findall(r'data-dialog href="([^"]+)"', self.page(site).text)
        return unescape(next(link for link in links if "/page?" in link))

    def query(self, site: str, limit: int) -> str:
        return f"/api/v1/query?site={site}&metrics=pageviews&date_range={DAY},{DAY}&limit={limit}"

    def pageviews(self, site: str, limit: int) -> int:
        return int(self.front.http.get(self.query(site, limit)).json()["rows"][0]["pageviews"])


def made(hour: str) -> Rollup:
    return hour_rollup(hour, [MINE, OTHER])


def is_hit(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("Recount-Cache") == "hit")


@pytest.fixture(scope="module")
def news(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Newsroom:
    return Newsroom(FrontDoor(stack_parts), tmp_path_factory.mktemp("press"))


def test_what_may_be_kept_is_asked_for_once(news: Newsroom) -> None:
    http = news.front.http
    listed, query = news.list_of(MINE), news.query(MINE, 71)
    asset = re.search(r"/static/[^\"]+app\.css", news.page(MINE).text)
    assert asset is not None
    version = http.get(query).headers["Recount-Version"]
    for path in (listed, f"{query}&g={version}", asset[0], "/recount.js"):
        http.get(path)
        answer = http.get(path)
        assert answer.status_code == 200
        assert is_hit(answer), path
        assert re.search(r"max-age=(31536000|3600)", answer.headers["Cache-Control"]), path


def test_a_plain_address_is_kept_for_a_moment(news: Newsroom) -> None:
    path = news.query(MINE, 72)

    def twice() -> bool:
        return not is_hit(news.front.http.get(path)) and is_hit(news.front.http.get(path))

    eventually(twice, "the second of two at once is a hit")
    eventually(lambda: not is_hit(news.front.http.get(path)), "the service is asked again")


def test_what_runs_is_asked_for_each_time(news: Newsroom) -> None:
    for path in (f"/{MINE}?period=today", f"/api/v1/query?site={MINE}&date_range=today", "/nobody"):
        for _ in range(2):
            answer = news.front.http.get(path)
            assert answer.headers["Cache-Control"] == "no-store"
            assert not is_hit(answer)


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
def test_nobody_gets_what_another_was_answered(news: Newsroom, header: str) -> None:
    """Neither is an answer to credentials kept, nor is one from the cache given to them."""
    http = news.front.http
    first, second = {header: "Bearer first" if header == "Authorization" else "session=first"}, {header: "x"}
    path = news.list_of(MINE) + f"&for={header}"
    for credentials in (first, second, first):
        answer = http.get(path, headers=credentials)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, no-store")
        assert not is_hit(answer)
    assert not is_hit(http.get(path))  # nothing was kept of those
    assert is_hit(http.get(path))
    answer = http.get(path, headers=first)
    assert (is_hit(answer), answer.headers["Cache-Control"]) == (False, "private, no-store")
    http.get("/recount.js")
    with_token = http.get("/recount.js", headers={"Authorization": "Bearer first"})
    assert not is_hit(with_token)  # whatever a service says, credentials pass the cache by


def test_conditional_requests(news: Newsroom) -> None:
    answer = news.page(MINE)
    asking = {"If-None-Match": answer.headers["ETag"]}
    for _ in range(2):
        again = news.page(MINE, **asking)
        assert (again.status_code, again.content) == (304, b"")
    listed = news.list_of(MINE)
    kept = news.front.http.get(listed)
    again = news.front.http.get(listed, headers={"If-None-Match": kept.headers["ETag"]})
    assert again.status_code == 304
    assert is_hit(again)


def test_every_encoding_gets_its_own(news: Newsroom) -> None:
    """Pages are kept as they are and packed for whom it may; the tracker is kept in each of its encodings."""
    listed = news.list_of(MINE)
    plain = raw(news, listed, "identity")
    assert b"</html>" in plain
    for _ in range(2):
        assert gzip.decompress(raw(news, listed, "gzip")) == plain
        assert raw(news, listed, "identity") == plain
    script = tracker.load().plain
    for _ in range(2):
        assert zlib.decompress(raw(news, "/recount.js", "gzip"), 31) == script
        assert raw(news, "/recount.js", "br") == tracker.load().brotli
        assert raw(news, "/recount.js", "identity") == script


def raw(news: Newsroom, path: str, encoding: str) -> bytes:
    with news.front.http.stream("GET", path, headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers.get("Content-Encoding", "identity") == encoding
        return b"".join(answer.iter_raw())


def test_a_correction_is_seen_at_once_and_leaves_the_others_pages(news: Newsroom) -> None:
    http = news.front.http
    news.correct(pageviews=30)
    eventually(lambda: news.pageviews(MINE, 73) == 30, "the first numbers")
    mine, other = news.list_of(MINE), news.list_of(OTHER)
    etag = news.page(OTHER).headers["ETag"]
    for path in (mine, other):
        http.get(path)
    never_asked = mine + "&never=asked"
    news.correct(pageviews=31)
    eventually(lambda: news.pageviews(MINE, 73) == 31, "the correction in the API")
    eventually(lambda: ">31<" in news.page(MINE).text, "the correction on the page")
    assert news.list_of(MINE) != mine
    stale = http.get(never_asked)
    assert (stale.status_code, stale.headers["Cache-Control"]) == (302, "no-store")
    assert http.get(stale.headers["Location"]).status_code == 200
    assert news.list_of(OTHER) == other
    assert is_hit(http.get(other))
    assert news.page(OTHER).headers["ETag"] == etag
