"""Event sent -> seen on the live API, on the whole live path, at a steady 10,000 events/s.

A stack of its own runs Kafka, the ingest, the shipper and the live service. One thread sends batches, another
sends single events of a quiet site and asks for them until they show.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import httpx

from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.bench.rows import Row
from tests.stack import TestStack

RATE: Final = 10_000
BATCH: Final = 500
PROBES: Final = 60
PROBE_EVERY_S: Final = 0.5
WARM_UP_S: Final = 10.0
POLL_S: Final = 0.05
GIVE_UP_S: Final = 30.0
BUSY_SITES: Final = 50
QUIET: Final = "quiet"
UA: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def measure(*, large: bool) -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="recount-bench-"))
    stack = TestStack(folder)
    try:
        stack.need("kafka", "dynamodb", "ingest", "shipper", "live")
        catalog = Catalog(open_tables(stack.settings).catalog)
        for site in (QUIET, *(f"busy{n}" for n in range(BUSY_SITES))):
            catalog.add(Site(id=site, domain=f"{site}.example"))
        waits, rate = _probe_under_load(stack.urls["ingest"], stack.urls["live"])
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
    conditions = (
        f"latency: {len(waits)} probes at {rate:,.0f} events/s sent, sender and all parts on one machine"
    )
    return [
        _row("event sent -> live API, p50", waits, 0.50, "", None, conditions),
        _row("event sent -> live API, p95", waits, 0.95, "under 2 s", 2.0, conditions),
        _row("event sent -> live API, p99", waits, 0.99, "under 5 s", 5.0, conditions),
    ]


def _row(
    name: str, waits: list[float], share: float, target: str, most: float | None, conditions: str
) -> Row:
    value = sorted(waits)[min(len(waits) - 1, int(len(waits) * share))]
    ok = None if most is None else value < most
    return Row(name=name, ours=value, unit="s", target=target, ok=ok, conditions=conditions)


def _probe_under_load(ingest: str, live: str) -> tuple[list[float], float]:
    """Seconds that each probe took, and the events a second that were sent beside them."""
    stop, sent = threading.Event(), [0]
    sender = threading.Thread(target=_send, args=(ingest, stop, sent))
    sender.start()
    try:
        time.sleep(WARM_UP_S)
        if not sent[0]:
            raise RuntimeError("no load is being sent, so the latency would be that of an idle stack")
        before, started = sent[0], time.monotonic()
        with httpx.Client(headers={"user-agent": UA}) as client:
            waits = [_probe(client, ingest, live, number) for number in range(PROBES)]
        return waits, (sent[0] - before) / (time.monotonic() - started)
    finally:
        stop.set()
        sender.join()


def _probe(client: httpx.Client, ingest: str, live: str, number: int) -> float:
    time.sleep(PROBE_EVERY_S)
    page = f"https://{QUIET}.example/{number}"
    started = time.monotonic()
    event = {"site": QUIET, "kind": "event", "name": f"probe-{number}", "url": page}
    client.post(f"{ingest}/v1/events", json=event).raise_for_status()
    while time.monotonic() - started < GIVE_UP_S:
        totals = client.get(f"{live}/v1/live/{QUIET}").json()["totals"]
        if totals["events"] > number:
            break
        time.sleep(POLL_S)
    return time.monotonic() - started


def _wait_until_known(client: httpx.Client, ingest: str) -> None:
    """The ingest reads the catalog every few seconds."""
    newest = {"site": f"busy{BUSY_SITES - 1}", "kind": "pageview", "url": "https://busy.example/"}
    deadline = time.monotonic() + GIVE_UP_S
    while client.post(f"{ingest}/v1/events", json=newest).status_code != 202:
        if time.monotonic() > deadline:
            raise TimeoutError("the ingest does not come to know the sites of the load")
        time.sleep(POLL_S)


def _send(ingest: str, stop: threading.Event, sent: list[int]) -> None:
    """Batches at the rate; what was missed is not made up for."""
    number = 0
    with httpx.Client(headers={"user-agent": UA}, timeout=30) as client:
        _wait_until_known(client, ingest)
        due = time.monotonic()
        while not stop.is_set():
            events = [
                {
                    **{"site": f"busy{(number + n) % BUSY_SITES}", "kind": "pageview", "screen": "1920x1080"},
                    "url": f"https://busy.example/{(number + n) % 977}",
                }
                for n in range(BATCH)
            ]
            client.post(f"{ingest}/v1/events", json=events).raise_for_status()
            number += BATCH
            sent[0] = number
            due = max(due + BATCH / RATE, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
