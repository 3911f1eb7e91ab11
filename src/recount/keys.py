"""Stable hashes that decide where a thing lives: partitions, slots.

xxHash3 is stable across processes, versions and machines (https://xxhash.com); polars' and Python's own
hashes are not, so they never decide a place.
"""

from __future__ import annotations

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
    sites = events.select(pl.col("site").unique())["site"]
    hashes = pl.DataFrame(
        {"site": sites, "h": [site_hash(s) for s in sites]}, schema={"site": pl.String, "h": pl.UInt64}
    )
    joined = events.select("site", "visitor").join(hashes, on="site", how="left", maintain_order="left")
    return joined.select(((pl.col("visitor") ^ pl.col("h")) % slots).cast(pl.Int64).alias("slot"))["slot"]
