"""What must exist before the services start: topics, tables, and the ready-made site `demo`.

Entry point `python -m deploy.local.prepare`; running it again changes nothing.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Final

from recount.errors import Conflict
from recount.kafka import ensure_topics
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import ensure_tables, open_tables

DEMO: Final = Site(id="demo", domain="localhost", hostnames=("127.0.0.1", "demo.example"))


def prepare(settings: Settings) -> None:
    ensure_topics(settings)
    ensure_tables(settings)
    with contextlib.suppress(Conflict):  # it is there already, perhaps changed by its owner
        now_ms = time.time_ns() // 1_000_000
        Catalog(open_tables(settings).catalog).add(replace(DEMO, created_ms=now_ms))


if __name__ == "__main__":
    prepare(Settings.from_env())
