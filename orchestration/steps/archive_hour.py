"""One hour: raw items and the newest archive generation in, a sealed generation cut into visits out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from orchestration.spools import Unshipped
from orchestration.steps.cut import texts
from orchestration.steps.duplicates import drop_duplicates
from orchestration.steps.gone import Gone
from orchestration.steps.hour_events import HourEvents
from orchestration.steps.hour_ledger import Outside, ledger_of
from orchestration.steps.seen import Seen
from recount.counting.visits import cut
from recount.erasing.matching import applied, living
from recount.event import ERASED, EVENT_SCHEMA, POSITION_SCHEMA
from recount.ids import new_id
from recount.kafka import Offsets
from recount.ledger import Ledger
from recount.parallel import in_order
from recount.periods import HOUR_MS, hour_start_ms, next_hour, previous_hour
from recount.store.archive import Archive, ArchiveInfo, SlotInfo, by_slot, carry_source
from recount.store.raw import RawStore

KEPT_HOURS: Final = 3  # known while a range is worked on: an hour and its neighbours
NEIGHBOUR_EVENTS: Final = 1_000_000  # an hour with more is read again rather than kept for its own turn
COLUMNS: Final = list(EVENT_SCHEMA)

RUN_NOTE: Final = "run"
OPEN_NOTE: Final = "open_until_ms"


@dataclass(frozen=True)
class Archived:
    """A sealed generation.

    `beaten`: neighbouring hours that would come out differently now. `fresh_events`: how many of the raw
    events lie at or above the offsets that the archiver was told to count from.
    """

    info: ArchiveInfo
    beaten: frozenset[str]
    fresh_events: int


class Archiver:
    """Archives hours, best in ascending order: neighbours stay known from one hour to the next.

    `slots`: how many an hour has at least. `scratch`: a folder for the events of large hours, about 150 bytes
    each, while they are worked on.
    """

    def __init__(
        self,
        raw: RawStore,
        archive: Archive,
        cut: Offsets,
        *,
        slots: int,
        scratch: Path,
        run: str,
        fresh_from: Offsets | None = None,
        unshipped: Unshipped | None = None,
    ) -> None:
        self._raw, self._archive = raw, archive
        self._cut, self._slots, self._run = cut, slots, run
        self._fresh_from = fresh_from or {}
        self._unshipped = unshipped or Unshipped()
        self._scratch = scratch
        self._hours: dict[str, HourEvents] = {}
        self._fresh: dict[str, int] = {}
        self._gone: dict[str, Gone] = {}

    def archive(self, hour: str, *, until_ms: int, now_ms: int) -> Archived:
        """Write and seal a generation of an hour, going on from the newest carry of the hour before.

        `until_ms` is the end of the hour, or earlier for an hour that is still running.
        """
        events = self.events(hour)
        beaten = drop_duplicates(events, self._margins(hour))
        until_ms = min(hour_start_ms(hour) + HOUR_MS, max(until_ms, events.newest_ms + 1))
        before = self._archive.newest(previous_hour(hour))
        generation = new_id()
        slots = self._write(hour, generation, events, before, until_ms)
        info = ArchiveInfo(
            hour=hour,
            generation=generation,
            made_ms=now_ms,
            cut=texts(self._cut),
            slots=by_slot(slots),
            previous=carry_source(before),
            ledger=self._ledger(hour, events),
            notes=self._notes(hour, until_ms),
        )
        self._archive.seal(hour, generation, info)
        if events.rows > NEIGHBOUR_EVENTS:
            events.forget()
        return Archived(info, self._to_correct(beaten), self._fresh[hour])

    def events(self, hour: str) -> HourEvents:
        """Everything known of an hour below the cut, each source partition and offset once."""
        known = self._hours.get(hour)
        if known is None or not known.is_whole:
            known = self._keep(hour, self._gather(hour))
        return known

    def _neighbour(self, hour: str) -> HourEvents:
        """The same of an hour next to the one that is worked on: its margins, the whole if that is little."""
        return self._hours.get(hour) or self._keep(hour, self._gather(hour, whole_max=NEIGHBOUR_EVENTS))

    def _keep(self, hour: str, events: HourEvents) -> HourEvents:
        self._hours[hour] = events
        while len(self._hours) > KEPT_HOURS:
            oldest = min(self._hours)
            self._hours.pop(oldest).forget()
            self._gone.pop(oldest, None)
        return events

    def _gather(self, hour: str, whole_max: int | None = None) -> HourEvents:
        """Raw items first, then what only the newest archive generation still has of the hour.

        Of what was erased only the ledger hears.
        """
        events = HourEvents(hour, self._slots, self._scratch, whole_max=whole_max)
        seen, gone = Seen(), Gone()
        fresh = 0
        for batch in self._raw.batches(hour):
            below = _only(batch, _below(batch, self._cut))
            new = _only(below, pl.Series(seen.take(below)))
            fresh += new.height - int(_below(new, self._fresh_from).sum())
            is_alive = new["kind"] != ERASED
            if not is_alive.all():
                gone.add(new)
            events.add(_only(new, is_alive))
        self._fresh[hour] = fresh
        for archived in self._archived_alone(hour, seen):
            events.add(living(archived))
        self._note_archived(hour, gone)
        self._gone[hour] = gone
        events.flush()
        return events

    def _note_archived(self, hour: str, gone: Gone) -> None:
        """What the newest generation still holds of what was erased since it was written."""
        info, buried = self._archive.newest(hour), self._raw.buried()
        sites = sorted({t.site for t in buried} & ({*info.sites} if info is not None else set()))
        if info is not None and sites:
            found = self._archive.read_events(hour, info.generation, columns=COLUMNS, sites=sites)
            gone.add_archived(applied(found.select(COLUMNS), buried))

    def _archived_alone(self, hour: str, seen: Seen) -> Iterator[pl.DataFrame]:
        """The events that only the newest generation has, since their raw items have expired."""
        info = self._archive.newest(hour)
        if info is None or not info.events:
            return
        for slot in sorted(info.slots):
            places = self._archive.read_events(hour, info.generation, slot, columns=list(POSITION_SCHEMA))
            alone = pl.Series(seen.lacks(places))
            if alone.any():
                found = self._archive.read_events(hour, info.generation, slot, columns=COLUMNS)
                yield applied(found.filter(alone), self._raw.buried())

    def _ledger(self, hour: str, events: HourEvents) -> Ledger:
        dead = self._raw.quarantined(hour)
        earlier = self._archive.newest(hour)
        outside = Outside.of(hour, dead, self._cut, self._unshipped)
        return ledger_of(events, self._gone[hour], {} if earlier is None else earlier.ledger, outside)

    def _margins(self, hour: str) -> pl.DataFrame:
        before, after = previous_hour(hour), next_hour(hour)
        near = [(before, self._neighbour(before).tail), (after, self._neighbour(after).head)]
        return pl.concat([part.with_columns(pl.lit(name).alias("hour")) for name, part in near])

    def _to_correct(self, beaten: pl.DataFrame) -> frozenset[str]:
        """The hours whose newest generation still counts one of the beaten events."""
        hours = beaten.partition_by("hour", as_dict=True).items()
        return frozenset(str(hour) for (hour,), lost in hours if self._counts(str(hour), lost))

    def _counts(self, hour: str, events: pl.DataFrame) -> bool:
        newest = self._archive.newest(hour)
        columns = list(POSITION_SCHEMA)
        return newest is not None and any(
            not self._archive.read_events(hour, newest.generation, slot, columns=columns)
            .join(events, on=columns, how="semi")
            .is_empty()
            for slot in sorted(newest.slots)
        )

    def _write(
        self, hour: str, generation: str, events: HourEvents, before: ArchiveInfo | None, until_ms: int
    ) -> list[SlotInfo]:
        def write(slot: int) -> SlotInfo:
            carry = None
            if before is not None:
                carry = self._archive.read_carry(before.hour, before.generation, slot, events.slots)
            found = cut(events.slot(slot), carry, until_ms)
            return self._archive.write_slot(hour, generation, slot, found)

        return list(in_order(write, range(events.slots)))

    def _notes(self, hour: str, until_ms: int) -> dict[str, str]:
        notes = {RUN_NOTE: self._run}
        if until_ms < hour_start_ms(hour) + HOUR_MS:
            notes[OPEN_NOTE] = str(until_ms)
        return notes


def _only(events: pl.DataFrame, chosen: pl.Series) -> pl.DataFrame:
    """The chosen rows; as a rule all of them."""
    return events if chosen.all() else events.filter(chosen)


def _below(events: pl.DataFrame, ends: Offsets) -> pl.Series:
    """Whether each event lies below the offset given for its source partition; not where none is given."""
    sources = events.select("topic", "partition").unique().rows()
    if len(sources) == 1:
        return events["offset"] < ends.get(sources[0], 0)
    end = pl.lit(0, pl.Int64)
    for topic, partition in sources:
        is_of = (pl.col("topic") == topic) & (pl.col("partition") == partition)
        end = pl.when(is_of).then(ends.get((topic, partition), 0)).otherwise(end)
    return events.select(pl.col("offset") < end).to_series()
