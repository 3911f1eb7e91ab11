"""Sending through the import door: batches, retries, what was refused, the keys destroyed at the end."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from cli.imports import BATCH_EVENTS, Sent, send_events
from recount.errors import InvalidInput, Unavailable
from recount.periods import HOUR_MS


class Door:
    """Answers like the ingest; `answers` are given first, one a request."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.batches: list[dict[str, Any]] = []
        self.closed: list[str] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer), base_url="http://door")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            return self.answers.pop(0)
        if request.url.path.endswith("/close"):
            self.closed.append(request.url.path)
            return httpx.Response(202, json={})
        body = orjson.loads(request.content)
        self.batches.append(body)
        refused = [{"index": i, "reason": "too_old"} for i, e in enumerate(body["events"]) if e["ts"] < 0]
        return httpx.Response(202, json={"accepted": len(body["events"]) - len(refused), "rejected": refused})


def event(ts: int) -> dict[str, Any]:
    return {"ts": ts, "id": str(ts)}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.imports.time.sleep", lambda _: None)


def send(door: Door, events: list[dict[str, Any]]) -> Sent:
    with door.client() as client:
        return list(send_events(client, "import-1", "demo", events))[-1]


def test_everything_is_sent_in_batches_and_the_import_is_closed() -> None:
    door = Door()
    sent = send(door, [event(n) for n in range(2 * BATCH_EVENTS + 5)])
    assert sent.accepted == 2 * BATCH_EVENTS + 5
    assert sorted(len(b["events"]) for b in door.batches) == [5, BATCH_EVENTS, BATCH_EVENTS]
    assert {b["import"] for b in door.batches} == {"import-1"}
    assert door.closed == ["/v1/import/import-1/close"]


def test_the_hours_are_those_of_the_events() -> None:
    assert send(Door(), [event(0), event(HOUR_MS - 1), event(3 * HOUR_MS)]).hours == {
        "1970-01-01T00",
        "1970-01-01T03",
    }


def test_refused_events_are_reported() -> None:
    sent = send(Door(), [event(1), event(-1)])
    assert (sent.accepted, [r["reason"] for r in sent.rejected]) == (1, ["too_old"])


def test_a_door_that_is_away_for_a_moment_is_asked_again() -> None:
    door = Door(httpx.Response(503, headers={"Retry-After": "1"}), httpx.Response(429))
    assert send(door, [event(1)]).accepted == 1


def test_a_refusal_of_the_whole_batch_is_final() -> None:
    with pytest.raises(InvalidInput, match="403 no such token"):
        send(Door(httpx.Response(403, text="no such token")), [event(1)])


def test_a_door_that_stays_away_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="503"):
        send(Door(*[httpx.Response(503)] * 200), [event(1)])
