"""A month of history computed again beside what is published, its diff, and what is told of it once shown."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from recount.publishing.logbook import Logbook
from recount.publishing.publisher import HourCandidate, Publisher
from recount.store.catalog import Goal
from recount.store.correction_log import CorrectionLog
from recount.store.memory_table import MemoryTable
from tests.bench.months import Months
from tests.bench.rows import Row

HOURS: Final = 720
SITES: Final = 1_000
EVENTS: Final = 1_000  # an hour: the work of an hour counts here, not that of an event
PART_HOURS: Final = 120  # for what is measured in several ways
BUSY_HOURS: Final = 3
BUSY_EVENTS: Final = 500_000
DAY_EVENTS: Final = 1_000_000_000
DAY_WITHIN_S: Final = 3_600


def measure(*, large: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        rows = _busy(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        return [*rows, *_month(Path(folder))]


def _busy(folder: Path) -> list[Row]:
    """Few hours with many events: here the fold counts."""
    busy = Months.published(folder, hours=BUSY_HOURS, events=BUSY_EVENTS, sites=SITES)
    one, two = _by_cores(busy, busy.hours)
    rates = {name: busy.rate(name, BUSY_HOURS) for name in (one, two)}
    target = DAY_EVENTS / DAY_WITHIN_S
    conditions = (
        f"backfill: {BUSY_HOURS} hours of {BUSY_EVENTS:,} events, {SITES:,} sites, tables in memory; "
        f"processor time of an hour: {busy.costs(archive=BUSY_HOURS, two=BUSY_HOURS)}"
    )
    return [
        Row(
            name="reprocessing from the archive, 1 core",
            ours=rates[one],
            unit="events/s",
            conditions=conditions,
        ),
        Row(
            name="reprocessing from the archive, 2 cores",
            ours=rates[two],
            unit="events/s",
            peer="1 core",
            peer_value=rates[one],
            target=f">= {target:,.0f}: a day of a billion in an hour",
            ok=rates[two] >= target,
            conditions=conditions,
        ),
    ]


def _month(folder: Path) -> list[Row]:
    month = Months.published(folder, hours=HOURS, events=EVENTS, sites=SITES)
    for site in month.place.catalog.sites().values():
        goals = (*site.goals, Goal(name="any page", page="/*"))
        month.place.catalog.update(replace(site, goals=goals, rules_version=site.rules_version + 1))
    part = month.hours[:PART_HOURS]
    one, two = _by_cores(month, part)
    month.reprocess("raw", part, "raw")
    month.reprocess("all", month.hours)
    with month.timed("diff"):
        found = month.place.review.compare(month.place.reprocessings.open("all"))
    told = _told(month)
    costs = month.costs(archive=HOURS, publish=HOURS, raw=PART_HOURS, all=HOURS, diff=HOURS, told=HOURS)
    conditions = (
        f"backfill: {HOURS} hours of {EVENTS:,} events, {SITES:,} sites, tables in memory; a new goal "
        f"changes every site, the diff has {found.rows.height:,} days of sites, {told:,} sites are told of a "
        f"correction; processor time of an hour: {costs}"
    )

    by_one, by_two, from_raw = (PART_HOURS / month.seconds[name] for name in (one, two, "raw"))

    def rate(name: str, ours: float, peer: str, peer_value: float | None) -> Row:
        name = f"reprocessing small hours {name}"
        return Row(
            name=name, ours=ours, unit="hours/s", peer=peer, peer_value=peer_value, conditions=conditions
        )

    return [
        rate("from the archive, 1 core", by_one, "", None),
        rate("from the archive, 2 cores", by_two, "1 core", by_one),
        rate("from raw, 2 cores", from_raw, "from the archive", by_two),
        Row(
            name=f"diff of {HOURS} hours, {SITES:,} sites",
            ours=month.seconds["diff"],
            unit="s",
            peer="computing them",
            peer_value=month.seconds["all"],
            conditions=conditions,
        ),
        Row(
            name=f"correction log of {HOURS} hours, {SITES:,} sites, processor time",
            ours=month.processor_s["told"],
            unit="s",
            peer="their diff",
            peer_value=month.processor_s["diff"],
            conditions=conditions,
        ),
    ]


def _told(month: Months) -> int:
    """Show what was computed, then write the correction log by itself; returns how many sites it tells."""
    place = month.place
    publisher = Publisher(
        *(place.candidates, place.segments, place.manifests, place.catalog.sites),
        site_slots=place.settings.site_slots,
        top_values=place.settings.top_values,
    )
    done = place.reprocessings.hours("all").values()
    wanted = [HourCandidate(hour.hour, hour.generation, hour.base) for hour in done]
    publication = publisher.publish(wanted, "bench", cause="reprocessing/all")
    log = CorrectionLog(MemoryTable())
    book = Logbook(
        *(place.manifests, place.segments, place.candidates, log, place.catalog.sites),
        *(place.settings.site_slots, place.now_ms),
    )
    with month.timed("told"):
        book.catch_up(publication)
    return len(log.of_publication(publication.id, place.catalog.sites()))


def _by_cores(months: Months, hours: list[str]) -> tuple[str, str]:
    """The names of the same reprocessing by one core, and by two."""
    months.reprocess("warm-up", hours[:1])
    with cores(1):
        months.reprocess("one", hours)
    with cores(2):
        months.reprocess("two", hours)
    return "one", "two"


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Every thread of this process on so many cores at most."""
    allowed = os.sched_getaffinity(0)
    _keep_to(set(sorted(allowed)[-count:]))
    try:
        yield
    finally:
        _keep_to(allowed)


def _keep_to(wanted: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), wanted)
