"""The live source over HTTP: an outage is an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import polars as pl
import pytest

from dashboard_svc import live
from dashboard_svc.live import AWAY_S, LiveHttp
from recount.counting.rollup import ROLLUP_SCHEMA, SUMS, Rollup, empty
from recount.discovery import Directory, Instance
from recount.store.segments import encode

HOURS = ["2026-11-23T12", "2026-11-23T13"]
ROW = {"site": "demo", "at": 1_795_438_800_000, "dimension": "page", "value": "/", "visitors": [1, 2, 3]}
ROLLUP = Rollup(pl.DataFrame([ROW | dict.fromkeys(SUMS, 0)], schema=ROLLUP_SCHEMA), empty().revenue)


@dataclass
class FakeDirectory(Directory):
    present: list[Instance] = field(default_factory=list)

    def register(self, instance: Instance) -> None:
        self.present.append(instance)

    def deregister(self, instance: Instance) -> None:
        self.present.remove(instance)

    def instances(self, service: str) -> list[Instance]:
        return [instance for instance in self.present if instance.service == service]

    def routes(self, instance: Instance) -> bool:
        return False


def one(port: int = 1) -> Instance:
    return Instance("live", f"live-{port}", "127.0.0.1", port)


def answering(headers: dict[str, str] | None = None) -> httpx.Response:
    told = {"Recount-As-Of": "99", "Recount-Hours": HOURS[1], "Recount-Complete": "1"}
    return httpx.Response(200, headers=told | (headers or {}), content=encode(ROLLUP).to_bytes())


def source(
    handler: Callable[[httpx.Request], httpx.Response],
    *instances: Instance,
    clock: Callable[[], float] = lambda: 0.0,
) -> LiveHttp:
    return LiveHttp(FakeDirectory(list(instances)), transport=httpx.MockTransport(handler), clock=clock)


def test_hours_arrive() -> None:
    asked: list[httpx.URL] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return answering()

    got = source(handler, one()).hours("demo", HOURS)
    assert got is not None
    assert (got.hours, got.as_of_ms) == (frozenset({HOURS[1]}), 99)
    assert got.rollup.rows["visitors"].to_list() == [[1, 2, 3]]
    assert asked[0].path == "/v1/live/demo/rollup"
    assert asked[0].params["hours"] == ",".join(HOURS)


def test_nobody_there() -> None:
    assert source(lambda _: answering()).hours("demo", HOURS) is None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503),
        httpx.Response(200, content=b"nonsense", headers={"Recount-As-Of": "1", "Recount-Hours": ""}),
        httpx.Response(200, content=b""),
        answering({"Recount-Complete": "0"}),
        answering({"Recount-As-Of": "soon"}),
    ],
)
def test_an_answer_that_is_none(answer: httpx.Response) -> None:
    assert source(lambda _: answer, one()).hours("demo", HOURS) is None


def test_another_instance_is_asked_and_the_dead_one_left_alone_for_a_while() -> None:
    now = 0.0
    asked: list[int | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.port)
        if request.url.port == 1:
            raise httpx.ConnectError("refused")
        return answering()

    found = source(handler, one(1), one(2), clock=lambda: now)
    assert found.hours("demo", HOURS) is not None
    assert found.hours("demo", HOURS) is not None
    assert asked == [1, 2, 2]
    now = AWAY_S + 1
    assert found.hours("demo", HOURS) is not None
    assert asked == [1, 2, 2, 1, 2]


def test_more_than_any_instance_should_send_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ROLLUP_MAX_BYTES", 10)
    assert source(lambda _: answering(), one()).hours("demo", HOURS) is None
