"""What a publication changed of each site: a period as it was shown before, and as it is since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from recount.corrections import METRICS, REVENUE_PREFIX
from recount.counting import counted
from recount.counting.counted import VISITOR_COUNT, Counted, Counts
from recount.counting.rollup import TOTAL
from recount.keys import site_slot
from recount.publishing.comparison import compare
from recount.store.manifests import Entry, Manifests, Root
from recount.store.segment_decode import counts
from recount.store.segments import SegmentStore

SITES_AT_ONCE: Final = 200
Totals = dict[str, tuple[int, int]]  # metric -> before, since


@dataclass
class Changes:
    """Of one site: the hours corrected, and the totals before and since by day, and by month for months of
    which no day is named."""

    hours: list[str] = field(default_factory=list)
    days: dict[str, Totals] = field(default_factory=dict)
    months: dict[str, Totals] = field(default_factory=dict)
    dimensions: set[str] = field(default_factory=set)
    before: bool = False
    late_events: int = 0


@dataclass(frozen=True)
class Shown:
    """Reads what a root shows."""

    manifests: Manifests
    segments: SegmentStore
    site_slots: int

    def read(self, root: Root | None, key: str, sites: Sequence[str]) -> Counted:
        """A period of some sites; visitors are counts."""
        entry = self.manifests.entries(root, [key]).get(key)
        if entry is None or not sites:
            return counted.empty()
        places = [(site, key, self.generation(entry, site)) for site in sites]
        found = self.segments.numbers([(s, k, g) for s, k, g in places if g is not None])
        return _counted(counts([numbers for numbers in found if numbers is not None]))

    def generation(self, entry: Entry, site: str) -> str | None:
        return entry.generation(site_slot(site, self.site_slots))


def take(sites: Mapping[str, Changes], key: str, old: Counted, new: Counted) -> None:
    """Add what a day or month (a period key) was and is to the changes of its sites."""
    kind, _, period = key.partition("/")
    found = compare(period, old, new)
    for site, metric, was, now in found.totals.select("site", "metric", "old", "new").iter_rows():
        if metric in METRICS or metric.startswith(REVENUE_PREFIX):
            changes = sites[site]
            of_kind = changes.days if kind == "day" else changes.months
            of_kind.setdefault(period, {})[metric] = (was, now)
    values = found.changes.filter(pl.col("dimension") != TOTAL)
    for site, dimension in values.select("site", "dimension").unique().iter_rows():
        sites[site].dimensions.add(dimension)
    for site in old.rows["site"].unique():
        sites[site].before = True


def _counted(found: Counts) -> Counted:
    rows = found.rows.with_columns(
        pl.col("visitors").alias(VISITOR_COUNT),
        visitors=pl.lit(None, counted.COUNTED_SCHEMA["visitors"]),
    )
    return Counted(rows.select(*counted.COUNTED_SCHEMA), found.revenue)
