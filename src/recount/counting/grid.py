"""Sites and buckets of time as one number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from recount.counting.coding import Coded, Ints
from recount.periods import HOUR_MS, QUARTER_MS, hour_start_ms
from recount.store.catalog import Site


@dataclass(frozen=True)
class Grid:
    """Every (site, step of time) as one number, its place; places are in the order of (site, time)."""

    sites: pl.Series
    first_ms: int
    step_ms: int
    steps: int

    @property
    def size(self) -> int:
        return len(self.sites) * self.steps

    def place(self, site: Ints, at: Ints) -> Ints:
        return site * self.steps + (at - self.first_ms) // self.step_ms

    def keys(self, place: Ints) -> tuple[pl.Series, pl.Series]:
        """(site, at) of each place."""
        at = self.first_ms + (place % self.steps) * self.step_ms
        return self.sites.gather(place // self.steps).alias("site"), pl.Series("at", at)


def step_of(*bucket_ms: int) -> int:
    """The step of time that buckets of the given lengths and quarters of an hour are made of."""
    return math.gcd(QUARTER_MS, *bucket_ms)


def grid(sites: pl.Series, at: Ints, *bucket_ms: int) -> Grid:
    """The grid that holds all moments, fine enough for buckets of the given lengths and quarters of an
    hour."""
    step = step_of(*bucket_ms)
    longest = max(QUARTER_MS, *bucket_ms)
    first = int(at.min()) // longest * longest
    return Grid(sites, first, step, (int(at.max()) - first) // step + 1)


def bucket_starts(at: Ints, site: Coded, sites: Mapping[str, Site], bucket_ms: int) -> Ints:
    """The start of each row's bucket; sites whose clock is off the full hour get quarters, so that their days
    and hours can be put together."""
    starts = at - at % bucket_ms
    if bucket_ms <= QUARTER_MS:
        return starts
    zones = [sites[name].timezone if name in sites else "UTC" for name in site.values]
    first = int(at.min()) // HOUR_MS
    hours = range(first, int(at.max()) // HOUR_MS + 1)
    odd = {zone: [_off_the_hour(zone, hour) for hour in hours] for zone in set(zones)}
    if not any(map(any, odd.values())):
        return starts
    is_odd = np.array([odd[zone] for zone in zones])[site.codes, at // HOUR_MS - first]
    return np.where(is_odd, at - at % QUARTER_MS, starts)


def is_off_the_hour(zone: str, hour: str) -> bool:
    """Whether a zone's clock is off the full hour in a UTC hour, so that its values are kept by quarters."""
    return _off_the_hour(zone, hour_start_ms(hour) // HOUR_MS)


@lru_cache(maxsize=100_000)
def _off_the_hour(zone: str, hour: int) -> bool:
    offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return offset is not None and offset.total_seconds() % 3600 != 0
