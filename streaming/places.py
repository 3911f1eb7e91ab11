"""Where a site's events lie. Inside the live service a site is counted once for each of its partitions.

A *place* is `<site>#<partition>`. Rows kept by place can be dropped with a partition that another instance
takes over, and merge into those of the site when somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from recount.keys import site_hash
from recount.store.catalog import Site

SEPARATOR: Final = "#"  # no site id has it


def partitions_of(site: Site, partitions: int) -> frozenset[int]:
    """The partitions that can hold events of a site, those of an earlier, wider spread included."""
    return frozenset((site_hash(site.id) + n) % partitions for n in range(min(site.reach, partitions)))


def places_of(site: str, partitions: Collection[int]) -> list[str]:
    return [f"{site}{SEPARATOR}{partition}" for partition in sorted(partitions)]


def partition_of_place() -> pl.Expr:
    """The partition (Int64) in a column `site` that holds places."""
    return pl.col("site").str.split(SEPARATOR).list.last().cast(pl.Int64)


def by_place(events: pl.DataFrame) -> pl.DataFrame:
    """Events with their place as `site`."""
    return events.with_columns(pl.format("{}#{}", "site", "partition").alias("site"))


class PlacedSites(Mapping[str, Site]):
    """One state of the catalog by place, as the fold wants it; places are made when first asked for."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self.sites = sites
        self._placed: dict[str, Site] = {}

    def __getitem__(self, place: str) -> Site:
        found = self._placed.get(place)
        if found is None:
            site = self.sites[place.partition(SEPARATOR)[0]]
            found = self._placed[place] = replace(site, id=place)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._placed)

    def __len__(self) -> int:
        return len(self._placed)
