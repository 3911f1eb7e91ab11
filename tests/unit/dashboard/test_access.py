"""Tokens, scopes and rate limits of the API, on a fake of the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dashboard_svc.access.gate import are_required, scope_of
from dashboard_svc.access.known_tokens import KEPT_S, KnownTokens
from dashboard_svc.access.rates import CALLERS_MAX, Rates, client_key
from dashboard_svc.app import create_app
from recount.errors import SetupError
from recount.store.catalog import Catalog
from recount.store.memory_table import MemoryTable
from recount.store.tokens import DAY_MS, Tokens
from tests.unit.dashboard.conftest import SITES
from tests.unit.dashboard.fake import NOW_MS, Door, FakeAnswerer, FakeLive, services

QUERY = "/api/v1/query"


@dataclass
class Api:
    """The API behind a door, and tokens for it."""

    door: Door = field(default_factory=Door)
    answerer: FakeAnswerer = field(default_factory=FakeAnswerer)
    live: FakeLive = field(default_factory=FakeLive)
    table: MemoryTable = field(default_factory=MemoryTable)

    def __post_init__(self) -> None:
        made = services(self.answerer, *SITES, table=self.table, door=self.door, live=self.live)
        self.http: FlaskClient = create_app(made).test_client()
        self.tokens = Tokens(self.table)

    def token(self, *sites: str, scopes: tuple[str, ...] = ("stats:read",), **given: Any) -> str:
        return self.tokens.add("a test", sites or ("demo",), scopes, now_ms=NOW_MS, **given)[1]

    def ask(self, token: str | None = None, path: str = f"{QUERY}?site=demo", **headers: str) -> TestResponse:
        given = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.http.get(path, headers=given | headers)


def problem(answer: TestResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    body = answer.get_json(force=True)
    assert body["status"] == answer.status_code
    return answer.status_code, str(body["type"]).removeprefix("/problems/")


def test_a_token_opens_its_sites_only() -> None:
    api = Api()
    token = api.token("demo")
    assert api.ask(token).status_code == 200
    foreign, absent = (api.ask(token, f"{QUERY}?site={site}") for site in ("log", "nobody"))
    assert problem(foreign) == problem(absent) == (403, "forbidden")
    said = [answer.get_data(as_text=True) for answer in (foreign, absent)]
    assert said[0].replace("log", "nobody") == said[1]
    assert (
        problem(api.http.post(QUERY, json=[{"site": "demo"}, {"site": "log"}], headers=bearer(token)))[0]
        == 403
    )
    assert problem(api.ask(token, "/api/v1/live/log"))[0] == 403
    assert api.live.asked == []


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_everything_may_be_read_where_none_is_required() -> None:
    api = Api()
    assert api.ask().status_code == 200
    assert len(api.ask(path="/api/v1/sites").get_json()["sites"]) == 3
    assert problem(api.ask(path=f"{QUERY}?site=nobody")) == (400, "invalid-query")


def test_required_tokens() -> None:
    api = Api(Door(required=True))
    answer = api.ask()
    assert problem(answer) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Recount"'
    assert api.ask(api.token()).status_code == 200


def test_the_sites_of_a_token() -> None:
    api = Api()
    sites = api.ask(api.token("demo", "new"), "/api/v1/sites").get_json()["sites"]
    assert [site["id"] for site in sites] == ["demo", "new"]
    assert sites[0] == {
        "id": "demo", "domain": "demo.example", "timezone": "UTC", "currency": "EUR", "goals": []
    }  # fmt: skip


def test_tokens_that_open_nothing() -> None:
    api = Api()
    expired, revoked = api.token(expires_ms=NOW_MS), api.token()
    api.tokens.revoke(next(t.id for t, _ in api.tokens.all() if t.expires_ms is None), NOW_MS)
    sending = Catalog(api.table).new_token("demo")
    for token, said in [
        (expired, "expired"),
        (revoked, "revoked"),
        ("rcs_nonsense", "no such token"),
        (sending, "site token"),
        ("\xff", "no such token"),
    ]:
        answer = api.ask(token)
        assert problem(answer) == (401, "unauthorized"), said
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert said in answer.get_json(force=True)["detail"]
        assert answer.headers["Cache-Control"] == "private, no-store"
    for header in ("Basic abc", "Bearer", "Bearer "):
        assert problem(api.http.get(f"{QUERY}?site=demo", headers={"Authorization": header}))[0] == 401


def test_a_revocation_is_seen_when_the_token_is_read_again() -> None:
    tokens, moment = Tokens(MemoryTable()), [0.0]
    made, secret = tokens.add("a test", ["demo"], ["export"], now_ms=NOW_MS)
    known = KnownTokens(tokens, clock=lambda: moment[0])
    assert known.find(secret) == made
    revoked = tokens.revoke(made.id, NOW_MS)
    moment[0] = KEPT_S - 0.01
    assert known.find(secret) == made
    moment[0] = KEPT_S
    assert known.find(secret) == revoked


def test_a_scope_that_is_lacking() -> None:
    api = Api()
    answer = api.ask(api.token(scopes=("export",)))
    assert problem(answer) == (403, "forbidden")
    assert 'error="insufficient_scope", scope="stats:read"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/api/v1/query", "stats:read"),
        ("/api/v1/export", "export"),
        ("/api/v1/export/events", "export"),
        ("/api/v1/exports", "stats:read"),
        ("/api/v1/docs", None),
    ],
)
def test_what_an_address_takes(path: str, scope: str | None) -> None:
    assert scope_of(path) == scope


def test_the_last_use_is_noted_about_once_a_minute() -> None:
    api = Api()
    token = api.token()
    assert api.tokens.all()[0][1] is None
    api.ask(token)
    api.answerer.now_ms += 1_000
    api.ask(token)
    assert api.tokens.all()[0][1] == NOW_MS
    api.answerer.now_ms += DAY_MS
    api.ask(token)
    assert api.tokens.all()[0][1] == api.answerer.now_ms


def test_answers_to_tokens_are_kept_by_nobody() -> None:
    api = Api()
    path = f"{QUERY}?site=demo&date_range=2026-11-10,2026-11-12"
    assert "s-maxage" in api.ask(path=path).headers["Cache-Control"]
    assert api.ask(api.token(), path).headers["Cache-Control"] == "private, no-store"


def test_a_token_has_a_rate_of_its_own() -> None:
    api = Api(Door(per_token=2, per_client=1))
    one, other = api.token(), api.token()
    first = api.ask(one)
    assert first.headers["RateLimit-Policy"] == '"token";q=2;w=60'
    assert [first.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining")] == ["2", "1"]
    assert 1 <= int(first.headers["RateLimit-Reset"]) <= 60
    assert api.ask(one).status_code == 200
    refused = api.ask(one)
    assert problem(refused) == (429, "rate-limited")
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"]
    assert refused.headers["RateLimit"].startswith('"token";r=0;t=')
    assert api.ask(other).status_code == 200
    assert api.ask().status_code == 200
    assert api.ask().status_code == 429


def test_guessing_tokens_is_counted_by_address() -> None:
    api = Api(Door(per_client=2))
    assert [api.ask(f"rcs_guess{n}").status_code for n in range(3)] == [401, 401, 429]


def test_whose_address_counts_behind_a_proxy() -> None:
    for proxies, statuses in [("", [200, 429]), ("127.0.0.0/8", [200, 200])]:
        api = Api(Door(per_client=1, proxies=proxies))
        said = [api.ask(**{"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(2)]
        assert said == statuses


def test_several_instances_share_a_limit() -> None:
    rates = Rates(12, 0, lambda: 3)
    told = [rates.count("token", "a") for _ in range(5)]
    assert [(rate.remaining, rate.is_exceeded) for rate in told if rate] == [
        (9, False), (6, False), (3, False), (0, False), (0, True)
    ]  # fmt: skip
    assert Rates(2, 0, lambda: 9).count("token", "a").is_exceeded is False  # type: ignore[union-attr]


def test_callers_beyond_what_is_remembered_are_counted_together() -> None:
    rates = Rates(0, 1, lambda: 1)
    for n in range(CALLERS_MAX):
        rates.count("client", f"client {n}")
    beyond = [rates.count("client", name) for name in ("x", "y")]
    assert [rate.is_exceeded for rate in beyond if rate] == [False, True]


@pytest.mark.parametrize(
    ("address", "key"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"), ("", "unknown")],
)
def test_who_is_counted_together(address: str, key: str) -> None:
    assert client_key(address) == key


@pytest.mark.parametrize(
    ("mode", "host", "required"),
    [
        ("", "127.0.0.1", False),
        ("", "::1", False),
        ("", "localhost", False),
        ("", "0.0.0.0", True),
        ("required", "127.0.0.1", True),
        ("optional", "127.0.0.1", False),
        ("required", "10.0.0.1", True),
    ],
)
def test_where_tokens_are_required(mode: str, host: str, required: bool) -> None:
    assert are_required(mode, host) is required


@pytest.mark.parametrize(("mode", "host"), [("optional", "0.0.0.0"), ("maybe", "127.0.0.1")])
def test_settings_that_would_show_everything(mode: str, host: str) -> None:
    with pytest.raises(SetupError, match="RECOUNT_API_TOKENS"):
        are_required(mode, host)


def test_live_numbers() -> None:
    api = Api()
    assert api.ask(api.token(), "/api/v1/live/demo?minutes=5").get_json()["current_visitors"] == 3
    assert api.live.asked == [("demo", 5)]
    assert problem(api.ask(path="/api/v1/live/nobody")) == (404, "not-found")
    assert problem(api.ask(path="/api/v1/live/demo?minutes=0")) == (400, "invalid-query")
    assert problem(api.ask(path="/api/v1/live/demo?colour=red")) == (400, "invalid-query")
    api.live.body = None
    away = api.ask(path="/api/v1/live/demo")
    assert problem(away) == (503, "unavailable")
    assert away.headers["Retry-After"]


@pytest.mark.parametrize("site", ["", "x" * 5_000, "\x00"])
def test_sites_that_no_table_could_have(site: str) -> None:
    assert problem(Api().http.post(QUERY, json={"site": site})) == (400, "invalid-query")
