"""The price of the edge: events through the front beside direct to an instance, and cached reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx

from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests.bench.bench_ingest import SINGLE
from tests.bench.ingest_server import SITE
from tests.bench.load import CONNECTIONS, SECONDS, Load, tool, wrk
from tests.bench.rows import Row
from tests.bench.stacks import own_stack
from tests.publishing import Press
from tests.rollups import hour_rollup
from tests.stack import TestStack

DAY: Final = "2015-03-02"
PARTS: Final = ("ingest", "dashboard", "traefik", "haproxy")
READY_WITHIN_S: Final = 120.0
CONDITIONS: Final = (
    f"wrk on one core beside the whole stack, {CONNECTIONS} connections, {SECONDS} s; "
    "one JSON event a request"
)
READ: Final = "request = function() return wrk.format('GET', nil, {['Accept-Encoding'] = 'identity'}) end"


def measure(*, large: bool) -> list[Row]:
    """One row a way to the ingest, and one for reads that the edge cache answers."""
    if tool("wrk") is None:
        return [Row(name="edge", ours=None, unit="", peer="wrk (not installed: apt-get install wrk)")]
    # One client sends everything here, which is what the limit is there to stop.
    with own_stack({"RECOUNT_RATE_LIMIT_PER_S": "0"}) as stack:
        stack.need(*PARTS)
        return [*_events(stack), _reads(stack)]


def _events(stack: TestStack) -> list[Row]:
    settings = stack.settings
    Catalog(open_tables(settings).catalog).add(Site(id=SITE, domain="bench.example"))
    direct, front = f"http://{settings.host}:{settings.ingest_port}", settings.public_url
    _until(lambda: _accepted(direct) and _accepted(front), "the ingest knows the site")
    alone = wrk(direct, SINGLE, stack.folder)
    rows = [_row("direct to one instance", alone, None)]
    for instances in (1, 2):
        stack.stack.scale("ingest", instances)
        _until(partial(_serves, settings, instances), f"{instances} are routed to")
        load = wrk(front, SINGLE, stack.folder)
        rows.append(_row(f"through the front to {instances}", load, alone))
    return rows


def _row(name: str, load: Load, peer: Load | None) -> Row:
    return Row(
        name=f"edge, events {name}",
        ours=load.per_second if not load.errors else 0.0,
        unit="requests/s",
        peer="direct to one instance" if peer else "",
        peer_value=peer.per_second if peer else None,
        conditions=f"{CONDITIONS}; p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms",
    )


def _reads(stack: TestStack) -> Row:
    """A page of a published range, again and again: a dashboard is asked once in two seconds."""
    settings = stack.settings
    tables = open_tables(settings)
    sites = {SITE: Site(id=SITE, domain="bench.example")}
    press = Press(
        stack.folder / "press",
        rollups=tables.rollups,
        roots=tables.manifests,
        sites=sites,
        slots=settings.site_slots,
    )
    press.publish({hour: hour_rollup(hour, sites) for hour in (f"{DAY}T10", "2015-03-03T10")})
    url = f"{settings.public_url}/{SITE}?from={DAY}&to={DAY}"

    def kept() -> bool:
        answers = [httpx.get(url, trust_env=False) for _ in range(2)]
        return bool(answers[1].headers.get("Recount-Cache") == "hit")

    _until(kept, "the page is published and kept")
    size = len(httpx.get(url, trust_env=False).content)
    load = wrk(url, READ, stack.folder)
    return Row(
        name="edge, cached dashboard reads",
        ours=load.per_second if not load.errors else 0.0,
        unit="requests/s",
        conditions=(
            f"a page of {size:,} bytes, not compressed; p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms"
        ),
    )


def _accepted(url: str) -> bool:
    event = {"site": SITE, "url": "https://bench.example/"}
    answer = httpx.post(
        f"{url}/v1/events", json=event, headers={"User-Agent": "Mozilla/5.0"}, trust_env=False
    )
    return answer.status_code == 202


def _serves(settings: Settings, instances: int) -> bool:
    """Whether Traefik holds so many ingest instances for well."""
    url = f"http://127.0.0.1:{settings.traefik_admin_port}/api/http/services/ingest@consulcatalog"
    status: dict[str, str] = httpx.get(url, trust_env=False).json().get("serverStatus", {})
    return list(status.values()).count("UP") == instances


def _until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"still waiting after {READY_WITHIN_S} s: {what}")
        time.sleep(0.2)
