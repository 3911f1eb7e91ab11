"""A large site's published days and months: 10 million events in 30 days, values by zipf's law."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import polars as pl

from recount.counting import sketch
from recount.counting.counted import COUNTED_SCHEMA, VISITOR_COUNT, Counted
from recount.counting.rebuild import HOURS
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, SERIES, SUMS, TOTAL
from recount.keys import site_slot
from recount.periods import HOUR_MS, QUARTER_MS, day_span_ms, month_days
from recount.store.catalog import Site
from recount.store.manifests import Entry, Manifest, Manifests, Publication, Root
from recount.store.provenance import Kind, Provenance, period_key
from recount.store.segment_encode import encode_counted
from recount.store.segments import SegmentStore, SlotWrite
from recount.store.tables import Tables

SITE: Final = Site(id="large", domain="large.example")
SLOTS: Final = 64
VISITORS: Final = 60_000  # a day; with five to six events each, 10 million events in 30 days
VALUES: Final = {
    **{"page": 1000, "entry_page": 1000, "exit_page": 1000, "source": 150, "referrer": 1000, "channel": 12},
    **{"utm_campaign": 60, "country": 150, "region": 600, "language": 80, "device": 4, "browser": 25},
    **{"browser_version": 300, "os": 12, "os_version": 80, "screen": 5, "event": 20, "outbound": 200},
}


def publish(tables: Tables, days: Iterable[str], months: Iterable[str]) -> dict[Kind, int]:
    """Publishes made periods; returns the mean bytes of numbers of a day and of a month."""
    segments, manifests = SegmentStore(tables.rollups, SLOTS), Manifests(tables.manifests)
    rng = np.random.default_rng(1)
    slot = site_slot(SITE.id, SLOTS)
    periods: dict[str, dict[str, Entry]] = {}
    sizes: dict[Kind, list[int]] = {"day": [], "month": []}
    made: list[tuple[Kind, str, Counted]] = [
        *(("day", day, _day(day, rng)) for day in days),
        *(("month", month, _month(month, rng)) for month in months),
    ]
    for kind, period, counted in made:
        segment = encode_counted(counted)[SITE.id]
        sizes[kind].append(len(segment.numbers))
        segments.put([SlotWrite(period_key(kind, period), slot, "g", {SITE.id: segment})])
        source = Provenance(kind=kind, period=period, generation="g", made_ms=0, logic_version=1)
        entry = Entry.of({slot: "g"}, source)
        periods.setdefault(period[:7], {})[period_key(kind, period)] = entry
    _show(manifests, periods)
    return {kind: round(statistics.mean(found)) for kind, found in sizes.items() if found}


def _show(manifests: Manifests, periods: Mapping[str, dict[str, Entry]]) -> None:
    changed = [Manifest(month=month, id=f"m{month}", periods=found) for month, found in periods.items()]
    root = Root(id="r", months={manifest.month: manifest.id for manifest in changed}, at_ms=0)
    manifests.move(None, root, changed, Publication(id="r", parent=None, at_ms=0, reason="", run_id=""))


def _day(day: str, rng: np.random.Generator) -> Counted:
    start, _ = day_span_ms(day, SITE.timezone)
    series = [(name, start + n * step) for name, step, parts in _SERIES for n in range(parts)]
    return _period(start, series, VISITORS, rng)


def _month(month: str, rng: np.random.Generator) -> Counted:
    days = [day_span_ms(day, SITE.timezone)[0] for day in month_days(month)]
    return _period(days[0], [(SERIES, at) for at in days], VISITORS * len(days), rng)


_SERIES: Final = ((SERIES, QUARTER_MS, 96), (HOURS, HOUR_MS, 24))


def _period(start: int, series: list[tuple[str, int]], visitors: int, rng: np.random.Generator) -> Counted:
    keys: list[tuple[str, int, str, str]] = [(SITE.id, start, TOTAL, "")]
    sizes = [visitors]
    keys += [(SITE.id, at, name, "") for name, at in series]
    sizes += [visitors * 2 // len(series)] * len(series)
    for name, count in VALUES.items():
        weights = 1 / np.arange(1, count + 1) ** 1.1
        keys += [(SITE.id, start, name, f"/{name}/with-a-longer-path/{n}") for n in range(count)]
        sizes += np.maximum(1, visitors * weights / weights.sum()).astype(int).tolist()
    metrics = [
        pl.Series(name, (np.array(sizes) * rng.uniform(0.5, 3, len(sizes))).astype(int)) for name in SUMS
    ]
    rows = pl.DataFrame(keys, schema={key: ROLLUP_SCHEMA[key] for key in KEYS}, orient="row").with_columns(
        pl.lit(None, sketch.SET).alias("visitors"), pl.Series(VISITOR_COUNT, sizes), *metrics
    )
    return Counted(rows.select(*COUNTED_SCHEMA), pl.DataFrame(schema=dict(REVENUE_SCHEMA)))
