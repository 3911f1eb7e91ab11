"""The Stats API through HAProxy and Traefik, and on two dashboards: tokens, limits, and the cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from deploy.local.layout import ROOT
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from recount.client import Client, Forbidden, InvalidQuery, Unauthorized
from recount.settings import Settings
from recount.store.catalog import Site
from recount.store.tables import open_tables
from tests.integration.front_door import FrontDoor
from tests.publishing import Press
from tests.rollups import hour_rollup
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = pytest.mark.stack

DAY: Final = "2015-04-02"
MINE, OTHER = "api-mine", "api-other"
QUERY: Final = f"/api/v1/query?site={MINE}&metrics=pageviews&date_range={DAY},{DAY}"
EXAMPLES: Final = 15


@pytest.fixture(scope="module")
def front(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> FrontDoor:
    made = FrontDoor(stack_parts)
    tables = open_tables(made.settings)
    sites = {name: Site(id=name, domain=f"{name}.example") for name in (MINE, OTHER)}
    for site in sites.values():
        made.catalog.add(site)
    press = Press(
        tmp_path_factory.mktemp("press"),
        rollups=tables.rollups,
        roots=tables.manifests,
        sites=sites,
        slots=made.settings.site_slots,
        clock_ms=time.time_ns() // 1_000_000,  # months that others are still writing are not over
    )
    press.publish(
        {
            f"{DAY}T10": hour_rollup(f"{DAY}T10", [MINE, OTHER]),
            "2015-04-03T10": hour_rollup("2015-04-03T10", [MINE]),
        }
    )
    eventually(lambda: bool(made.http.get(QUERY).json()["rows"][0]["pageviews"]), "it is published")
    return made


def token_of(stack: TestStack, *options: str) -> tuple[str, str]:
    """A new token's id and secret, from the command line."""
    done = stack.recount("tokens", "add", "--name", "a test", "--json", *options)
    assert done.returncode == 0, done.stderr
    made = orjson.loads(done.stdout)
    return made["id"], made["token"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def dashboard(settings: Settings) -> Iterator[str]:
    """One more dashboard with these settings, once it answers."""
    env = {**os.environ, **settings.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}
    process = subprocess.Popen([sys.executable, "-m", "dashboard_svc"], cwd=ROOT, env=env)
    url = f"http://{settings.host}:{settings.dashboard_port}"

    def answers() -> bool:
        assert process.poll() is None, "it ended"
        try:
            return httpx.get(url + "/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(answers, "the dashboard answers")
        yield url
    finally:
        process.kill()
        process.wait(30)


def beside(front: FrontDoor, folder: Path, **changes: Any) -> Settings:
    """The settings of a dashboard on the same tables that the front does not know."""
    own = free_settings(folder)
    return replace(
        own,
        dynamodb=front.settings.dynamodb,
        dax="",
        table_prefix=front.settings.table_prefix,
        site_slots=front.settings.site_slots,
        **changes,
    )


def test_a_token_through_the_front(front: FrontDoor) -> None:
    token_id, token = token_of(front.stack, "--site", MINE)
    answer = front.http.get(QUERY, headers=bearer(token))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["RateLimit-Policy"].startswith('"token";q=')
    assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])
    refused = front.http.get(QUERY.replace(MINE, OTHER), headers=bearer(token))
    assert (refused.status_code, refused.headers["Content-Type"]) == (403, "application/problem+json")
    unknown = front.http.get(QUERY, headers=bearer("rcs_unknown"))
    assert unknown.status_code == 401
    assert 'error="invalid_token"' in unknown.headers["WWW-Authenticate"]
    listed = orjson.loads(front.stack.recount("tokens", "list", "--json").stdout)
    [mine] = [one for one in listed if one["id"] == token_id]
    assert mine["used_ms"]
    assert token.partition("_")[2] not in repr(listed)


def test_the_cache_gives_an_answer_for_a_token_to_nobody(front: FrontDoor) -> None:
    """Neither from what it was given for one, nor to one from what it holds for all."""
    _, token = token_of(front.stack, "--site", MINE)
    _, foreign = token_of(front.stack, "--site", OTHER)
    named = QUERY + "&g=" + front.http.get(QUERY).headers["Recount-Version"]
    for _ in range(3):
        mine = front.http.get(named, headers=bearer(token))
        assert (mine.status_code, mine.headers.get("Recount-Cache")) == (200, None)
    eventually(lambda: front.http.get(named).headers.get("Recount-Cache") == "hit", "it is kept for all")
    for other, status in [(foreign, 403), ("rcs_unknown", 401), (token, 200)]:
        answer = front.http.get(named, headers=bearer(other))
        assert (answer.status_code, answer.headers.get("Recount-Cache")) == (status, None)
        assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_revocation_is_seen_by_every_instance(front: FrontDoor, tmp_path: Path) -> None:
    token_id, token = token_of(front.stack, "--site", MINE)
    with dashboard(beside(front, tmp_path)) as url:
        addresses = [front.url + QUERY, url + QUERY]

        def statuses() -> list[int]:
            return [httpx.get(one, headers=bearer(token), trust_env=False).status_code for one in addresses]

        assert statuses() == [200, 200]
        revoked = front.stack.recount("tokens", "revoke", token_id)
        assert revoked.returncode == 0, revoked.stderr
        eventually(lambda: statuses() == [401, 401], "both refuse it")
    assert front.stack.recount("tokens", "revoke", "nonsense").returncode == 1


def test_limits_and_required_tokens(front: FrontDoor, tmp_path: Path) -> None:
    _, token = token_of(front.stack, "--site", MINE)
    own = beside(front, tmp_path, api_tokens="required", api_token_requests_per_minute=3)
    with dashboard(own) as url, httpx.Client(base_url=url, trust_env=False) as http:
        without = http.get(QUERY)
        assert (without.status_code, without.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Recount"')
        assert http.get("/api/v1/docs").status_code == 200
        answers = [http.get(QUERY, headers=bearer(token)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert answers[-1].json()["type"] == "/problems/rate-limited"
        assert http.get("/api/v1/query", headers={"Host": "evil.example"}).json()["status"] == 421


def test_a_dashboard_that_would_show_everything_does_not_start(front: FrontDoor, tmp_path: Path) -> None:
    own = beside(front, tmp_path, api_tokens="optional", host="0.0.0.0")
    env = {**os.environ, **own.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}
    done = subprocess.run(
        [sys.executable, "-m", "dashboard_svc"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "RECOUNT_API_TOKENS=optional" in done.stderr + done.stdout


def test_a_notebook(front: FrontDoor) -> None:
    _, token = token_of(front.stack, "--site", MINE)
    with Client(front.url, token) as client:
        day = client.query(MINE, metrics=["pageviews"], interval="hour", date_range=(DAY, DAY))
        assert len(day) == 24
        assert day["pageviews"].sum() == front.http.get(QUERY).json()["rows"][0]["pageviews"]
        assert str(day["at"].dt.tz) == "UTC"
        assert client.live(MINE).current_visitors == 0
        with pytest.raises(Forbidden):
            client.live(OTHER)
        with pytest.raises(InvalidQuery, match="no such range"):
            client.query(MINE, date_range="fortnight")
    with Client(front.url, "rcs_unknown") as client, pytest.raises(Unauthorized):
        client.sites()


def test_the_answers_are_as_described(front: FrontDoor) -> None:
    api = front.http.get("/api/v1/openapi.json").json()
    known = {"type": "string", "enum": [MINE]}
    text = re.sub(
        rb'\{"type":"string","minLength":1,"maxLength":64[^}]*\}', orjson.dumps(known), orjson.dumps(api)
    )
    schema: Any = schemathesis.openapi.from_dict(orjson.loads(text))
    schema.config.update(base_url=front.url)
    quick = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    for path, operations in api["paths"].items():
        for method in operations:
            strategy = schema[path][method].as_strategy()

            @given(case=strategy)
            @quick
            def conforms(case: schemathesis.Case[Any]) -> None:
                case.call_and_validate(excluded_checks=[positive_data_acceptance, unsupported_method])

            conforms()
