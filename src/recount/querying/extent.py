"""From when to when a site has numbers."""

from __future__ import annotations

from collections.abc import Iterable

from recount.keys import site_slot
from recount.store.catalog import Site
from recount.store.manifests import Manifests, Root
from recount.store.provenance import period_key
from recount.store.segments import SegmentStore


def extent(
    site: Site, root: Root | None, manifests: Manifests, segments: SegmentStore, slots: int
) -> tuple[str, str] | None:
    """The first and the last local date with published numbers; None where there are none."""
    months = [] if root is None else sorted(root.months)
    found: list[str] = []
    for order in (months, reversed(months)):
        days = (
            day
            for month in order
            if root is not None
            for day in _days(site, manifests, segments, month, root.months[month], slots, last=bool(found))
        )
        day = next(days, None)
        if day is None:
            return None
        found.append(day)
    return found[0], found[1]


def _days(
    site: Site,
    manifests: Manifests,
    segments: SegmentStore,
    month: str,
    manifest: str,
    slots: int,
    *,
    last: bool,
) -> Iterable[str]:
    """The dates of a month on which the site has data, from the first or the last on."""
    slot = site_slot(site.id, slots)
    periods = manifests.manifest(month, manifest).periods
    shown = {key: entry.generation(slot) for key, entry in periods.items() if not key.startswith("hour/")}
    wanted = {key: (site.id, key, generation) for key, generation in shown.items() if generation is not None}
    whole = period_key("month", month)
    is_made = whole in periods and periods[whole].has_data
    if is_made and (whole not in wanted or segments.places([wanted[whole]]) == [None]):
        return
    days = sorted((key for key in wanted if key.startswith("day/")), reverse=last)
    for key, place in zip(days, segments.places([wanted[key] for key in days]), strict=True):
        if place is not None:
            yield key.removeprefix("day/")
