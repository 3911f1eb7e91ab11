"""`recount demo`: believable traffic for a site, past days and then live."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import click
import httpx
from rich.console import Console

from cli.context import CliContext, pass_context
from cli.demo_traffic import Event, Traffic
from cli.imports import Sent, send_events
from cli.progress import counting
from cli.publishing import publish_hours
from recount.errors import Unavailable
from recount.ids import new_id
from recount.periods import HOUR_MS

DAY_MS: Final = 24 * HOUR_MS
MEAN_VISIT_EVENTS: Final = 5.1
BATCH_MAX_EVENTS: Final = 200
TICK_S: Final = 0.2
WARM_UP_MS: Final = 10 * 60_000


@click.command()
@click.option(
    "--site", "site_id", default="demo", show_default=True, help="The site that receives the traffic."
)
@click.option(
    "--days", default=7, show_default=True, type=click.IntRange(0, 366), help="Past days to fill first."
)
@click.option(
    "--visits", default=1_500, show_default=True, type=click.IntRange(1), help="Visits on each past day."
)
@click.option(
    "--rate", default=10.0, show_default=True, type=click.FloatRange(0.1, 5_000), help="Live events a second."
)
@click.option(
    "--duration", default=60, show_default=True, type=click.IntRange(0), help="Seconds of live traffic."
)
@click.option("--seed", type=int, help="Repeat the same traffic; random unless given.")
@pass_context
def demo(
    context: CliContext, /, site_id: str, days: int, visits: int, rate: float, duration: int, seed: int | None
) -> None:
    """Send believable traffic: past days through the import door, published, then live visits.

    \b
    recount demo                               a week of history, then a minute at 10 events/s
    recount demo --days 0 --rate 200 --duration 600
    """
    site = context.site(site_id)
    console = Console(stderr=True)
    with context.collector(site_id) as client:
        traffic = Traffic(site.domain, time.time_ns() if seed is None else seed)
        if days:
            sent = _send_past(client, site_id, _past(traffic, days, visits), console)
            publish_hours(
                context, sorted(sent.hours), reason=f"demo: {days} past days of {site_id}", console=console
            )
        if duration:
            _send_live(client, LiveFeed(site_id, traffic, rate), duration, console)
    console.print(f"Look at {context.dashboard_url()}/{site_id}")


def _past(traffic: Traffic, days: int, visits: int) -> Iterator[Event]:
    """Whole days back from the running hour, each event with its number."""
    this_hour = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    numbers = count(1)
    for day in range(days, 0, -1):
        for visit in traffic.day(this_hour - day * DAY_MS, visits):
            for event in visit:
                if event["ts"] < this_hour:
                    yield event | {"line": next(numbers)}


def _send_past(client: httpx.Client, site_id: str, events: Iterator[Event], console: Console) -> Sent:
    sent = Sent()
    with counting("Sending past days", None, console) as advance:
        for sent in send_events(client, new_id(), site_id, events):
            advance(sent.accepted)
    return sent


@dataclass
class LiveFeed:
    """Visits that unfold in real time; `due(now)` gives the events whose moment has come."""

    site_id: str
    traffic: Traffic
    rate: float
    _next_visit_ms: float = 0.0
    _waiting: list[tuple[int, int, Event]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)

    def due(self, now_ms: int) -> list[Event]:
        if not self._next_visit_ms:
            self._next_visit_ms = float(now_ms - WARM_UP_MS)
            self._start_visits(now_ms)
            self._waiting = [entry for entry in self._waiting if entry[0] >= now_ms]
            heapq.heapify(self._waiting)
        self._start_visits(now_ms)
        found: list[Event] = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def _start_visits(self, now_ms: int) -> None:
        while self._next_visit_ms <= now_ms:
            for event in self.traffic.visit(int(self._next_visit_ms)):
                heapq.heappush(
                    self._waiting, (event["ts"], next(self._order), {"site": self.site_id} | event)
                )
            self._next_visit_ms += 1000 * MEAN_VISIT_EVENTS / self.rate


def _send_live(client: httpx.Client, feed: LiveFeed, duration_s: int, console: Console) -> None:
    deadline = time.monotonic() + duration_s
    with counting(f"Live at {feed.rate:g} events/s", None, console) as advance:
        sent = 0
        while time.monotonic() < deadline:
            events = feed.due(time.time_ns() // 1_000_000)
            for at in range(0, len(events), BATCH_MAX_EVENTS):
                sent += _post(client, events[at : at + BATCH_MAX_EVENTS], advance_to=advance, sent=sent)
            time.sleep(TICK_S)


def _post(client: httpx.Client, events: list[Event], *, advance_to: Callable[[int], None], sent: int) -> int:
    for event in events:
        event.pop("line", None)
    answer = client.post("/v1/events", json={"events": events})
    if not answer.is_success:
        raise Unavailable("ingest", f"{answer.status_code} {answer.text[:200]}")
    body: dict[str, Any] = answer.json()
    advance_to(sent + body["accepted"])
    return int(body["accepted"])
