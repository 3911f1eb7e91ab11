"""Open visits of a past moment, from the archive, by place: where a partition's reading begins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl
import structlog

from recount.counting.visits import empty_carry
from recount.keys import site_hash
from recount.periods import HOUR_MS, hour_of
from recount.store.archive import Archive
from streaming.places import SEPARATOR
from streaming.sites import SitesCache

log = structlog.get_logger("live")

_PARTITION: Final = "_partition"


class ArchivedCarries:
    """The carry of the hour that ended at a moment, as its newest archive generation has it."""

    def __init__(self, archive: Archive, sites: SitesCache, partitions: int) -> None:
        self._archive = archive
        self._sites = sites
        self._partitions = partitions

    def at(self, moment_ms: int, partitions: Collection[int]) -> pl.DataFrame:
        """CARRY_SCHEMA by place; empty where the hour before was never archived."""
        hour = hour_of(moment_ms - HOUR_MS)
        info = self._archive.newest(hour)
        if info is None:
            return empty_carry()
        carry = self.placed(self._archive.read_carry(hour, info.generation), partitions)
        log.info("carry_read", hour=hour, generation=info.generation, visits=carry.height)
        return carry

    def placed(self, carry: pl.DataFrame, partitions: Collection[int]) -> pl.DataFrame:
        """The visits of these partitions, with their place as `site`."""
        known = self._sites.known()
        sites = [site for site in carry["site"].unique().to_list() if site in known]
        homes = pl.DataFrame(
            {"site": sites, "_hash": map(site_hash, sites), "_spread": [known[s].spread for s in sites]},
            schema={"site": pl.String, "_hash": pl.UInt64, "_spread": pl.UInt64},
        )
        step = pl.col("visitor") % pl.col("_spread")
        partition = (pl.col("_hash") % self._partitions + step) % self._partitions
        found = carry.join(homes, on="site").with_columns(partition.cast(pl.Int64).alias(_PARTITION))
        return found.filter(pl.col(_PARTITION).is_in(list(partitions))).select(
            pl.concat_str("site", pl.lit(SEPARATOR), pl.col(_PARTITION).cast(pl.String)).alias("site"),
            *[name for name in carry.columns if name != "site"],
        )
