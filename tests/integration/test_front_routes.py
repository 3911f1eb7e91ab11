"""What the front leads where, and what it leads nowhere."""

from __future__ import annotations

import stat

import httpx
import psutil
import pytest

from deploy.local.operator import operator_password, password_file
from tests.integration.front_door import BROWSER, FrontDoor
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def front(stack_parts: TestStack) -> FrontDoor:
    return FrontDoor(stack_parts)


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type"),
    [
        ("GET", "/recount.js", 200, "text/javascript; charset=utf-8"),
        ("GET", "/p.gif?site=nobody", 200, "image/gif"),
        ("OPTIONS", "/v1/events", 204, ""),
        ("POST", "/v1/events", 400, "application/json"),
        ("POST", "/v1/import", 400, "application/json"),
        ("POST", "/v1/import/some-id/close", 403, "application/json"),
        ("GET", "/demo", 200, "text/html; charset=utf-8"),
        ("GET", "/api/v1/query?site=demo", 200, "application/json"),
        ("GET", "/static/none/app.css", 200, "text/css; charset=utf-8"),
        ("GET", "/nobody", 404, "text/html; charset=utf-8"),
        ("GET", "/v1/spool", 404, "text/html; charset=utf-8"),  # of the ingest: not for the outside
        ("GET", "/v1/live/demo", 404, ""),
        ("GET", "/healthz", 200, "text/html"),
    ],
)
def test_paths_lead_to_their_service(
    front: FrontDoor, method: str, path: str, status: int, content_type: str
) -> None:
    answer = front.http.request(method, path)
    assert answer.status_code == status, answer.text
    if content_type:
        assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%6detrics", "//metrics", "/x/../metrics", "/ping"])
def test_what_services_tell_operators_is_not_told_outside(front: FrontDoor, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert front.raw(request.encode()).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "path",
    [
        "/;csv",
        "/haproxy?stats",
        "/dashboard/",
        "/api/rawdata",
        "/api/http/routers",
        "/v1/catalog/services",
        "/ui/",
    ],
)
def test_admin_surfaces_are_not_reached_through_the_front(front: FrontDoor, path: str) -> None:
    answer = front.http.get(path, follow_redirects=True)
    assert answer.status_code == 404
    assert "Recount" in answer.text or answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["live", "ingest", "dashboard", "traefik", "consul", "live.example"])
def test_a_host_that_names_a_service_leads_no_nearer_to_it(front: FrontDoor, host: str) -> None:
    for path in ("/v1/live/demo", "/v1/spool", "/metrics", "/readyz"):
        answer = front.http.get(path, headers={"Host": host})
        assert answer.status_code in (404, 421), (path, answer.text)


def test_everybody_is_sent_to_the_front_once_it_is_open(front: FrontDoor) -> None:
    assert front.stack.urls["front"] == front.url
    added = front.stack.recount("sites", "add", f"{front.site}.example")
    assert f'src="{front.url}/recount.js"' in added.stdout, added.stderr
    empty = front.http.get(f"/{front.site}.example?period=30d")
    assert f"{front.url}/recount.js" in empty.text


def test_traefik_has_routes_of_ours_only(front: FrontDoor) -> None:
    admin = f"http://127.0.0.1:{front.settings.traefik_admin_port}"
    routers = httpx.get(f"{admin}/api/http/routers", trust_env=False).json()
    reachable = {
        r["name"] for r in routers if "web" in r["entryPoints"] and r["rule"] != "Path(`/`) && !Path(`/`)"
    }
    assert reachable == {
        *("collect@file", "collect-large@file", "import@file", "dagster@file"),
        *("operator@file", "dashboard@file", "away@file", "ping@file"),
    }
    assert all(router["status"] == "enabled" for router in routers), routers


def test_admin_ports_listen_on_loopback(front: FrontDoor) -> None:
    s = front.settings
    ports = {s.front_admin_port, s.traefik_admin_port, s.front_port, s.traefik_port}
    listening = {
        address.port: address.ip
        for address in (c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        if address and address.port in ports
    }
    assert listening == dict.fromkeys(ports, "127.0.0.1")


def test_dagster_is_for_operators(front: FrontDoor) -> None:
    front.stack.need("dagster-webserver")
    password = operator_password(front.settings.state)
    assert stat.S_IMODE(password_file(front.settings.state).stat().st_mode) == 0o600
    right, wrong = ("operator", password), ("operator", password[::-1])
    for path in ("/dagster", "/dagster/server_info", "/%64agster/server_info", "/x/../dagster/server_info"):
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        assert front.raw(request.encode()).startswith(b"HTTP/1.1 401"), path
    assert front.http.get("/dagster/server_info", auth=wrong).status_code == 401
    answer = front.http.get("/dagster/server_info", auth=right)
    assert answer.status_code == 200
    assert "dagster_version" in answer.json()
    assert front.http.get("/dagster/server_info").status_code == 401  # and nothing of it was kept
    asked = {"query": "{ version }"}
    assert front.http.post("/dagster/graphql", json=asked, auth=right).json()["data"]["version"]


def test_pages_of_operators_are_for_operators(front: FrontDoor) -> None:
    front.stack.need("dashboard")
    right = ("operator", operator_password(front.settings.state))
    for path in (
        "/operator",
        "/operator/",
        "/%6fperator/",
        "/x/../operator/",
        "//operator/",
        "/operator/reprocessings/x",
    ):
        for claim in ("", "Recount-Operator: operator\r\n"):
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{claim}Connection: close\r\n\r\n"
            told = front.raw(request.encode())
            assert not told.startswith(b"HTTP/1.1 200"), path
            assert b"Reprocessings" not in told, path
    assert front.http.get("/operator/").status_code == 401
    answer = front.http.get("/operator/", auth=right)
    assert (answer.status_code, "Reprocessings" in answer.text) == (200, True)
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert front.http.get("/operator/").status_code == 401  # and nothing of it was kept


def test_an_event_through_the_front_is_counted(front: FrontDoor) -> None:
    answer = front.send()
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})
    query = {"site": front.site, "metrics": ["pageviews"], "date_range": "today"}

    def counted() -> int:
        rows = front.http.post("/api/v1/query", json=query).json()["rows"]
        return int(rows[0]["pageviews"]) if rows else 0

    before = counted()
    pixel = front.http.get("/p.gif", params=front.event(), headers={"User-Agent": BROWSER})
    assert "Recount-Drop" not in pixel.headers
    eventually(lambda: counted() >= max(before, 1) + 1, "the pixel is counted")


def test_two_traefiks_share_the_work_and_either_will_do(front: FrontDoor) -> None:
    """The second is found without anybody telling HAProxy, and missed by nobody when it goes."""

    def alive() -> int:
        up = front.metric("haproxy_server_check_status", proxy="traefik", state="L7OK")
        return sum(int(value) for value in up.values())

    def asked() -> int:
        answered = front.metric("haproxy_server_http_responses_total", proxy="traefik", code="2xx")
        return sum(value > 0 for value in answered.values())

    eventually(lambda: alive() == 1, "one Traefik is known")
    front.stack.stack.scale("traefik", 2)
    try:
        eventually(lambda: alive() == 2, "the second is found")
        eventually(lambda: front.send().status_code == 202 and asked() == 2, "both are asked")
    finally:
        front.stack.stack.scale("traefik", 1)
    assert [front.send().status_code for _ in range(50)] == [202] * 50
    eventually(lambda: alive() == 1, "the second is gone")


def test_the_hit_ratio_is_a_metric(front: FrontDoor) -> None:
    def counted(what: str) -> float:
        return front.metric(f"haproxy_frontend_http_cache_{what}_total", proxy="front")["front"]

    lookups, hits = counted("lookups"), counted("hits")
    for _ in range(2):
        front.http.get("/recount.js", headers={"Accept-Encoding": "br"})
    assert counted("lookups") == lookups + 2
    assert counted("hits") >= hits + 1
