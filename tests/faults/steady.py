"""A load of so many requests a second whose every id is known; what failed, and when, is kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import orjson

from tests.faults.load import AGENT, PATIENCE_S

REQUESTS_PER_S: Final = 2_000
THREADS: Final = 8
ANSWER_WITHIN_S: Final = 30.0
RETRY_S: Final = 0.05
LAST_TRIES_S: Final = 60.0
HEADERS: Final = {"User-Agent": AGENT, "Content-Type": "application/json"}


@dataclass(frozen=True)
class Failure:
    """A request without its 202: when, and the status with its reason, or the name of an error."""

    at_s: float
    what: str


class SteadyLoad:
    """One event a request, over connections that are kept, while the `with` block runs.

    Every thread keeps to its own timetable; one that fell behind catches up. With `again` an event that
    failed is sent once more with the same id, until it is acknowledged, as a tracker does.
    """

    def __init__(
        self, url: str, site: str, *, per_second: float = REQUESTS_PER_S, again: bool = False
    ) -> None:
        self.site = site
        self.per_second = per_second
        self._host = urlsplit(url).netloc
        self._again = again
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        self._answered: list[int] = [0] * THREADS
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.failures: list[Failure] = []

    def __enter__(self) -> SteadyLoad:
        self._wait_until_known()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return sum(self._answered)

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of failure came."""
        return Counter(failure.what for failure in self.failures)

    def wait_for(self, requests: int) -> None:
        """Until so many more are answered."""
        goal, end = self.answered + requests, time.monotonic() + PATIENCE_S
        while self.answered < goal:
            assert time.monotonic() < end, f"{self.answered} of {goal}; {self.kinds}"
            time.sleep(0.02)

    def measured(self, seconds: float) -> float:
        """Requests per second that are really answered, over the next seconds."""
        began, before = time.monotonic(), self.answered
        time.sleep(seconds)
        return (self.answered - before) / (time.monotonic() - began)

    def _wait_until_known(self) -> None:
        """An ingest reads the catalog every few seconds; what it says before is not part of the load."""
        connection = self._connect()
        known, end = 0, time.monotonic() + PATIENCE_S
        while known < THREADS:
            assert time.monotonic() < end, f"the site is not known: {self.kinds}"
            known = known + 1 if self._post(connection, f"{self.site}-first-{known}") else 0
            time.sleep(RETRY_S)
        connection.close()
        self.failures.clear()

    def _run(self, thread: int) -> None:
        connection = self._connect()
        pause_s = THREADS / self.per_second
        number, due = 0, time.monotonic() + pause_s * thread / THREADS
        while not self._stop.is_set():
            number += 1
            self._deliver(connection, f"{self.site}-{thread}-{number}")
            self._answered[thread] += 1
            pause_s = THREADS / self.per_second  # it may have been changed
            due += pause_s
            self._stop.wait(max(0.0, due - time.monotonic()))
        connection.close()

    def _deliver(self, connection: HTTPConnection, event: str) -> None:
        give_up: float | None = None
        while not self._post(connection, event) and self._again:
            if self._stop.is_set():
                give_up = give_up or time.monotonic() + LAST_TRIES_S
                if time.monotonic() > give_up:
                    return
            time.sleep(RETRY_S)

    def _post(self, connection: HTTPConnection, event: str) -> bool:
        body = orjson.dumps({"site": self.site, "id": event, "url": f"https://faults.example/{event[-1]}"})
        with self._lock:
            self.sent.add(event)
        try:
            connection.request("POST", "/v1/events", body, HEADERS)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException) as error:
            connection.close()  # the next request opens it again
            return self._failed(type(error).__name__)
        if answer.status != 202:
            return self._failed(f"{answer.status} {answer.headers.get('Recount-Drop')}")
        with self._lock:
            self.acknowledged.add(event)
        return True

    def _failed(self, what: str) -> bool:
        with self._lock:
            self.failures.append(Failure(time.monotonic(), what))
        return False

    def _connect(self) -> HTTPConnection:
        return HTTPConnection(self._host, timeout=ANSWER_WITHIN_S)
