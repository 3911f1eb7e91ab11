"""WSGI under RSGI: what a request becomes, and the limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dashboard_svc import bridge
from dashboard_svc.bridge import Answer, Bridge, environment


class Headers:
    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def get(self, name: str, default: Any = None) -> Any:
        return dict(self.pairs).get(name, default)

    def items(self) -> list[tuple[str, str]]:
        return self.pairs


@dataclass
class FakeScope:
    method: str = "GET"
    path: str = "/"
    query_string: str = ""
    http_version: str = "1.1"
    server: str = "127.0.0.1:8280"
    client: str = "127.0.0.1:55555"
    scheme: str = "http"
    headers: Any = field(default_factory=lambda: Headers([]))


@dataclass
class Sent:
    """A protocol whose body comes in chunks."""

    chunks: list[bytes] = field(default_factory=list)

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("201 Created", [("Content-Length", "999"), ("X-Path", environ["PATH_INFO"])])
    return [environ["wsgi.input"].read(), b"!"]


def ask(app: Any, scope: FakeScope, *chunks: bytes) -> Answer:
    return asyncio.run(Bridge(app)(scope, Sent(list(chunks))))


def test_a_request_passes_and_an_answer_comes_back() -> None:
    scope = FakeScope("POST", "/caf%C3%A9", headers=Headers([("transfer-encoding", "chunked")]))
    answer = ask(echo, scope, b"a", b"b")
    assert (answer.status, answer.body) == (201, b"ab!")
    assert answer.headers == [("x-path", "/caf\u00c3\u00a9")]


def test_the_environment_is_that_of_wsgi() -> None:
    headers = Headers([("host", "x:1"), ("content-type", "text/plain"), ("accept", "a"), ("accept", "b")])
    environ = environment(FakeScope(query_string="a=%20", headers=headers), b"body")
    assert environ["QUERY_STRING"] == "a=%20"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["CONTENT_LENGTH"] == "4"
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8280")


@pytest.mark.parametrize(
    ("headers", "chunks"),
    [
        ([("content-length", "11")], []),
        ([("content-length", "5")], [b"123456", b"789012"]),
        ([("transfer-encoding", "chunked")], [b"123456", b"789012"]),
    ],
)
def test_a_body_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, headers: list[tuple[str, str]], chunks: list[bytes]
) -> None:
    monkeypatch.setattr(bridge, "BODY_MAX_BYTES", 10)
    assert ask(echo, FakeScope("POST", headers=Headers(headers)), *chunks).status == 413


def test_when_all_threads_are_busy_and_many_wait_it_says_so_at_once() -> None:
    release = threading.Event()

    def slow(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        release.wait(30)
        start_response("200 OK", [])
        return [b""]

    async def crowd() -> list[int]:
        one = Bridge(slow, threads=1, waiting_max=1)
        asked = [asyncio.ensure_future(one(FakeScope(), Sent())) for _ in range(3)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status for task in done] == [503]
        release.set()
        return sorted(answer.status for answer in await asyncio.gather(*asked))

    assert asyncio.run(crowd()) == [200, 200, 503]


def test_an_answer_is_closed_whatever_happens() -> None:
    closed: list[bool] = []

    class Parts(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Parts([b"x"])

    assert ask(app, FakeScope()).body == b"x"
    assert closed == [True]
