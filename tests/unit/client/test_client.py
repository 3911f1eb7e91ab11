"""The client against the real API, in process, on a fake of the store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
import pyarrow as pa
import pytest

import recount.client
from dashboard_svc.app import create_app
from recount.client import (
    ApiError,
    Client,
    Forbidden,
    InvalidQuery,
    NotFound,
    NotReachable,
    RateLimited,
    Unauthorized,
    Unavailable,
    tables,
)
from recount.client.api import PAGE_ROWS
from recount.client.http import ATTEMPTS_MAX, Http
from recount.client.tables import COUNTS, RATES, REVENUE
from recount.querying.query import LIMIT_MAX, METRICS
from recount.store.catalog import Site
from recount.store.memory_table import MemoryTable
from recount.store.tokens import Tokens
from tests.unit.dashboard.fake import NOW_MS, Door, FakeAnswerer, FakeLive, services

URL = "http://recount.example"
ZURICH = "Europe/Zurich"
SITES = (Site(id="demo", domain="demo.example", timezone=ZURICH), Site(id="log", domain="log.example"))


@pytest.fixture
def answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def served(answerer: FakeAnswerer, table: MemoryTable) -> httpx.WSGITransport:
    body: dict[str, Any] = {"as_of": NOW_MS, "published_until": None, "current_visitors": 3, "complete": True}
    body |= {"totals": {"visitors": 4, "revenue": {"EUR": "9.000000"}}}
    body |= {"minutes": [{"at": NOW_MS, "visitors": 2, "pageviews": 4}]}
    body |= {"top": {"page": [{"value": "/", "visitors": 4, "visits": 0, "pageviews": 6, "events": 0}]}}
    live = FakeLive(json.dumps(body).encode())
    made = services(answerer, *SITES, table=table, live=live, door=Door(per_client=50))
    return httpx.WSGITransport(create_app(made))


@pytest.fixture
def client(served: httpx.WSGITransport) -> Iterator[Client]:
    with Client(URL, transport=served) as made:
        yield made


def test_a_breakdown_is_a_data_frame(client: Client) -> None:
    pages = client.query("demo", metrics=["visitors", "visits"], dimensions=["page"], limit=3)
    assert list(pages.columns) == ["page", "visitors", "visits", "origin"]
    assert list(pages["page"]) == ["/", "/pricing", "/docs/getting-started"]
    assert pages["visitors"].dtype == pd.Int64Dtype()
    assert pages.attrs["published_until"] == datetime(2026, 11, 23, 13, tzinfo=UTC)
    assert pages.attrs["notes"] == ["Visitors of several days are the sum of daily visitors."]
    assert pages.attrs["query"]["dimensions"] == ["page"]


def test_a_series_has_moments_of_the_sites_zone(client: Client) -> None:
    days = client.query("demo", interval="day", date_range=(date(2026, 11, 10), "2026-11-12"))
    assert str(days["at"].dt.tz) == ZURICH
    assert days["at"].iloc[0].isoformat() == "2026-11-10T00:00:00+01:00"
    assert list(days["date"]) == [pd.Timestamp(f"2026-11-{day}") for day in (10, 11, 12)]
    assert days["date"].dtype.kind == "M"


def test_a_series_of_hours_has_local_times_beside(client: Client) -> None:
    hours = client.query("demo", interval="hour", date_range=("2026-10-25", "2026-10-25"))
    assert len(hours) == 25
    assert list(hours["date"].iloc[1:4].dt.hour) == [1, 2, 2]
    assert hours["at"].is_unique


def test_revenue_is_decimal(client: Client) -> None:
    events = client.query("demo", metrics=["events", "revenue"], dimensions=["event"])
    assert "revenue_EUR" in events
    assert all(isinstance(amount, Decimal) for amount in events["revenue_EUR"])
    total = client.query("demo", metrics=["revenue"])
    assert list(total["revenue"]) == [None]


def test_rates_are_numbers(client: Client) -> None:
    assert client.query("demo", metrics=["bounce_rate"])["bounce_rate"].dtype == "float64"


def test_arrow(client: Client) -> None:
    pages = client.query("demo", dimensions=["page"], interval=None, as_="arrow")
    assert isinstance(pages, pa.Table)
    assert pages.schema.field("visitors").type == pa.int64()
    about = json.loads(pages.schema.metadata[b"recount"])
    assert about["published_until"] == "2026-11-23T13:00:00+00:00"
    assert about["notes"]


def test_a_comparison_is_beside_what_it_is_compared_with() -> None:
    change = {"visitors": 0.5, "revenue": None}
    before = {"visitors": 2, "revenue": {"EUR": "1.00"}, "origin": "published"}
    rows = [
        {
            "page": "/",
            "visitors": 3,
            "revenue": {},
            "origin": "published",
            "comparison": before,
            "change": change,
        }
    ]
    made = tables.frame(
        tables.table([*rows, {"page": "/new", "visitors": 1, "comparison": None}], "UTC", {}), {}
    )
    assert list(made["visitors_before"]) == [2, pd.NA]
    assert made["visitors_change"].iloc[0] == 0.5
    assert made["revenue_before_EUR"].iloc[0] == Decimal(1)
    assert made["visitors_change"].dtype == "float64"


def test_all_rows_are_those_of_all_pages() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/sites":
            return httpx.Response(200, json={"sites": []})
        body = json.loads(request.content)
        asked.append(body)
        page = int(body.get("cursor", "0"))
        following = str(page + 1) if page < 2 else None
        body = {
            "rows": [{"page": f"/{page}", "visitors": page}],
            "next": following,
            "notes": [f"n{page // 2}"],
        }
        return httpx.Response(200, json=body)

    with Client(URL, transport=httpx.MockTransport(answer)) as client:
        pages = client.query("demo", dimensions=["page"], all_rows=True, timezone="UTC")
    assert list(pages["page"]) == ["/0", "/1", "/2"]
    assert pages.attrs["notes"] == ["n0", "n1"]
    assert [body.get("cursor") for body in asked] == [None, "1", "2"]
    assert {body["limit"] for body in asked} == {PAGE_ROWS}


def test_nothing_counted_is_an_empty_frame(client: Client, answerer: FakeAnswerer) -> None:
    answerer.has_data = False
    empty = client.query("demo", dimensions=["page"], metrics=["visitors", "revenue"])
    assert empty.empty
    assert list(empty.columns) == ["page", "visitors", "revenue"]
    assert empty["visitors"].dtype == pd.Int64Dtype()
    assert client.query("demo", dimensions=["page"]).attrs["notes"]


def test_live_numbers(client: Client) -> None:
    live = client.live("demo", minutes=5)
    assert (live.current_visitors, live.complete, live.published_until) == (3, True, None)
    assert live.as_of == datetime.fromtimestamp(NOW_MS / 1000, UTC)
    assert live.totals["revenue"] == {"EUR": Decimal(9)}
    assert live.minutes["at"].iloc[0] == pd.Timestamp(NOW_MS, unit="ms", tz=ZoneInfo(ZURICH))
    assert list(live.top["page"]["value"]) == ["/"]


def test_sites(client: Client) -> None:
    assert list(client.sites()["id"]) == ["demo", "log"]


def test_a_token_opens_its_sites(served: httpx.WSGITransport, table: MemoryTable) -> None:
    _, token = Tokens(table).add("notebook", ["demo"], ["stats:read"], now_ms=NOW_MS)
    with Client(URL, token, transport=served) as client:
        assert list(client.sites()["id"]) == ["demo"]
        assert client.zone("demo") == ZURICH
        with pytest.raises(Forbidden) as caught:
            client.query("log")
    assert (caught.value.status, caught.value.kind, caught.value.field) == (403, "forbidden", "site")
    with (
        Client(URL, "rcs_wrong", transport=served) as client,
        pytest.raises(Unauthorized, match="recount tokens add"),
    ):
        client.query("demo")


def test_errors_say_which_field_and_what_to_do(client: Client, answerer: FakeAnswerer) -> None:
    with pytest.raises(InvalidQuery, match="no metric 'happiness'; known: visitors") as caught:
        client.query("demo", metrics=["happiness"])
    assert caught.value.field == "metrics"
    assert caught.value.remedy in str(caught.value)
    with pytest.raises(InvalidQuery) as caught:
        client.query("demo", colour="red")
    assert caught.value.field == "colour"
    with pytest.raises(NotFound):
        client.live("nobody")


@pytest.mark.parametrize(("status", "raised"), [(429, RateLimited), (503, Unavailable)])
def test_what_stays_away_is_an_error_after_some_patience(status: int, raised: type[ApiError]) -> None:
    waits: list[float] = []
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, text="Not now.\n", headers={"Retry-After": "7"})

    with pytest.raises(raised, match="Not now"):
        _http(answer, waits.append).get("/")
    assert waits == [7.0] * (ATTEMPTS_MAX - 1)
    assert len(asked) == ATTEMPTS_MAX


def test_what_comes_back_is_waited_for() -> None:
    answers = [
        httpx.Response(503),
        httpx.Response(429, headers={"Retry-After": "2"}),
        httpx.Response(200, json=1),
    ]
    waits: list[float] = []
    assert _http(lambda _: answers.pop(0), waits.append).get("/") == 1
    assert waits == [0.5, 2.0]


def test_a_wait_that_is_too_long_is_not_waited() -> None:
    waits: list[float] = []
    with pytest.raises(RateLimited):
        _http(lambda _: httpx.Response(429, headers={"Retry-After": "3600"}), waits.append).get("/")
    assert waits == []


def test_nobody_answers() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    waits: list[float] = []
    with pytest.raises(NotReachable, match="recount status"):
        _http(refuse, waits.append).get("/")
    assert len(waits) == ATTEMPTS_MAX - 1


def test_other_failures_are_told_as_they_are() -> None:
    with pytest.raises(ApiError, match="bad gateway"):
        _http(lambda _: httpx.Response(502, text="bad gateway"), lambda _: None).get("/")


def _http(answer: Callable[[httpx.Request], httpx.Response], sleep: Callable[[float], Any]) -> Http:
    return Http(URL, None, timeout_s=1, transport=httpx.MockTransport(answer), sleep=sleep)


def test_every_metric_has_a_type() -> None:
    assert set(METRICS) <= COUNTS | RATES | {REVENUE}
    assert PAGE_ROWS == LIMIT_MAX


def test_it_needs_nothing_of_the_services() -> None:
    heavy = ["boto3", "botocore", "flask", "polars", "dagster", "confluent_kafka", "granian", "amazondax"]
    heavy += ["msgspec", "recount.store", "recount.querying", "recount.counting", "recount.settings"]
    code = f"import sys, recount.client; print([name for name in {heavy} if name in sys.modules])"
    source = str(Path(recount.client.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout.strip() == "[]"
