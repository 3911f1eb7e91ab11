"""The dashboard as a process of its own: live numbers through it, and what it says when parts are away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.layout import ROOT
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import ensure_tables, open_tables
from tests.integration.live_stream import states
from tests.publishing import SLOTS, Press
from tests.rollups import hour_rollup
from tests.stack import TestStack
from tests.waiting import eventually

DEADLINE_S = 120.0
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)


@contextmanager
def running(settings: Settings) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`python -m dashboard_svc` with these settings, once it answers."""
    env = {**os.environ, **settings.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}
    process = subprocess.Popen([sys.executable, "-m", "dashboard_svc"], cwd=ROOT, env=env)
    url = f"http://{settings.host}:{settings.dashboard_port}"
    try:
        eventually(lambda: answers(url + "/healthz"), "the dashboard answers")
        yield url, process
    finally:
        process.kill()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def accepted(door: str, event: dict[str, Any]) -> bool:
    return httpx.post(f"{door}/v1/events", json=event, headers={"User-Agent": BROWSER}).status_code == 202


def read_of(url: str, **query: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/api/v1/query", json={"date_range": "today", **query}, timeout=30)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.stack
def test_an_event_is_on_the_stream_and_in_the_answers(stack_parts: TestStack) -> None:
    stack_parts.need("kafka", "dynamodb", "ingest", "shipper", "live", "dashboard")
    Catalog(open_tables(stack_parts.settings).catalog).add(Site(id="dash-live", domain="dash.example"))
    url, door = stack_parts.urls["dashboard"], stack_parts.urls["ingest"]
    event = {"site": "dash-live", "kind": "pageview", "url": "https://dash.example/new"}
    with httpx.stream("GET", f"{url}/dash-live/live", timeout=60) as stream:
        seen = states(stream)
        assert next(seen)["current_visitors"] == 0
        eventually(lambda: accepted(door, event), "the door knows the site")
        assert next(state for state in seen if state["current_visitors"])["current_visitors"] == 1
    answer = read_of(url, site="dash-live", metrics=["visitors"], dimensions=["page"])
    assert [(row["page"], row["visitors"], row["origin"]) for row in answer["rows"]] == [("/new", 1, "live")]
    assert answer["live_as_of"]
    page = httpx.get(f"{url}/dash-live?period=today")
    assert "/new" in page.text
    assert "Live, as of" in page.text
    assert page.headers["Cache-Control"] == "no-store"


def alone(stack: TestStack, folder: Path, site: str) -> Settings:
    """Of a dashboard with tables of its own, where there is one site and no other part."""
    stack.need("dynamodb")
    own = replace(free_settings(folder), dynamodb=stack.settings.dynamodb, table_prefix=f"dashboard-{site}-")
    ensure_tables(own)
    Catalog(open_tables(own).catalog).add(Site(id=site, domain=f"{site}.example"))
    return own


@pytest.mark.stack
def test_without_the_live_service_the_page_goes_on(stack_parts: TestStack, tmp_path: Path) -> None:
    own = alone(stack_parts, tmp_path, "alone")
    with running(own) as (url, _):
        assert httpx.get(f"{url}/readyz").status_code == 200
        page = httpx.get(f"{url}/alone", timeout=30)
        assert page.status_code == 200
        assert "The live service is away" in page.text
        with httpx.stream("GET", f"{url}/alone/live", timeout=30) as stream:
            assert next(stream.iter_lines()) == "event: away"
        assert httpx.get(f"{url}/nobody/live").status_code == 404


def test_without_the_tables_it_says_so_and_lives(tmp_path: Path) -> None:
    own = replace(free_settings(tmp_path), dynamodb="http://127.0.0.1:9")
    with running(own) as (url, process):
        assert httpx.get(f"{url}/readyz", timeout=60).status_code == 503
        page = httpx.get(f"{url}/demo", timeout=60)
        assert page.status_code == 503
        assert page.headers["Retry-After"]
        answer = httpx.post(f"{url}/api/v1/query", json={"site": "demo"}, timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert httpx.get(f"{url}/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.stack
def test_open_streams_do_not_hold_up_the_end(stack_parts: TestStack, tmp_path: Path) -> None:
    own = alone(stack_parts, tmp_path, "ending")
    with running(own) as (url, process), httpx.stream("GET", f"{url}/ending/live", timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: away"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.stack
def test_published_numbers_come_through_dax_and_also_without_it(
    stack_parts: TestStack, tmp_path: Path
) -> None:
    stack_parts.need("dynamodb", "dax")
    own = replace(
        free_settings(tmp_path),
        dynamodb=stack_parts.settings.dynamodb,
        dax=stack_parts.settings.dax,
        table_prefix="dashboard-dax-",
        site_slots=SLOTS,
    )
    site = Site(id="dash-dax", domain="dax.example")
    days = [f"2026-10-{day:02d}" for day in range(1, 8)]
    _publish(own, site, [f"{day}T10" for day in days], tmp_path)

    def shown(url: str, day: str) -> list[Any]:
        rows = read_of(url, site=site.id, metrics=["pageviews"], date_range=[day, day])["rows"]
        return [row["pageviews"] for row in rows]

    node = f"http://{own.host}:{stack_parts.settings.dax_http_port}"
    before = metric(node, "dax_connections")
    with running(own) as (url, process):
        through = [shown(url, days[0])]
        assert metric(url, 'recount_dax_reads_total{outcome="dynamodb"}') > 0
        eventually(lambda: metric(node, "dax_connections") > before, "the dashboard has connected to DAX")
        for day in days[1:]:
            time.sleep(0.5)  # whoever has just connected still has to say so to the readers
            through.append(shown(url, day))
        assert metric(url, 'recount_dax_reads_total{outcome="dax"}') > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    with running(replace(own, dax="")) as (url, _):
        assert [shown(url, day) for day in days] == through
        assert all(pageviews > 0 for (pageviews,) in through)


def _publish(settings: Settings, site: Site, hours: Sequence[str], folder: Path) -> None:
    ensure_tables(settings)
    tables = open_tables(settings)
    Catalog(tables.catalog).add(site)
    press = Press(folder, rollups=tables.rollups, roots=tables.manifests, sites={site.id: site})
    press.publish({hour: hour_rollup(hour, [site.id]) for hour in hours})


def metric(url: str, name: str) -> float:
    """Of a program's /metrics, one value."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.removeprefix(f"{name} ")) for line in lines if line.startswith(f"{name} "))
