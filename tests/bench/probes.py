"""A steady load of live events, and probes beside it: from sending an event to seeing it on the live API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.bench.rows import Row

BATCH: Final = 500
PROBE_EVERY_S: Final = 0.5
WARM_UP_S: Final = 10.0
POLL_S: Final = 0.05
GIVE_UP_S: Final = 30.0
BUSY_SITES: Final = 50
QUIET: Final = "quiet"
UA: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class Sent:
    """How many events the load has sent so far."""

    def __init__(self) -> None:
        self.events = 0


def add_sites(settings: Settings) -> None:
    """Those of the load and the one of the probes."""
    catalog = Catalog(open_tables(settings).catalog)
    for site in (QUIET, *(f"busy{n}" for n in range(BUSY_SITES))):
        catalog.add(Site(id=site, domain=f"{site}.example"))


@contextmanager
def sending(ingest: str, rate: int) -> Iterator[Sent]:
    """`rate` events/s while the block runs, which begins when they have flowed for a while."""
    stop, sent = threading.Event(), Sent()
    sender = threading.Thread(target=_send, args=(ingest, rate, stop, sent))
    sender.start()
    try:
        time.sleep(WARM_UP_S)
        if not sent.events:
            raise RuntimeError("no load is being sent, so the latency would be that of an idle stack")
        yield sent
    finally:
        stop.set()
        sender.join()


def probe(ingest: str, live: str, count: int) -> list[float]:
    """Seconds that each of some probes took."""
    with httpx.Client(headers={"user-agent": UA}, timeout=30) as client:
        return [_probe(client, ingest, live, number) for number in range(count)]


def share_of(waits: list[float], share: float) -> float:
    """The wait below which a share of the probes stayed."""
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * share))]


def row(name: str, waits: list[float], share: float, target: str, most: float | None, conditions: str) -> Row:
    value = share_of(waits, share)
    ok = None if most is None else value < most
    return Row(name=name, ours=value, unit="s", target=target, ok=ok, conditions=conditions)


def _probe(client: httpx.Client, ingest: str, live: str, number: int) -> float:
    time.sleep(PROBE_EVERY_S)
    before = _events(client, live)
    started = time.monotonic()
    page = f"https://{QUIET}.example/{number}"
    event = {"site": QUIET, "kind": "event", "name": f"probe-{number}", "url": page}
    client.post(f"{ingest}/v1/events", json=event).raise_for_status()
    while _events(client, live) <= before and time.monotonic() - started < GIVE_UP_S:
        time.sleep(POLL_S)
    return time.monotonic() - started


def _events(client: httpx.Client, live: str) -> int:
    """What the live API shows of the quiet site."""
    return int(client.get(f"{live}/v1/live/{QUIET}").json()["totals"]["events"])


def _wait_until_known(client: httpx.Client, ingest: str) -> None:
    """The ingest reads the catalog every few seconds."""
    newest = {"site": f"busy{BUSY_SITES - 1}", "kind": "pageview", "url": "https://busy.example/"}
    deadline = time.monotonic() + GIVE_UP_S
    while client.post(f"{ingest}/v1/events", json=newest).status_code != 202:
        if time.monotonic() > deadline:
            raise TimeoutError("the ingest does not come to know the sites of the load")
        time.sleep(POLL_S)


def _send(ingest: str, rate: int, stop: threading.Event, sent: Sent) -> None:
    """Batches at the rate; what was missed is not made up for."""
    with httpx.Client(headers={"user-agent": UA}, timeout=30) as client:
        _wait_until_known(client, ingest)
        due = time.monotonic()
        while not stop.is_set():
            number = sent.events
            events = [
                {
                    **{"site": f"busy{(number + n) % BUSY_SITES}", "kind": "pageview", "screen": "1920x1080"},
                    "url": f"https://busy.example/{(number + n) % 977}",
                }
                for n in range(BATCH)
            ]
            client.post(f"{ingest}/v1/events", json=events).raise_for_status()
            sent.events += BATCH
            due = max(due + BATCH / rate, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
