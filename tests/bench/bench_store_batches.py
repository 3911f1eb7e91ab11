"""store_batches, the pure handler: a payload of 10,000 events in; items, dead letters and receipts out."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Any, Final

from lambdas.store_batches import prepare
from recount.periods import HOUR_MS, hour_start_ms
from recount.settings import Settings
from recount.store.memory_table import MemoryTable
from recount.store.raw import RawStore
from recount.store.raw_batch import RawBatch
from tests.bench import generate, one_core
from tests.bench.rows import Row
from tests.bench.values import PARTITIONS, in_partitions, values

EVENTS: Final = 10_000
TARGET_RATE: Final = 100_000
TARGET_BYTES: Final = 40
NOW_MS: Final = hour_start_ms(generate.HOUR) + HOUR_MS
KEY_BYTES: Final = 40  # names of attributes, numbers


def measure(*, large: bool) -> list[Row]:
    found = one_core.run("tests.bench.bench_store_batches")
    size = f"{found['value_bytes']:.0f} bytes of JSON an event"
    rows = []
    for partitions in (1, PARTITIONS):
        where = (
            f"store_batches: payload of {EVENTS:,} events from {partitions} partition(s), {size}, one core"
        )
        rate, stored = found[f"rate_{partitions}"], found[f"bytes_{partitions}"]
        rows += [
            Row(
                name=f"store_batches, {partitions} partition(s)",
                ours=rate,
                unit="events/s a core",
                target=f"at least {TARGET_RATE:,}",
                ok=rate >= TARGET_RATE,
                conditions=where,
            ),
            Row(
                name=f"raw batches, {partitions} partition(s)",
                ours=stored,
                unit="bytes/event",
                peer="one item an event",
                peer_value=found["value_bytes"],
                target=f"at most {TARGET_BYTES}",
                ok=stored <= TARGET_BYTES,
                conditions=where,
            ),
        ]
    return rows


def main() -> None:
    found: dict[str, float] = {}
    for partitions in (1, PARTITIONS):
        payload, size = _payload(partitions)
        raw = RawStore(MemoryTable(), Settings())
        found[f"rate_{partitions}"] = one_core.best_rate(EVENTS, partial(prepare, raw, payload, NOW_MS))
        found[f"bytes_{partitions}"] = _stored_bytes(prepare(raw, payload, NOW_MS)) / EVENTS
        found["value_bytes"] = size
    print(json.dumps(found))


def _payload(partitions: int) -> tuple[dict[str, Any], float]:
    """As an event source mapping sends it; the records of one second."""
    events = in_partitions(generate.events(EVENTS, span_ms=1_000))
    encoded = values(events)
    records: dict[str, list[dict[str, Any]]] = {}
    for value, home in zip(encoded, events["partition"], strict=True):
        partition = home % partitions
        part = records.setdefault(f"events-{partition}", [])
        part.append(
            {
                **{"topic": "events", "partition": partition, "offset": len(part)},
                **{"timestamp": 1_790_000_000_000, "timestampType": "LOG_APPEND_TIME", "key": None},
                **{"value": base64.b64encode(value).decode(), "headers": []},
            }
        )
    return {"eventSource": "aws:kafka", "records": records}, sum(map(len, encoded)) / EVENTS


def _stored_bytes(batch: RawBatch) -> int:
    return sum(len(i["data"]) + len(i["pk"]) + len(i["sk"]) + KEY_BYTES for i in batch.items)


if __name__ == "__main__":
    main()
