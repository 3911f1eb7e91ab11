"""The sites, and what holds on all of them, by the rules that are in force for an hour."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from recount.rules import EVERY_SITE
from recount.store.catalog import Site
from recount.store.provenance import Provenance
from recount.store.rulebook import Rulebook
from recount.timeline import at

T = TypeVar("T")


class SitesInForce:
    """One state of the catalog (`Catalog.ruled`). `instead`: site, or EVERY_SITE -> the version that counts
    every hour, in place of those in force."""

    def __init__(
        self, sites: Mapping[str, Site], rulebook: Rulebook, instead: Mapping[str, int] | None = None
    ) -> None:
        self._sites = dict(sites)
        self._rulebook = rulebook
        for name, version in (instead or {}).items():
            if name in self._sites:
                ruled = self._ruled(self._sites[name], version)
                self._sites[name] = replace(ruled, timeline=())
        self._changing = {name: site for name, site in self._sites.items() if site.timeline}
        self._hours = sorted({since.hour for site in self._changing.values() for since in site.timeline})
        self._made: dict[int, Mapping[str, Site]] = {}

    def at(self, hour: str) -> Mapping[str, Site]:
        """Every site, and EVERY_SITE if it was given, by the rules that count an hour."""
        epoch = self._epoch(hour)
        if epoch not in self._made:
            ruled = {
                name: self._ruled(site, at(site.timeline, hour, site.rules_version))
                for name, site in self._changing.items()
            }
            self._made[epoch] = {**self._sites, **ruled} if ruled else self._sites
        return self._made[epoch]

    def version(self, site: str, hour: str) -> int | None:
        """The version of a site's rules that counts an hour; None for a site that is not in the catalog."""
        known = self.at(hour).get(site)
        return None if known is None else known.rules_version

    def has_counted(self, made: Provenance) -> bool:
        """Whether the sites that a generation of an hour speaks for were counted by what is in force for it.

        Of a site that has left the catalog there are no rules of its own to ask for.
        """
        common = self.version(EVERY_SITE, made.period)
        if any(common not in (None, made.common_version(site)) for site in made.sites):
            return False
        sites = [site for site in made.only or made.rules if site in made.rules]
        return all(self.version(site, made.period) in (None, made.rules[site]) for site in sites)

    def apart(self, hours: Iterable[tuple[str, T]]) -> Iterator[tuple[Mapping[str, Site], list[T]]]:
        """Neighbours (hour, anything) that are counted by the same rules, with the sites."""
        for _, group in groupby(hours, key=lambda named: self._epoch(named[0])):
            found = list(group)
            yield self.at(found[0][0]), [thing for _, thing in found]

    def _epoch(self, hour: str) -> int:
        return bisect_right(self._hours, hour)

    def _ruled(self, site: Site, version: int) -> Site:
        if version == site.rules_version:
            return site
        return site.ruled(self._rulebook.version(site.id, version).rules, version)
