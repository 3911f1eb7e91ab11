"""The door on one core: pixels, single events, batches, imports; beside a bare granian GIF and nginx."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from deploy.local.ports import free_settings
from recount.kafka import ensure_topics
from recount.settings import Settings
from tests.bench.ingest_server import SITE, TOKEN
from tests.bench.load import CONNECTIONS, SECONDS, Load, served, tool, wrk
from tests.bench.rows import Row
from tests.stack import TestStack

BARE: Final = "bare granian, GIF"
CONDITIONS: Final = (
    f"ingest: server on one core, wrk on another, {CONNECTIONS} connections, {SECONDS} s; 1,000 pages, "
    "50 browsers; fsync none; the shipper not running"
)
BATCH_EVENTS: Final = 500
IMPORT_EVENTS: Final = 2_000
IMPORT_CONNECTIONS: Final = 4  # as many requests as `recount import` has under way
SPOOL_BYTES: Final = 16 * 1024**3

# One request is made ahead for each of 1,000 pages, so that the generator costs next to nothing.
_CYCLE: Final = """
local requests, n = {}, 0
local function ua(i)
  return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120."
    .. (i % 50) .. " Safari/537.36"
end
local function event(i)
  return '{"site":"bench","kind":"pageview","id":"' .. string.format("%024d", i)
    .. '","url":"https://bench.example/blog/post-' .. i .. '?utm_source=news","referrer":"https://www.google.com/",'
    .. '"screen":"1920x1080","lang":"en-US","age_ms":12}'
end
request = function() n = n % #requests + 1; return requests[n] end
"""
PIXEL: Final = (
    _CYCLE
    + """
init = function() for i = 1, 1000 do
  requests[i] = wrk.format("GET", "/p.gif?site=bench&url=https%3A%2F%2Fbench.example%2Fblog%2Fpost-" .. i
    .. "%3Futm_source%3Dnews&referrer=https%3A%2F%2Fwww.google.com%2F", {["User-Agent"] = ua(i)})
end end
"""
)
SINGLE: Final = (
    _CYCLE
    + """
init = function() for i = 1, 1000 do
  requests[i] = wrk.format("POST", "/v1/events",
    {["User-Agent"] = ua(i), ["Content-Type"] = "text/plain;charset=UTF-8"}, event(i))
end end
"""
)
BATCH: Final = (
    _CYCLE
    + f"""
init = function() for b = 1, 8 do
  local events = {{}}
  for i = 1, {BATCH_EVENTS} do events[i] = event(b * 1000 + i) end
  requests[b] = wrk.format("POST", "/v1/events",
    {{["User-Agent"] = ua(b), ["Content-Type"] = "application/json"}},
    "[" .. table.concat(events, ",") .. "]")
end end
"""
)
IMPORT: Final = (
    _CYCLE
    + f"""
init = function() for b = 1, 8 do
  local events = {{}}
  for i = 1, {IMPORT_EVENTS} do
    local line = b * 10000 + i
    events[i] = '{{"line":' .. line .. ',"id":"' .. string.format("%032x", line)
      .. '","kind":"pageview","ts":' .. string.format("%d", 1431820800000 + line * 50)
      .. ',"ip":"198.51.' .. (i % 100) .. '.' .. (line % 250)
      .. '","ua":"' .. ua(i) .. '","url":"https://bench.example/blog/post-' .. (i % 1000)
      .. '","referrer":"https://www.google.com/"}}'
  end
  requests[b] = wrk.format("POST", "/v1/import",
    {{["Authorization"] = "Bearer {TOKEN}", ["Content-Type"] = "application/json"}},
    '{{"import":"bench","site":"{SITE}","events":[' .. table.concat(events, ",") .. "]}}")
end end
"""
)


def measure(*, large: bool) -> list[Row]:
    """One row a way in; peers that are not installed show as such."""
    if tool("wrk") is None:
        return [Row(name="ingest", ours=None, unit="", peer="wrk (not installed: apt-get install wrk)")]
    with tempfile.TemporaryDirectory(prefix="recount-bench-") as name:
        folder = Path(name)
        bare = _bare(folder)
        nginx = _nginx(folder)
        return [*_front(folder, bare, nginx), _group(folder, bare), _import(folder)]


def _front(folder: Path, bare: Load, nginx: Load | None) -> list[Row]:
    rows = []
    with _ours(folder) as (url, server):
        wrk(url, PIXEL, folder)  # warm
        for name, script in (("pixel", PIXEL), ("single JSON event", SINGLE)):
            load = wrk(url, script, folder, server=server)
            calm = wrk(url, script, folder, per_second=0.8 * load.per_second)
            rows.append(_ratio_row(f"ingest, {name}", load, bare))
            rows.append(_cpu_row(f"ingest, {name}: processor time", load, bare))
            rows.append(_latency_row(f"ingest, {name}: p99 at 80 %", calm))
            if name == "pixel":
                rows.append(_nginx_row(load, nginx))
        batches = wrk(url, BATCH, folder)
    events = 0.0 if batches.errors else batches.per_second * BATCH_EVENTS
    rows.append(
        Row(
            name=f"ingest, batches of {BATCH_EVENTS}",
            ours=events,
            unit="events/s",
            target=">= 100,000",
            ok=events >= 100_000,
            conditions=CONDITIONS,
        )
    )
    return rows


def _group(folder: Path, bare: Load) -> Row:
    with _ours(folder, spool_fsync="group") as (url, _):
        load = wrk(url, SINGLE, folder)
    return Row(
        name="ingest, single JSON event, fsync group",
        ours=load.per_second,
        unit="requests/s",
        peer=BARE,
        peer_value=bare.per_second,
        conditions=CONDITIONS,
    )


def _import(folder: Path) -> Row:
    stack = TestStack(folder / "stack")
    try:
        stack.need("kafka")
        ensure_topics(stack.settings)
        with _ours(folder, kafka=stack.settings.kafka) as (url, _):
            wrk(url, IMPORT, folder, connections=IMPORT_CONNECTIONS)  # warm: the producer connects
            load = wrk(url, IMPORT, folder, connections=IMPORT_CONNECTIONS)
    finally:
        stack.stop()
    events = 0.0 if load.errors else load.per_second * IMPORT_EVENTS
    return Row(
        name=f"ingest, import in batches of {IMPORT_EVENTS:,}",
        ours=events,
        unit="events/s",
        target=">= 50,000",
        ok=events >= 50_000,
        conditions="import: acknowledged by one Kafka node, which shares the machine",
    )


def _ratio_row(name: str, load: Load, bare: Load) -> Row:
    good = not load.errors and load.per_second >= 0.5 * bare.per_second
    return Row(
        name=name,
        ours=load.per_second,
        unit="requests/s",
        peer=BARE,
        peer_value=bare.per_second,
        target="ratio >= 0.5",
        ok=good,
        conditions=CONDITIONS,
    )


def _cpu_row(name: str, load: Load, bare: Load) -> Row:
    """What the ratio of rates says on a quiet machine, also on a busy one."""
    return Row(
        name=name,
        ours=load.cpu_us,
        unit="us a request",
        peer=BARE,
        peer_value=bare.cpu_us,
        conditions=CONDITIONS,
    )


def _latency_row(name: str, load: Load) -> Row:
    return Row(
        name=name,
        ours=load.p99_ms,
        unit="ms",
        target="< 10",
        ok=load.p99_ms < 10 and not load.errors,
        conditions=CONDITIONS,
    )


def _nginx_row(load: Load, nginx: Load | None) -> Row:
    return Row(
        name="ingest, pixel",
        ours=load.per_second,
        unit="requests/s",
        peer="nginx empty_gif, access log" if nginx else "nginx (not installed: apt-get install nginx)",
        peer_value=nginx.per_second if nginx else None,
        conditions=CONDITIONS,
    )


@contextmanager
def _ours(folder: Path, **changes: str) -> Iterator[tuple[str, int]]:
    settings = replace(free_settings(folder / "state"), spool_max_bytes=SPOOL_BYTES)
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    with _program("ours", settings) as program:
        yield program


def _bare(folder: Path) -> Load:
    with _program("bare", free_settings(folder / "bare")) as (url, server):
        wrk(url, PIXEL, folder)
        return wrk(url, PIXEL, folder, server=server)


@contextmanager
def _program(which: str, settings: Settings) -> Iterator[tuple[str, int]]:
    """Its address and its process number."""
    url = f"http://{settings.host}:{settings.ingest_port}"
    command = [sys.executable, "-m", "tests.bench.ingest_server", which]
    with served(command, url + "/healthz", settings.to_env()) as server:
        yield url, server


def _nginx(folder: Path) -> Load | None:
    program = tool("nginx")
    if program is None:
        return None
    settings = free_settings(folder / "nginx")
    port = settings.ingest_port
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log {folder}/access.log; keepalive_requests 1000000000;\n"
        f"  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n"
        f"  scgi_temp_path {folder}/scgi;\n"
        f"  server {{ listen {settings.host}:{port}; location = /p.gif {{ empty_gif; }} }} }}\n"
    )
    url = f"http://{settings.host}:{port}"
    with served([program, "-c", str(config), "-p", str(folder)], url + "/p.gif", {}):
        wrk(url, PIXEL, folder)
        return wrk(url, PIXEL, folder)
