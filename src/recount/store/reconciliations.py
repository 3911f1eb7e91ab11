"""What live and published had of each hour when it was published. In the table `manifests`.

reconciliation#<site slot>   / <hour>   both sides of each site of a slot
reconciliation               / <hour>   the hour as a whole: whether live was there, what is unexplained
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from recount.keys import site_slot
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.reconciliation import Compared, HourCompared, State, unexplained
from recount.store import blobs
from recount.store.table import Item, Table

KEPT_HOURS: Final = 14 * 24
NAMED_MAX: Final = 20


class HourSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of all sites. `unexplained`: the sites with most of it, NAMED_MAX at most, out of
    `unexplained_sites`; `unexplained_events` is the sum of all."""

    hour: str
    generation: str
    at_ms: int
    state: State
    sites: int
    unexplained_sites: int = 0
    unexplained_events: int = 0
    unexplained: dict[str, int] = {}


class Reconciliations:
    """Reads and writes; an hour that is published again is compared again."""

    def __init__(self, table: Table, site_slots: int) -> None:
        self._table = table
        self._slots = site_slots

    def put(self, found: HourCompared) -> HourSummary:
        """Keep an hour of all sites, and let go of those too old; returns its summary."""
        by_slot: dict[int, dict[str, Compared]] = {}
        for site, compared in found.sites.items():
            by_slot.setdefault(site_slot(site, self._slots), {})[site] = compared
        items: list[Item] = []
        for slot, sites in by_slot.items():
            part = msgspec.structs.replace(found, sites=sites)
            items += blobs.items((f"reconciliation#{slot}", found.hour), blobs.pack(part))
        summary = _summary(found)
        items.append({"pk": "reconciliation", "sk": found.hour, "data": blobs.pack(summary)})
        self._table.put_many(items)
        self._forget(hour_of(hour_start_ms(found.hour) - KEPT_HOURS * HOUR_MS), by_slot)
        return summary

    def of_site(self, site: str, first: str, last: str) -> list[tuple[HourCompared, Compared | None]]:
        """The hours from `first` to `last` that were compared, newest first, and what they have of a site."""
        items: dict[str, list[Item]] = {}
        place = f"reconciliation#{site_slot(site, self._slots)}"
        for item in self._table.query(place, start=f"{first}#", end=f"{last}#~"):
            items.setdefault(item["sk"].partition("#")[0], []).append(item)
        found = [
            blobs.unpack(b"".join(item["data"] for item in chunks[: chunks[0]["chunks"]]), HourCompared)
            for _, chunks in sorted(items.items(), reverse=True)
        ]
        return [(hour, hour.sites.get(site)) for hour in found]

    def summaries(self, first: str, last: str) -> list[HourSummary]:
        """The hours from `first` to `last`, oldest first."""
        items = self._table.query("reconciliation", start=first, end=last)
        return [blobs.unpack(item["data"], HourSummary) for item in items]

    def _forget(self, before: str, slots: Iterable[int]) -> None:
        places = ["reconciliation", *(f"reconciliation#{slot}" for slot in slots)]
        old = [(i["pk"], i["sk"]) for place in places for i in self._table.query(place, end=before)]
        self._table.delete_many(old)


def _summary(found: HourCompared) -> HourSummary:
    rest: Mapping[str, int] = unexplained(found.sites, found.late_max) if found.state == "compared" else {}
    named: Sequence[str] = [*rest][:NAMED_MAX]
    return HourSummary(
        hour=found.hour,
        generation=found.generation,
        at_ms=found.at_ms,
        state=found.state,
        sites=len(found.sites),
        unexplained_sites=len(rest),
        unexplained_events=sum(rest.values()),
        unexplained={site: rest[site] for site in named},
    )
