"""The Stats API, on a fake of the store."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from dashboard_svc.api.bodies import BODY_MAX_BYTES
from dashboard_svc.api.query import PATH
from tests.unit.dashboard.fake import FakeAnswerer

PAGES = {"site": "demo", "dimensions": ["page"], "metrics": ["visitors", "pageviews"], "limit": 2}


def test_a_query_is_answered(client: FlaskClient) -> None:
    answer = client.post(PATH, json=PAGES | {"date_range": "today"})
    assert answer.status_code == 200
    body = answer.get_json()
    assert [row["page"] for row in body["rows"]] == ["/", "/pricing"]
    assert set(body["rows"][0]) == {"page", "visitors", "pageviews", "origin"}
    assert body["published_until"] == "2026-11-23T13:00:00Z"
    assert body["live_as_of"] == "2026-11-23T13:33:59Z"
    assert body["notes"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_parameters_do_as_well(client: FlaskClient) -> None:
    what = "site=demo&metrics=visitors,pageviews&dimensions=page&limit=2"
    path = f"{PATH}?{what}&date_range=2026-11-10,2026-11-12"
    answer = client.get(path)
    ranged = PAGES | {"date_range": ["2026-11-10", "2026-11-12"]}
    assert answer.get_json() == client.post(PATH, json=ranged).get_json()
    assert "s-maxage" in answer.headers["Cache-Control"]
    assert client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_filters_do_in_an_address_as_well(client: FlaskClient, answerer: FakeAnswerer) -> None:
    filters = [
        {"dimension": "page", "operator": "contains", "values": ["/docs/", "a,b&c"]},
        {"dimension": "prop:plan", "operator": "not", "values": ["p1"]},
    ]
    asked = {"site": "demo", "filters": orjson.dumps(filters).decode()}
    assert client.get(PATH, query_string=asked).status_code == 200
    assert client.post(PATH, json={"site": "demo", "filters": filters}).status_code == 200
    by_address, by_body = answerer.asked
    assert by_address == by_body
    assert len(by_body.filters) == 2


@pytest.mark.parametrize(
    ("filters", "field", "says"),
    [
        ("page~x", "filters", "filters is no JSON"),
        ("", "filters", "filters is no JSON"),
        ("[" * 17 + "]" * 17, "filters", "16 levels"),
        ("{}", "filters", "a list of at most 20"),
        ('[{"dimension": "page", "dimension": "os"}]', "dimension", "given twice"),
        ('[{"dimension": "shoe", "operator": "equals", "values": ["44"]}]', "filters[0].dimension", "shoe"),
    ],
)
def test_bad_filters_in_an_address(client: FlaskClient, filters: str, field: str, says: str) -> None:
    answer = client.get(PATH, query_string={"site": "demo", "filters": filters})
    problem = answer.get_json(force=True)
    assert (answer.status_code, problem["field"]) == (400, field)
    assert says in problem["detail"]


def test_an_answer_may_be_kept_for_ever_by_its_version(client: FlaskClient, answerer: FakeAnswerer) -> None:
    path = f"{PATH}?site=demo&date_range=2026-11-10,2026-11-12&limit=2"
    version = client.get(path).headers["Recount-Version"]
    kept = client.get(f"{path}&g={version}")
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    answerer.version = "corrected"
    stale = client.get(f"{path}&g={version}")
    assert (stale.status_code, stale.headers["Cache-Control"]) == (302, "no-store")
    present = client.get(path).headers["Recount-Version"]
    assert stale.headers["Location"] == f"{path}&g={present}"
    assert client.get(stale.headers["Location"]).headers["Cache-Control"] == kept.headers["Cache-Control"]


def test_several_queries_are_one_look_at_the_store(client: FlaskClient, answerer: FakeAnswerer) -> None:
    body = client.post(PATH, json=[PAGES, {"site": "demo", "interval": "day"}]).get_json()
    assert [len(part["rows"]) for part in body["answers"]] == [2, 7]
    assert answerer.calls == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (PAGES | {"site": "nobody"}, "site"),
        (PAGES | {"metrics": ["happiness"]}, "metrics"),
        (PAGES | {"dimensions": ["shoe_size"]}, "dimensions"),
        (PAGES | {"date_range": "fortnight"}, "date_range"),
        (PAGES | {"limit": 0}, "limit"),
        (PAGES | {"colour": "red"}, "colour"),
        ([PAGES, PAGES | {"site": "log"}], "site"),
        ([], None),
        ("visitors", None),
    ],
)
def test_errors_are_problems_that_name_the_field(client: FlaskClient, body: Any, field: str | None) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json(force=True)
    assert {"type", "title", "detail"} <= set(problem)
    assert problem.get("field") == field


@pytest.mark.parametrize(
    "query", ["limit=many&site=demo", "site=demo&filters=x", "date_range=a,b,c&site=demo"]
)
def test_bad_parameters(client: FlaskClient, query: str) -> None:
    assert client.get(f"{PATH}?{query}").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 1000,
        b"[" * 17 + b"]" * 17,
        b'{"site": NaN}',
        b'{"site": "\\ud800"}',
        b"[" * 32_000,
    ],
)
def test_no_json(client: FlaskClient, body: bytes) -> None:
    answer = client.post(PATH, data=body)
    assert answer.status_code == 400
    assert "JSON" in answer.get_json(force=True)["detail"]


def test_what_could_be_meant_in_two_ways_is_asked_back(client: FlaskClient) -> None:
    answer = client.post(PATH, data=b'{"site": "demo", "limit": 1, "limit": 2}')
    assert (answer.status_code, answer.get_json(force=True)["field"]) == (400, "limit")


def test_what_is_no_json_by_its_own_word(client: FlaskClient) -> None:
    answer = client.post(PATH, data="site=demo", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content_type) == (415, "application/problem+json")
    assert "Content-Type: application/json" in answer.get_json(force=True)["detail"]


def test_too_large(client: FlaskClient) -> None:
    answer = client.post(PATH, data=b" " * (BODY_MAX_BYTES + 1))
    assert (answer.status_code, answer.content_type) == (413, "application/problem+json")


def test_tables_away(client: FlaskClient, answerer: FakeAnswerer) -> None:
    answerer.away = True
    answer = client.post(PATH, json=PAGES)
    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"]


def test_other_methods_and_other_origins(client: FlaskClient) -> None:
    answer = client.put(PATH, json=PAGES, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 405
    assert answer.content_type == "application/problem+json"
    assert "POST" in answer.headers["Allow"]
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]
    assert client.get("/api/v1/nothing").content_type == "application/problem+json"


def test_an_answer_is_explained_when_asked_for(client: FlaskClient) -> None:
    body = client.post(PATH, json=PAGES | {"explain": True}).get_json()
    assert body["explain"]["periods"] == [["day/2026-11-22", "g1"]]
    assert "explain" not in client.post(PATH, json=PAGES | {"explain": False}).get_json()
    several = client.post(PATH, json=[PAGES, PAGES | {"explain": True}]).get_json()
    assert several["explain"] == body["explain"]
    refused = client.post(PATH, json=PAGES | {"explain": "yes"})
    assert (refused.status_code, refused.get_json()["field"]) == (400, "explain")
