"""What a billion events a day cost on AWS: what is written and stored is measured, then priced.

A sample of sites with the average of 10,000 events a day is archived, folded and published hour by hour in
the middle of a month; what that writes, scaled to 100,000 sites, is docs/cost.md.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestration.resources import Workplace
from orchestration.steps.archive_hour import Archiver
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.kafka import EVENTS
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.store.memory_table import MemoryTable
from recount.store.raw_items import raw_items
from recount.store.table import Item, Value
from tests.bench import generate, one_core
from tests.bench.bench_hour import place_in
from tests.bench.rows import Row, show
from tests.bench.values import PARTITIONS

SITES: Final = 10
DAY_EVENTS: Final = 10_000 * SITES
DAYS_BEFORE: Final = 14
FIRST_DAY: Final = "2026-11-01"
ALL_SITES: Final = 100_000
ALL_EVENTS: Final = 10_000 * ALL_SITES
TARGET_USD: Final = 80.0
MONTH_DAYS: Final = 30.4
KAFKA_GB: Final = 3 * 7 * 0.12 * 1_000  # three copies of seven days, 120 bytes an event in zstd
CORES: Final = (
    12  # the edge at 11,600 events/s takes 3, room for peaks as many again; hours, live and reads 6
)
PAGES: Final = 2_000_000  # a day
PAGE_GB: Final = 25e-6


@dataclass(frozen=True)
class Prices:
    """List prices of us-east-1 in USD, as the pricing pages of AWS give them (November 2026)."""

    write_unit: float = 0.625e-6  # DynamoDB on demand, 1 KB
    read_unit: float = 0.125e-6  # 4 KB read consistently, 8 KB otherwise
    table_gb_month: float = 0.25
    object_gb_month: float = 0.023  # S3 standard
    object_put: float = 5e-6
    lambda_gb_s: float = 16.6667e-6
    lambda_call: float = 0.2e-6
    core_hour: float = 0.0363  # half a c7g.large
    disk_gb_month: float = 0.08  # EBS gp3
    cache_node_hour: float = 0.269  # dax.r5.large
    cdn_gb: float = 0.085
    cdn_call: float = 1.0e-6


class Metered(MemoryTable):
    """Counts the write units that DynamoDB would bill, by the kind of item."""

    def __init__(self) -> None:
        super().__init__()
        self.units: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def start(self) -> None:
        """Count from here on."""
        self.units.clear()
        self.bytes.clear()

    def put(
        self, item: Item, *, if_absent: bool = False, if_equals: Mapping[str, Value] | None = None
    ) -> None:
        super().put(item, if_absent=if_absent, if_equals=if_equals)
        size = sum(len(name) + _size(value) for name, value in item.items())
        kind = _kind(str(item["pk"]))
        self.units[kind] += math.ceil(size / 1024)
        self.bytes[kind] += size


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 8


def _kind(pk: str) -> str:
    """`site0001#hour/...` is an hour's segment, `index#...` an index; the rest is not of single sites."""
    first, _, period = pk.partition("#")
    if first == "index":
        return "index"
    return period.partition("/")[0] if "/" in period else "manifests"


@dataclass(frozen=True)
class Measured:
    """Of the sample's day: units and bytes written by kind; bytes an event of archive and raw batches."""

    units: Mapping[str, int]
    written: Mapping[str, int]
    archive_bytes: float
    raw_bytes: float


def measure(*, large: bool) -> list[Row]:
    """One row; the parts of the bill are its conditions."""
    bill = priced(sample(), Prices())
    total = sum(bill.values())
    parts = "; ".join(f"{name} ${usd:.2f}" for name, usd in bill.items())
    return [
        Row(
            name="cost of a billion events a day, 100,000 sites",
            ours=round(total, 1),
            unit="USD",
            target=f"<= {TARGET_USD:g}",
            ok=total <= TARGET_USD,
            conditions=f"cost: list prices of us-east-1, docs/cost.md; {parts}",
        )
    ]


def sample() -> Measured:
    """Fourteen days published at once, then a day hour by hour, which is what is counted."""
    start = hour_start_ms(f"{FIRST_DAY}T00")
    before = [hour_of(start + n * HOUR_MS) for n in range(24 * DAYS_BEFORE)]
    day = [hour_of(start + n * HOUR_MS) for n in range(24 * DAYS_BEFORE, 24 * (DAYS_BEFORE + 1))]
    with tempfile.TemporaryDirectory(prefix="recount-bench-") as folder:
        rollups, manifests = Metered(), Metered()
        place = place_in(Path(folder), SITES)
        place = replace(place, tables=replace(place.tables, rollups=rollups, manifests=manifests))
        _publish(place, before)
        rollups.start()
        manifests.start()
        for hour in day:
            _publish(place, [hour])
        infos = [info for hour in day if (info := place.archive.newest(hour))]
    archived = sum(info.data_bytes for info in infos) / sum(info.events for info in infos)
    raw = one_core.run("tests.bench.bench_store_batches")[f"bytes_{PARTITIONS}"]
    return Measured(rollups.units + manifests.units, rollups.bytes + manifests.bytes, archived, raw)


def _publish(place: Workplace, hours: list[str]) -> None:
    run = hours[0]
    for hour in hours:
        seed = hour_start_ms(hour) // HOUR_MS
        events = generate.events(DAY_EVENTS // 24, seed=seed, sites=SITES, hour=hour)
        place.tables.raw.put_many(raw_items(events.with_columns(partition=0), EVENTS, 0, shards=1, ttl=0))
        cut = {(EVENTS, 0): 2**62}
        archiver = Archiver(
            place.raw,
            place.archive,
            cut,
            slots=place.settings.event_slots,
            run=run,
            scratch=place.settings.state,
        )
        until_ms = hour_start_ms(hour) + HOUR_MS
        archiver.archive(hour, until_ms=until_ms, now_ms=place.now_ms())
    rollup_range(place, made_by(run, hours, place.archive), run, reason="bench")
    publish_range(place, hours, run, reason="bench")


def priced(found: Measured, prices: Prices) -> dict[str, float]:
    """USD a day by part of the bill: a billion events of 100,000 sites."""
    scale = ALL_SITES / SITES
    raw_gb = found.raw_bytes * ALL_EVENTS / 1e9
    segments = {kind: found.units.get(kind, 0) * scale for kind in ("hour", "day", "month")}
    index_units = found.written.get("index", 0) * scale / 1024  # large items: no unit is lost by rounding up
    kept_gb = sum(found.written.get(kind, 0) for kind in ("hour", "index")) * scale / 1e9
    return {
        "raw batches, written": raw_gb * 1e6 * prices.write_unit,
        "raw batches, 35 days": raw_gb * 35 / MONTH_DAYS * prices.table_gb_month,
        **{f"{kind} segments, written": units * prices.write_unit for kind, units in segments.items()},
        "indexes, manifests, written": (index_units + found.units.get("manifests", 0)) * prices.write_unit,
        "segments, a month": kept_gb * prices.table_gb_month,
        "archive, a month": found.archive_bytes * ALL_EVENTS / 1e9 * prices.object_gb_month,
        "store_batches (Lambda)": _lambda(prices),
        "Kafka, three brokers": 3 * 24 * 2 * prices.core_hour + KAFKA_GB * prices.disk_gb_month / MONTH_DAYS,
        "edge, live, roll-up, dashboards (cores)": CORES * 24 * prices.core_hour,
        "DAX, two nodes": 2 * 24 * prices.cache_node_hour,
        "pages from the CDN": PAGES * (PAGE_GB * prices.cdn_gb + prices.cdn_call),
    }


def _lambda(prices: Prices) -> float:
    """At 100,000 events/s a core, 1.8 GB of memory (one core) and 10,000 records a call."""
    return ALL_EVENTS / 100_000 * 1.8 * prices.lambda_gb_s + ALL_EVENTS / 10_000 * prices.lambda_call


if __name__ == "__main__":
    show(measure(large=False))
