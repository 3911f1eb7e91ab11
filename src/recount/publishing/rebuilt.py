"""What came of days and months that were made again from the same hours: mostly nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from recount.counting.counted import Counted
from recount.counting.rebuild import hours_of_day
from recount.periods import HOUR_MS, day_span_ms, hour_start_ms, month_days
from recount.publishing.site_changes import SITES_AT_ONCE, Changes, Shown, Totals, take
from recount.store.manifests import Publication, Root
from recount.store.provenance import Kind, period_key


def rebuilt(
    publication: Publication,
    before: Root | None,
    since: Root | None,
    shown: Shown,
    zones: Mapping[str, str],
    *,
    is_known: bool,
) -> dict[str, Changes]:
    """The changes of each site of which a number moved; of a month only where none of its days did.

    `is_known`: whether what was shown before is still stored; else every site that was written counts as
    changed, without numbers.
    """
    sites = {site: Changes() for names in publication.sites.values() for site in names}
    written: dict[str, set[str]] = {}
    for key, names in _periods(publication):
        for at in range(0, len(names) if is_known else 0, SITES_AT_ONCE):
            some = names[at : at + SITES_AT_ONCE]
            old, new = shown.read(before, key, some), shown.read(since, key, some)
            take(sites, key, old, _known(new, old) if key.startswith("month/") else new)
        for site in names:
            written.setdefault(site, set()).add(key)
    changed = {site: changes for site, changes in sites.items() if not is_known or _has_moved(changes)}
    for site, changes in changed.items():
        keys = {*_moved("day", changes.days), *_moved("month", changes.months)} or written[site]
        changes.hours = sorted({hour for key in keys for hour in _hours(key, zones[site])})
    return changed


def _known(new: Counted, old: Counted) -> Counted:
    """Of the sites that were shown before: a month that is first made says what its days said."""
    kept = pl.col("site").is_in(old.rows["site"].unique().implode())
    return Counted(new.rows.filter(kept), new.revenue.filter(kept))


def _periods(publication: Publication) -> Iterator[tuple[str, list[str]]]:
    """(key, sites) of each day, and of each month for the sites of which no day in it was written."""
    days = {key: names for key, names in publication.sites.items() if key.startswith("day/")}
    yield from sorted(days.items())
    for key, names in sorted(publication.sites.items()):
        if key.startswith("month/"):
            inside = f"day/{key.partition('/')[2]}"
            told = {site for day, of_day in days.items() if day.startswith(inside) for site in of_day}
            yield key, [site for site in names if site not in told]


def _has_moved(changes: Changes) -> bool:
    periods = *_moved("day", changes.days), *_moved("month", changes.months)
    return bool(changes.dimensions or periods)


def _moved(kind: Kind, totals: Mapping[str, Totals]) -> Iterator[str]:
    """The keys of those periods of which a total moved."""
    for period, found in totals.items():
        if any(old != new for old, new in found.values()):
            yield period_key(kind, period)


def _hours(key: str, zone: str) -> Iterator[str]:
    """The hours that lie wholly within a day, or within a month."""
    kind, _, period = key.partition("/")
    for day in [period] if kind == "day" else month_days(period):
        start, end = day_span_ms(day, zone)
        for hour in hours_of_day(day, zone):
            if start <= hour_start_ms(hour) and hour_start_ms(hour) + HOUR_MS <= end:
                yield hour
