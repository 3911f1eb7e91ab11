"""A load of pageviews whose every id is known, so that losses and repeats can be named, not guessed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Final

import httpx

AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)
THREADS: Final = 3
BATCH_EVENTS: Final = 20
PAUSE_S: Final = 0.08
RETRY_S: Final = 0.2
LAST_TRIES_S: Final = 60.0
PATIENCE_S: Final = 60.0


class Load:
    """Posts batches from a few threads while the `with` block runs, each until it is acknowledged.

    A batch that was refused, or whose answer never came, is sent again with the same ids, as a tracker does.
    After the block those that are still unacknowledged are tried for LAST_TRIES_S more. `acknowledged`: ids
    answered with 202; `refusals`: what else was answered, by status and reason.
    """

    def __init__(self, url: str, site: str) -> None:
        self.site = site
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.refusals: Counter[str] = Counter()
        self.unanswered = 0

    def __enter__(self) -> Load:
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

    def wait_for(self, events: int) -> None:
        """Until so many more are acknowledged: the load is really on."""
        goal, end = len(self.acknowledged) + events, time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < goal:
            assert time.monotonic() < end, f"{len(self.acknowledged)} of {goal}; refused: {self.refusals}"
            time.sleep(0.02)

    def _wait_until_known(self) -> None:
        """The ingest reads the catalog every few seconds; what it says before is not part of the load."""
        end = time.monotonic() + PATIENCE_S
        with httpx.Client(base_url=self._url, trust_env=False) as client:
            while not self._post(client, [f"{self.site}-first"]):
                assert time.monotonic() < end, f"the site is not known: {self.refusals}"
                time.sleep(RETRY_S)
        self.refusals.clear()

    def _run(self, thread: int) -> None:
        number = 0
        with httpx.Client(base_url=self._url, trust_env=False, timeout=15) as client:
            while not self._stop.is_set():
                number += 1
                ids = [f"{self.site}-{thread}-{number}-{n}" for n in range(BATCH_EVENTS)]
                self._deliver(client, ids)
                time.sleep(PAUSE_S)

    def _deliver(self, client: httpx.Client, ids: list[str]) -> None:
        give_up: float | None = None
        while not self._post(client, ids):
            if self._stop.is_set():
                give_up = give_up or time.monotonic() + LAST_TRIES_S
                if time.monotonic() > give_up:
                    return
            time.sleep(RETRY_S)

    def _post(self, client: httpx.Client, ids: list[str]) -> bool:
        with self._lock:
            self.sent.update(ids)
        events = [{"site": self.site, "id": i, "url": f"https://faults.example/{i[-1]}"} for i in ids]
        try:
            answer = client.post("/v1/events", json=events, headers={"User-Agent": AGENT})
        except httpx.TransportError:
            with self._lock:
                self.unanswered += 1
            return False
        with self._lock:
            if answer.status_code == 202 and answer.json()["accepted"] == len(ids):
                self.acknowledged.update(ids)
                return True
            self.refusals[f"{answer.status_code} {answer.headers.get('Recount-Drop')}"] += 1
        return False
