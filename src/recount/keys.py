"""Stable hashes that decide where a thing lives: partitions, slots.

xxHash3 is stable across processes, versions and machines (https://xxhash.com); polars' and Python's own
hashes are not, so they never decide a place.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import xxhash


def site_hash(site: str) -> int:
    """The 64-bit place of a site."""
    return xxhash.xxh3_64_intdigest(site.encode())


def kafka_partition(site: str, visitor: int, *, spread: int, partitions: int) -> int:
    """Small sites (spread 1) live in one partition; a hot site is spread over `spread` of them by visitor."""
    return (site_hash(site) + visitor % spread) % partitions


def site_slot(site: str, slots: int) -> int:
    """The unit of publishing: a generation belongs to one site slot."""
    return site_hash(site) % slots


def event_slots(events: pl.DataFrame, slots: int) -> pl.Series:
    """The unit of parallel work for each row of (site, visitor): Int64 values in [0, slots)."""
    sites = events["site"]
    if sites.dtype == pl.String:
        sites = sites.cast(pl.Categorical(pl.Categories.random()))
    distinct = sites.unique()
    numbers = distinct.to_physical().to_numpy()
    hashes = np.zeros(int(numbers.max(initial=0)) + 1, dtype=np.uint64)
    hashes[numbers] = [site_hash(site) for site in distinct]
    of_site = pl.Series("h", hashes[sites.to_physical().to_numpy()])
    return events.select("visitor", of_site).select(
        slot=((pl.col("visitor") ^ pl.col("h")) % slots).cast(pl.Int64)
    )["slot"]
