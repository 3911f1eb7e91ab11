"""What clients do wrong: claims, sizes, slowness, haste. Each gets its 4xx and holds up nobody else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.front.refusals import RATE_WINDOW_S, RETRY_AFTER_S
from edge.front.render import ADDRESS_MAX_BYTES, BODY_MAX_BYTES, HEADERS_MAX_BYTES
from edge.ingest import READING_MAX
from recount.callers import REQUEST_HEADER
from recount.limits import BODY_BATCH_MAX_BYTES, BODY_IMPORT_MAX_BYTES
from recount.reasons import Reason
from tests.integration.front_door import (
    BROWSER,
    DEADLINE_S,
    FrontDoor,
    another_haproxy,
    received,
    status_of,
)
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = pytest.mark.stack

GERMAN, AMERICAN = "88.198.0.10", "8.8.8.8"
CLAIMS = (
    "X-Forwarded-For",
    "X-Real-IP",
    "Forwarded",
    "X_Forwarded_For",
    "X.Forwarded.For",
    "X-Forwarded-for",
)


@pytest.fixture(scope="module")
def front(stack_parts: TestStack) -> FrontDoor:
    return FrontDoor(stack_parts)


def countries(front: FrontDoor, site: str) -> dict[str, int]:
    """Pageviews by country, as the live service counts them."""
    query = {"site": site, "metrics": ["pageviews"], "dimensions": ["country"], "date_range": "today"}
    rows = front.http.post("/api/v1/query", json=query).json()["rows"]
    return {row["country"]: row["pageviews"] for row in rows}


def test_a_spoofed_address_changes_no_country_and_a_balancers_word_does(
    front: FrontDoor, tmp_path: Path
) -> None:
    for claim in CLAIMS:
        value = f"for={AMERICAN}" if claim == "Forwarded" else AMERICAN
        assert front.send(**{claim: value}).status_code == 202
    with another_haproxy(front, tmp_path, front_trusted_proxies="127.0.0.0/8") as settings:
        named = {"X-Forwarded-For": f"{AMERICAN}, {GERMAN}", "User-Agent": BROWSER}
        url = settings.public_url + "/v1/events"
        for _ in range(3):
            assert httpx.post(url, json=front.event(), headers=named, trust_env=False).status_code == 202
    eventually(lambda: countries(front, front.site).get("DE") == 3, "what the balancer says counts")
    assert "US" not in countries(front, front.site)


@contextmanager
def limited(front: FrontDoor, folder: Path, **changes: Any) -> Iterator[httpx.Client]:
    """A client of an HAProxy with a limit of its own."""
    with (
        another_haproxy(front, folder, **changes) as settings,
        httpx.Client(base_url=settings.public_url, trust_env=False) as client,
    ):
        yield client


def test_haste_is_answered_with_429_whatever_the_client_claims(front: FrontDoor, tmp_path: Path) -> None:
    per_window = 2 * RATE_WINDOW_S
    with limited(front, tmp_path, rate_limit_per_s=2) as client:
        answers = [
            client.get("/recount.js", headers=dict.fromkeys(CLAIMS, f"192.0.2.{n}"))
            for n in range(per_window + 5)
        ]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert int(refused[0].headers["Retry-After"]) == RATE_WINDOW_S
        assert refused[0].headers["Access-Control-Allow-Origin"] == "*"
        token = {"Authorization": "Bearer of-a-site"}  # a server speaks for many
        assert client.get("/recount.js", headers=token).status_code == 200
        hasty = [client.get("/recount.js", headers=token).status_code for _ in range(10 * per_window)]
        assert hasty[-1] == 429
        assert client.get("/healthz").status_code == 200
        each_is_refused_in_its_form(client, 429, Reason.RATE_LIMITED, RATE_WINDOW_S)


def test_while_no_traefik_lives_each_is_told_so(front: FrontDoor, tmp_path: Path) -> None:
    nobody = "127.0.0.1:1"
    with (
        another_haproxy(front, tmp_path, health=503, consul_dns=nobody) as settings,
        httpx.Client(base_url=settings.public_url, trust_env=False) as client,
    ):
        each_is_refused_in_its_form(client, 503, Reason.UNAVAILABLE, RETRY_AFTER_S)


def each_is_refused_in_its_form(
    client: httpx.Client, status: int, reason: Reason, retry_after_s: int
) -> None:
    """As an ingest refuses, as the API does, and as a reader of pages is told."""
    event = client.post("/v1/events", json={})
    assert event.headers["Recount-Drop"] == event.json()["rejected"][0]["reason"] == reason
    question = client.get("/api/v1/query")
    assert question.headers["Content-Type"] == "application/problem+json"
    assert question.json()["type"] == f"/problems/{reason.replace('_', '-')}"
    page = client.get("/")
    assert page.headers["Content-Type"] == "text/plain"
    for answer in (event, question, page):
        assert answer.status_code == status
        assert int(answer.headers["Retry-After"]) == retry_after_s


def test_clients_are_told_apart(front: FrontDoor, tmp_path: Path) -> None:
    with limited(front, tmp_path, rate_limit_per_s=1, front_trusted_proxies="127.0.0.0/8") as client:

        def ask(address: str) -> int:
            return client.get("/recount.js", headers={"X-Forwarded-For": address}).status_code

        assert [ask("2001:db8:1:2::1") for _ in range(RATE_WINDOW_S + 2)][-1] == 429
        assert ask("2001:db8:1:2:ffff::9") == 429  # of the same subscriber's network
        assert ask("2001:db8:1:3::1") == 200
        assert ask(GERMAN) == 200


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/v1/events", BODY_BATCH_MAX_BYTES),
        ("/v1/import", BODY_IMPORT_MAX_BYTES),
        ("/api/v1/query", BODY_MAX_BYTES),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_bodies_that_are_too_large(front: FrontDoor, path: str, most: int, chunked: bool) -> None:
    size = most + 100_000

    def pieces() -> Iterator[bytes]:
        for _ in range(0, size, 50_000):
            yield b" " * 50_000

    headers = {"Content-Type": "application/json"}
    try:
        answer = front.http.post(path, content=pieces() if chunked else b" " * size, headers=headers)
    except httpx.WriteError:  # it hung up while we sent on: ask in a way that lets us read why
        lines = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        sent = f"{lines}Content-Length: {size}\r\n\r\n".encode()
        assert not chunked
        assert status_of(front.raw(sent)) == 413
    else:
        assert answer.status_code == 413
        assert too_large_of(answer) == ("too_large" if path.startswith("/v1/") else "/problems/too-large")


def too_large_of(answer: httpx.Response) -> str:
    """What a program reads, whoever on the way has refused."""
    body = answer.json()
    return str(body["rejected"][0]["reason"] if "rejected" in body else body["type"])


def test_bodies_that_are_just_large_enough_to_pass(front: FrontDoor) -> None:
    padded = b" " * 900_000 + b"[]"

    def pieces() -> Iterator[bytes]:
        yield padded[:500_000]
        yield padded[500_000:]

    for content in (padded, pieces()):
        answer = front.http.post("/v1/events", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "rejected": []})


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"X-Filler": "x" * HEADERS_MAX_BYTES}, "/recount.js", 431),
        ({f"X-Filler-{n}": "x" * 500 for n in range(40)}, "/recount.js", 431),
        ({"X-Filler": "x" * 100_000}, "/recount.js", 400),  # more than any buffer
        ({}, "/p.gif?site=" + "x" * ADDRESS_MAX_BYTES, 414),
        ({}, "/p.gif?site=" + "x" * 16_000, 200),
    ],
)
def test_heads_that_are_too_large(front: FrontDoor, headers: dict[str, str], path: str, status: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{lines}\r\n"
    answer = front.raw(request.encode())
    assert status_of(answer) == status
    assert (b"too_large" in answer) is (status == 414)  # only the pixel is an ingest's


def test_a_request_id_is_the_fronts_to_give(front: FrontDoor) -> None:
    """Else two visitors with the same made-up one would be one event."""
    before = sum(countries(front, front.site).values())
    for _ in range(2):
        claimed = {REQUEST_HEADER: "the-same", "User-Agent": BROWSER}
        assert "Recount-Drop" not in front.http.get("/p.gif", params=front.event(), headers=claimed).headers
    eventually(lambda: sum(countries(front, front.site).values()) >= before + 2, "both are counted")


def test_slow_senders_are_told_so_and_hold_up_nobody(front: FrontDoor) -> None:
    """Heads, small bodies and large bodies that do not end, more than the ingest has threads for bodies."""
    head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    starts = {
        "head": head,
        "small body": head + b"Content-Length: 1000\r\n\r\n[",
        "large body": head + b"Content-Length: 500000\r\n\r\n" + b" " * 100_000,
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4,
    }
    with ExitStack() as stack:
        slow: list[tuple[str, socket.socket]] = []
        for what, start in starts.items():
            for _ in range(READING_MAX + 4):
                connection = stack.enter_context(front.connection())
                connection.sendall(start)
                slow.append((what, connection))
        time.sleep(2)  # long enough for the ingest to call a sender slow
        served = [front.send().status_code for _ in range(50)]
        assert served == [202] * 50
        told: dict[str, set[int]] = {what: set() for what in starts}
        for what, connection in slow:
            connection.settimeout(DEADLINE_S)
            told[what].add(status_of(received(connection)))
        assert told["head"] == told["small body"] == {408}
        assert front.send().status_code == 202
        assert all(400 <= status < 500 for status in told["large body"] | told["chunks"]), told
