"""Archives written anew without what tombstones take, and published: each hour once, with what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec
import polars as pl

from orchestration.resources import Workplace
from orchestration.steps.archive_hour import OPEN_NOTE
from orchestration.steps.hours import carry_in, carry_out
from orchestration.steps.rollup_range import rollup_range
from recount.counting.visits import cut
from recount.erasing.matching import NAMELESS, applied, husks, living
from recount.erasing.tombstone import Tombstone
from recount.event import EVENT_SCHEMA
from recount.ids import new_id
from recount.ledger import ERASED, Ledger, Line
from recount.periods import HOUR_MS, hour_start_ms, next_hour, previous_hour
from recount.publishing.publisher import HourCandidate, Publisher
from recount.store.archive import DRAFT_NOTE, Archive, ArchiveInfo, SlotInfo, by_slot, carry_source
from recount.store.catalog import Site
from recount.store.erasures import Erasure
from recount.store.manifests import Publication
from recount.store.provenance import Provenance, period_key

ERASURE_NOTE: Final = "erasure"
WRITERS: Final = 4


def rewrite_hours(
    place: Workplace,
    tombstone: Tombstone,
    hours: Iterable[str],
    add: Callable[[str], object],
    progress: Callable[[str], object] = lambda hour: None,
) -> None:
    """Write the newest generation of hours anew, and those after them until a carry comes out as it was.

    Doing it again finds what is left to do. `add` is told an hour beyond those given before it is written.
    """
    given, todo = set(hours), set(hours)
    while todo:
        hour = min(todo)
        todo.remove(hour)
        newest = place.archive.newest(hour)
        if newest is None:
            continue
        if hour not in given:
            add(hour)
            given.add(hour)
        if _is_due(place.archive, newest, tombstone):
            newest = rewrite(place.archive, newest, tombstone, now_ms=place.now_ms())
            progress(hour)
        after = place.archive.newest(next_hour(hour))
        if after is not None and carry_out(newest) != carry_in(after, place.archive):
            todo.add(after.hour)


def rewrite(archive: Archive, old: ArchiveInfo, tombstone: Tombstone, *, now_ms: int) -> ArchiveInfo:
    """A sealed generation of the same events without those taken, cut again. What was accepted stays."""
    before = archive.newest(previous_hour(old.hour))
    until_ms = int(old.notes.get(OPEN_NOTE, hour_start_ms(old.hour) + HOUR_MS))
    generation, gone = new_id(), []

    def write(slot: int) -> SlotInfo:
        columns = list(EVENT_SCHEMA)
        events = archive.read_events(old.hour, old.generation, slot, columns).select(columns)
        left = applied(events, [tombstone])
        gone.append(husks(left).group_by("site").len())
        carry = None
        if before is not None:
            carry = archive.read_carry(before.hour, before.generation, slot, len(old.slots))
        return archive.write_slot(old.hour, generation, slot, cut(living(left), carry, until_ms))

    with ThreadPoolExecutor(WRITERS) as pool:
        slots = list(pool.map(write, sorted(old.slots)))
    notes = {name: text for name, text in old.notes.items() if name != DRAFT_NOTE}
    info = msgspec.structs.replace(
        old,
        generation=generation,
        made_ms=now_ms,
        slots=by_slot(slots),
        previous=carry_source(before),
        ledger=_moved(old.ledger, pl.concat(gone), tombstone),
        notes=notes | {ERASURE_NOTE: tombstone.id},
    )
    archive.seal(old.hour, generation, info)
    return info


def publish_rewritten(place: Workplace, erasure: Erasure, run_id: str) -> Publication | None:
    """Show the rewritten hours, of the site alone, in one move; None where none is published otherwise."""
    keys = {period_key("hour", hour): hour for hour in erasure.hours}
    entries = place.manifests.entries(place.manifests.current(), keys)
    shown = place.manifests.provenance((key, entry.confirmed) for key, entry in entries.items())
    due: dict[str, ArchiveInfo] = {}
    for (key, _), made in shown.items():
        newest = place.archive.newest(keys[key])
        if newest is not None and (made.archive is None or made.archive.generation != newest.generation):
            due[key] = newest
    if not due:
        return None
    reason = f"erasure {erasure.id}"
    mark = partial(_marked, place, erasure)
    made_ = rollup_range(place, list(due.values()), run_id, reason=reason, only=[erasure.site.id], mark=mark)
    wanted = [
        HourCandidate(c.provenance.period, c.provenance.generation, entries[c.provenance.key].confirmed)
        for c in made_
    ]
    return _publisher(place, erasure.site).publish(wanted, reason, run_id, cause=erasure.cause)


def _is_due(archive: Archive, newest: ArchiveInfo, tombstone: Tombstone) -> bool:
    """Whether it holds something that is taken, or went on from another carry than there is now."""
    before = archive.newest(previous_hour(newest.hour))
    if newest.previous is not None and carry_out(before) != carry_in(newest, archive):
        return True
    columns = list(EVENT_SCHEMA)
    events = archive.read_events(newest.hour, newest.generation, None, columns, [tombstone.site])
    events = events.select(columns)
    nameless = tombstone.what == "site" and tombstone.site in newest.ledger
    return nameless or not applied(events, [tombstone]).equals(events)


def _moved(ledger: Mapping[str, Line], gone: pl.DataFrame, tombstone: Tombstone) -> Ledger:
    """The ledger of an hour with archived events erased; of a site that is erased there is no line."""
    named = gone.filter(pl.col("site") != NAMELESS)
    counts = dict(named.group_by("site").agg(pl.col("len").sum()).iter_rows())
    whole = tombstone.site if tombstone.what == "site" else None
    return {
        site: {**line, ERASED: line.get(ERASED, 0) + counts[site]} if site in counts else dict(line)
        for site, line in ledger.items()
        if site != whole
    }


def _marked(place: Workplace, erasure: Erasure, made: Provenance) -> Provenance:
    """A candidate of one site says of the others what its base says, and claims no later cut."""
    site, whole = erasure.site.id, erasure.what == "site"
    rules, common = (
        {name: v for name, v in versions.items() if name == site and not whole}
        for versions in (made.rules, made.common)
    )
    made = msgspec.structs.replace(made, only=[site], rules=rules, common=common)
    entry = place.manifests.entries(place.manifests.current(), [made.key])[made.key]
    base = place.candidates.info("hour", made.period, entry.confirmed)
    if base is None or base.archive is None or made.archive is None:
        return made
    rest = {name: line for name, line in base.ledger.items() if name != site}
    rules, common = (
        {name: version for name, version in versions.items() if name != site}
        for versions in (base.rules, base.common)
    )
    return msgspec.structs.replace(
        made,
        archive=msgspec.structs.replace(made.archive, cut=base.archive.cut),
        open_until=base.open_until,
        ledger=rest | made.ledger,
        rules=rules | made.rules,
        common=common | made.common,
    )


def _publisher(place: Workplace, site: Site) -> Publisher:
    """The one publisher, to whom the site is still known: its days are those of its time zone."""
    return Publisher(
        place.candidates,
        place.segments,
        place.manifests,
        lambda: {site.id: site} | place.catalog.sites(),
        site_slots=place.settings.site_slots,
        top_values=place.settings.top_values,
        now_ms=place.now_ms,
        after=place.logbook.catch_up,
    )
