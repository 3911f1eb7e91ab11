"""The pages, on a fake of the store."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask.testing import FlaskClient

from dashboard_svc.app import create_app
from tests.unit.dashboard.fake import FakeAnswerer, services

SETTLED = "/demo?from=2026-11-10&to=2026-11-12"


def test_a_page_is_one_call_to_the_store(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answer = client.get("/demo")
    assert answer.status_code == 200
    assert answerer.calls == 1
    for text in ("demo.example", "Hacker News", "Germany", "Signup", "Last 7 days", "Bounce rate"):
        assert text in answer.text


def test_one_site_is_shown_at_once_and_several_are_listed(client: FlaskClient) -> None:
    only = create_app(services(FakeAnswerer())).test_client()
    assert only.get("/").headers["Location"] == "/demo"
    listed = client.get("/")
    assert 'href="/log"' in listed.text
    assert "visitors in 7 days" in listed.text


def test_without_sites_it_says_how_to_add_one(answerer: FakeAnswerer) -> None:
    made = services(answerer)
    made.sites.all().clear()
    assert "recount sites add" in create_app(made).test_client().get("/").text


def test_an_unknown_site_is_a_404_that_helps(client: FlaskClient) -> None:
    answer = client.get("/demmo")
    assert answer.status_code == 404
    assert 'href="/demo"' in answer.text
    assert "recount sites add" in answer.text


def test_names_are_escaped(client: FlaskClient) -> None:
    answer = client.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E".replace("%2F", ""))
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_a_bad_range_is_a_400_with_a_way_back(client: FlaskClient) -> None:
    answer = client.get("/demo?period=fortnight")
    assert answer.status_code == 400
    assert "fortnight" in answer.text
    assert 'href="/demo"' in answer.text


def test_tables_away_is_a_503_that_says_so(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answerer.away = True
    answer = client.get("/demo?period=today")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "DynamoDB does not answer" in answer.text
    assert "/demo?period=today" in answer.text


def test_live_away_still_shows_what_is_published(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answerer.live = False
    answer = client.get("/demo?period=today")
    assert answer.status_code == 200
    assert "The live service is away" in answer.text


def test_empty_says_what_to_do(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answerer.has_data = False
    first = client.get("/new").text
    assert "/recount.js&#34; data-site=&#34;new&#34;" in first
    assert "recount demo" in first
    elsewhere = client.get("/log?metric=visits").text
    assert "17 May 2015" in elsewhere
    assert "from=2015-05-17&amp;to=2015-05-20" in elsewhere
    assert "metric=visits" in elsewhere


def test_the_chosen_metric_is_drawn(client: FlaskClient) -> None:
    answer = client.get("/demo?metric=bounce_rate")
    assert re.search(r'aria-current="true" data-metric="bounce_rate"', answer.text)
    assert 'aria-current="true" data-metric="visitors"' not in answer.text


def test_links_keep_the_state(client: FlaskClient) -> None:
    text = client.get("/demo?period=30d&metric=visits&sources=channel").text
    assert "?metric=visits&amp;sources=channel&amp;period=12mo" in text
    assert "?period=30d&amp;metric=visits&amp;sources=channel&amp;interval=hour" in text


def test_nothing_inline_that_the_policy_forbids(client: FlaskClient, answerer: FakeAnswerer) -> None:
    for path in ("/", "/demo", "/demo/page", "/nowhere", "/demo?period=12mo"):
        answer = client.get(path)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>|<script [^>]*>[^<]", answer.text), path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_live_numbers_are_kept_by_nobody(client: FlaskClient) -> None:
    answer = client.get("/demo?period=today")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


def test_settled_numbers_are_kept_for_a_moment_and_asked_for_by_etag(
    client: FlaskClient, answerer: FakeAnswerer
) -> None:
    answer = client.get(SETTLED)
    assert answer.headers["Cache-Control"] == "public, max-age=0, s-maxage=2"
    asking = {"If-None-Match": answer.headers["ETag"]}
    calls = answerer.calls
    again = client.get(SETTLED, headers=asking)
    assert again.status_code == 304
    assert not again.data
    assert again.headers["Cache-Control"] == "public, max-age=0, s-maxage=2"
    assert answerer.calls == calls  # no number was read for it
    assert client.get(SETTLED + "&metric=visits", headers=asking).status_code == 200
    answerer.version = "corrected"
    assert client.get(SETTLED, headers=asking).status_code == 200


def test_numbers_that_may_still_come_are_kept_by_nobody(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answerer.live = False
    assert client.get("/demo?period=today").headers["Cache-Control"] == "no-store"


def lists_of(page: str) -> list[str]:
    return [unescape(link) for link in re.findall(r'data-dialog href="([^"]+)"', page)]


def test_full_lists_of_settled_ranges_are_kept_for_ever_by_the_name_of_their_numbers(
    client: FlaskClient, answerer: FakeAnswerer
) -> None:
    links = lists_of(client.get(SETTLED).text)
    for link in (links[0], lists_of(client.get(links[0]).text)[1]):
        answer = client.get(link)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    answerer.version = "corrected"
    stale = client.get(links[0])
    assert (stale.status_code, stale.headers["Cache-Control"]) == (302, "no-store")
    fresh = client.get(stale.headers["Location"])
    assert "immutable" in fresh.headers["Cache-Control"]
    assert fresh.request.path == client.get(links[0], follow_redirects=True).request.path
    assert lists_of(client.get(SETTLED).text)[0] == stale.headers["Location"]


def test_running_ranges_have_no_such_name(client: FlaskClient) -> None:
    links = lists_of(client.get("/demo?period=today").text)
    assert links
    assert not [link for link in links if "g=" in link]
    answer = client.get(links[0] + "&g=of-yesterday")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("with_cookie", [True, False])
def test_who_says_who_they_are_gets_answers_of_their_own(client: FlaskClient, with_cookie: bool) -> None:
    listed = lists_of(client.get(SETTLED).text)[0]
    credential = {} if with_cookie else {"Authorization": "Bearer t"}
    if with_cookie:
        client.set_cookie("session", "mine")
    for path in (SETTLED, listed):
        assert client.get(path, headers=credential).headers["Cache-Control"] == "private, no-store"
    asset = re.search(r"/static/[^\"]+app\.css", client.get("/demo").text)
    assert asset is not None
    assert "immutable" in client.get(asset[0], headers=credential).headers["Cache-Control"]


def test_a_full_list_has_every_metric(client: FlaskClient) -> None:
    text = client.get("/demo/country?period=30d").text
    for expected in ("Bounce rate", "Visit duration", "Germany", "Spain"):
        assert expected in text
    assert "utm_term" not in text
    assert "Campaign terms" in client.get("/demo/utm_campaign").text


def test_an_unknown_list_leads_back(client: FlaskClient) -> None:
    assert client.get("/demo/shoe_size").headers["Location"] == "/demo"


def test_assets_may_be_kept_for_ever_and_nothing_else_is_served(client: FlaskClient) -> None:
    path = re.search(r"/static/[^\"]+app\.css", client.get("/demo").text)
    assert path is not None
    answer = client.get(path[0])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.get("/static/x/../__main__.py").status_code == 404
    assert client.get("/static/x/..%2f__main__.py").status_code == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200
