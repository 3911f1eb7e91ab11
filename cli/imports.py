"""Sends dated events through the import door: batched, retried, a few requests in flight."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import httpx
import orjson

from recount.errors import InvalidInput, Unavailable
from recount.periods import HOUR_MS, hour_of

BATCH_EVENTS: Final = 2_000
IN_FLIGHT_MAX: Final = 4
ATTEMPTS_MAX: Final = 30
RETRY_MAX_S: Final = 5.0


@dataclass
class Sent:
    """What the door took, and the hours that hold it."""

    accepted: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    hours: set[str] = field(default_factory=set)


def send_events(
    client: httpx.Client, import_id: str, site_id: str, events: Iterable[dict[str, Any]]
) -> Iterator[Sent]:
    """Send every event, then close the import, which destroys its visitor keys; yields running totals.

    Raises Unavailable when the door stays away, InvalidInput when it refuses a whole batch. Sending again is
    safe: an event's id decides that it counts once.
    """
    sent = Sent()
    with ThreadPoolExecutor(IN_FLIGHT_MAX) as pool:
        waiting: list[Future[dict[str, Any]]] = []
        for batch in _batches(iter(events)):
            sent.hours |= {hour_of(at) for at in {e["ts"] // HOUR_MS * HOUR_MS for e in batch}}
            waiting.append(
                pool.submit(
                    _post, client, "/v1/import", {"import": import_id, "site": site_id, "events": batch}
                )
            )
            while len(waiting) >= IN_FLIGHT_MAX:
                yield _add(sent, waiting.pop(0).result())
        for answer in waiting:
            yield _add(sent, answer.result())
    _post(client, f"/v1/import/{import_id}/close", {"site": site_id})


def _add(sent: Sent, answer: dict[str, Any]) -> Sent:
    sent.accepted += answer["accepted"]
    sent.rejected += answer["rejected"]
    return sent


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, BATCH_EVENTS)):
        yield batch


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    problem = ""
    for attempt in range(ATTEMPTS_MAX):
        wait_s = min(0.1 * 2**attempt, RETRY_MAX_S)
        try:
            answer = client.post(
                path, content=orjson.dumps(body), headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError as error:
            problem = str(error)
        else:
            if answer.is_success:
                return dict(orjson.loads(answer.content or b"{}"))
            problem = f"{answer.status_code} {answer.text[:300]}"
            if answer.status_code < 500 and answer.status_code != 429:
                raise InvalidInput(f"the import was refused: {problem}")
            wait_s = max(wait_s, float(answer.headers.get("Retry-After", 0)))
        time.sleep(wait_s)
    raise Unavailable("ingest", problem)
