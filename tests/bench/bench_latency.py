"""Event sent -> seen on the live API, on the whole live path, at a steady 10,000 events/s.

A stack of its own runs Kafka, the ingest, the shipper and the live service. One thread sends batches, another
sends single events of a quiet site and asks for them until they show.
"""

from __future__ import annotations

import time
from typing import Final

from tests.bench.probes import add_sites, probe, row, sending
from tests.bench.rows import Row
from tests.bench.stacks import own_stack

RATE: Final = 10_000
PROBES: Final = 60


def measure(*, large: bool) -> list[Row]:
    with own_stack() as stack:
        stack.need("kafka", "dynamodb", "ingest", "shipper", "live")
        add_sites(stack.settings)
        with sending(stack.urls["ingest"], RATE) as sent:
            before, started = sent.events, time.monotonic()
            waits = probe(stack.urls["ingest"], stack.urls["live"], PROBES)
            rate = (sent.events - before) / (time.monotonic() - started)
    conditions = (
        f"latency: {len(waits)} probes at {rate:,.0f} events/s sent, sender and all parts on one machine"
    )
    return [
        row("event sent -> live API, p50", waits, 0.50, "", None, conditions),
        row("event sent -> live API, p95", waits, 0.95, "under 2 s", 2.0, conditions),
        row("event sent -> live API, p99", waits, 0.99, "under 5 s", 5.0, conditions),
    ]
