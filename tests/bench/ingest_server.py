"""What `bench_ingest` measures, each a program: our ingest, and a bare granian GIF.

python -m tests.bench.ingest_server ours   the site `bench` and its token are made in memory
python -m tests.bench.ingest_server bare   the same 43 bytes without any work
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from edge.answers import GIF, GIF_HEADERS
from edge.ingest import THREADS, build, serve_front
from edge.server import serve
from edge.spool import Spool
from recount.settings import Settings
from recount.store.catalog import TOKENS, Catalog, Site, token_digest
from recount.store.tables import memory_tables

SITE = "bench"
TOKEN = "rt_bench"


def ours(settings: Settings) -> None:
    """The real door, its catalog and salts in memory; events stay in the spool."""
    tables = memory_tables()
    Catalog(tables.catalog).add(Site(id=SITE, domain="bench.example"))
    tables.catalog.put({"pk": TOKENS, "sk": token_digest(TOKEN), "site": SITE})
    spool = Spool(settings.spool_root, max_bytes=settings.spool_max_bytes, fsync=settings.spool_fsync)
    front, sites = build(settings, tables, spool)
    sites.start()
    serve_front(front, settings)


def bare(settings: Settings) -> None:
    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", GIF_HEADERS)
        return [GIF]

    serve(app, settings.host, settings.ingest_port, threads=THREADS)


if __name__ == "__main__":
    {"ours": ours, "bare": bare}[sys.argv[1]](Settings.from_env())
