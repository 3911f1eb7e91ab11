"""One hour: raw items and the newest archive generation in, a sealed generation cut into visits out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import polars as pl

from orchestration.spools import Unshipped
from orchestration.steps.cut import texts
from orchestration.steps.hour_ledger import Outside, lines
from recount.columns import concat, drop_repeats
from recount.counting.visits import cut
from recount.event import EVENT_SCHEMA, POSITION_SCHEMA
from recount.ids import new_id
from recount.kafka import Offsets
from recount.keys import event_slots
from recount.ledger import ACCEPTED, DUPLICATE, Ledger
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms, next_hour, previous_hour
from recount.store.archive import Archive, ArchiveInfo, SlotInfo, by_slot, carry_source
from recount.store.raw import RawStore

NEIGHBOURS_MS: Final = 10 * MINUTE_MS
KEPT_HOURS: Final = 3  # in memory while a range is worked on: an hour and its neighbours
WRITERS: Final = 4
IDENTITY: Final = ["site", "id"]
PRECEDENCE: Final = ["received", "spool", "seq", *POSITION_SCHEMA]
MARGIN: Final = [*IDENTITY, *PRECEDENCE]

RUN_NOTE: Final = "run"
OPEN_NOTE: Final = "open_until_ms"


@dataclass(frozen=True)
class Deduplicated:
    """`kept` (EVENT_SCHEMA); `beaten`: MARGIN and `hour` of the events next door that lost against these."""

    kept: pl.DataFrame
    beaten: pl.DataFrame


@dataclass(frozen=True)
class Archived:
    """A sealed generation.

    `beaten`: neighbouring hours that would come out differently now. `fresh_events`: how many of the raw
    events lie at or above the offsets that the archiver was told to count from.
    """

    info: ArchiveInfo
    beaten: frozenset[str]
    fresh_events: int


def deduplicate(events: pl.DataFrame, margins: pl.DataFrame) -> Deduplicated:
    """Each (site, id) once, over the hour and the minutes around it: the first one received wins.

    `events`: EVENT_SCHEMA, every source partition and offset once. `margins`: the columns of MARGIN and the
    `hour` of the events next door.
    """
    ours = events.select(*MARGIN, pl.lit(None, pl.String).alias("hour")).with_row_index("row")
    theirs = margins.select(pl.lit(None, pl.UInt32).alias("row"), *MARGIN, "hour")
    rivals = pl.concat([ours, theirs]).filter(pl.len().over(IDENTITY) > 1)
    if rivals.is_empty():
        return Deduplicated(events, margins.clear())
    first = rivals.sort(PRECEDENCE).unique(IDENTITY, keep="first", maintain_order=True)
    lost = rivals.join(first.select("row"), on="row", how="anti", nulls_equal=True)["row"].drop_nulls()
    winners = first.filter(pl.col("row").is_not_null()).select(IDENTITY)
    beaten = rivals.filter(pl.col("hour").is_not_null()).join(winners, on=IDENTITY, how="semi")
    kept = events.with_row_index("row").filter(~pl.col("row").is_in(lost.implode())).drop("row")
    return Deduplicated(kept, beaten.drop("row"))


class Archiver:
    """Archives hours, best in ascending order: neighbours stay in memory from one hour to the next."""

    def __init__(
        self,
        raw: RawStore,
        archive: Archive,
        cut: Offsets,
        *,
        slots: int,
        run: str,
        fresh_from: Offsets | None = None,
        unshipped: Unshipped | None = None,
    ) -> None:
        self._raw, self._archive = raw, archive
        self._cut, self._slots, self._run = cut, slots, run
        self._fresh_from = fresh_from or {}
        self._unshipped = unshipped or Unshipped()
        self._hours: dict[str, pl.DataFrame] = {}
        self._fresh: dict[str, int] = {}

    def archive(self, hour: str, *, until_ms: int, now_ms: int) -> Archived:
        """Write and seal a generation of an hour, going on from the newest carry of the hour before.

        `until_ms` is the end of the hour, or earlier for an hour that is still running.
        """
        events = self.events(hour)
        found = deduplicate(events, self._margins(hour))
        until_ms = _until(found.kept, until_ms, hour_start_ms(hour) + HOUR_MS)
        before = self._archive.newest(previous_hour(hour))
        generation = new_id()
        slots = self._write(hour, generation, found.kept, before, until_ms)
        info = ArchiveInfo(
            hour=hour,
            generation=generation,
            made_ms=now_ms,
            cut=texts(self._cut),
            slots=by_slot(slots),
            previous=carry_source(before),
            ledger=self._ledger(hour, events, found.kept),
            notes=self._notes(hour, until_ms),
        )
        self._archive.seal(hour, generation, info)
        return Archived(info, self._to_correct(found.beaten), self._fresh[hour])

    def events(self, hour: str) -> pl.DataFrame:
        """Everything known of an hour below the cut, each source partition and offset once (EVENT_SCHEMA)."""
        known = self._hours.get(hour)
        if known is None:
            known = self._hours[hour] = self._load(hour)
            while len(self._hours) > KEPT_HOURS:
                del self._hours[min(self._hours)]
        return known

    def _load(self, hour: str) -> pl.DataFrame:
        raw = (
            _beside(self._raw.read(hour), self._cut)
            .filter(pl.col("offset") < pl.col("beside"))
            .drop("beside")
        )
        since = _beside(raw, self._fresh_from)["beside"].fill_null(0)
        self._fresh[hour] = raw.filter(raw["offset"] >= since).height
        newest = self._archive.newest(hour)
        if newest is None or not newest.events:
            return raw
        columns = list(EVENT_SCHEMA)
        archived = self._archive.read_events(hour, newest.generation, columns=columns)
        return drop_repeats(concat([raw, archived.select(columns)]))

    def _ledger(self, hour: str, events: pl.DataFrame, kept: pl.DataFrame) -> Ledger:
        dead = self._raw.quarantined(hour)
        outside = Outside.of(hour, dead, self._cut, self._unshipped)
        return lines(_ledger(events, kept, self._archive.newest(hour)), events, outside)

    def _margins(self, hour: str) -> pl.DataFrame:
        start = hour_start_ms(hour)
        before, after = previous_hour(hour), next_hour(hour)
        late = self.events(before).filter(pl.col("ts") >= start - NEIGHBOURS_MS)
        early = self.events(after).filter(pl.col("ts") < start + HOUR_MS + NEIGHBOURS_MS)
        return pl.concat(
            [
                part.select(*MARGIN, pl.lit(name).alias("hour"))
                for name, part in ((before, late), (after, early))
            ]
        )

    def _to_correct(self, beaten: pl.DataFrame) -> frozenset[str]:
        """The hours whose newest generation still counts one of the beaten events."""
        found = set()
        for (hour,), lost in beaten.partition_by("hour", as_dict=True).items():
            newest = self._archive.newest(hour)
            if newest is None or not newest.events:
                continue
            columns = list(POSITION_SCHEMA)
            archived = self._archive.read_events(hour, newest.generation, columns=columns)
            if not archived.join(lost, on=columns, how="semi").is_empty():
                found.add(hour)
        return frozenset(found)

    def _write(
        self, hour: str, generation: str, kept: pl.DataFrame, before: ArchiveInfo | None, until_ms: int
    ) -> list[SlotInfo]:
        slot_of = event_slots(kept, self._slots)

        def write(slot: int) -> SlotInfo:
            carry = None
            if before is not None:
                carry = self._archive.read_carry(before.hour, before.generation, slot, self._slots)
            found = cut(kept.filter(slot_of == slot), carry, until_ms)
            return self._archive.write_slot(hour, generation, slot, found)

        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(write, range(self._slots)))

    def _notes(self, hour: str, until_ms: int) -> dict[str, str]:
        notes = {RUN_NOTE: self._run}
        if until_ms < hour_start_ms(hour) + HOUR_MS:
            notes[OPEN_NOTE] = str(until_ms)
        return notes


def _beside(events: pl.DataFrame, offsets: Offsets) -> pl.DataFrame:
    """The events with the column `beside`: the offset given for their source partition, if any."""
    given = pl.DataFrame(
        [(topic, partition, offset) for (topic, partition), offset in offsets.items()],
        schema={**{n: POSITION_SCHEMA[n] for n in ("topic", "partition")}, "beside": pl.Int64},
        orient="row",
    )
    return events.join(given, on=["topic", "partition"], how="left")


def _until(events: pl.DataFrame, until_ms: int, end_ms: int) -> int:
    """A running hour goes on to its newest event, whose clock may be a little ahead of ours."""
    newest = events["ts"].max()
    return min(end_ms, max(until_ms, newest + 1 if isinstance(newest, int) else 0))


def _ledger(
    events: pl.DataFrame, kept: pl.DataFrame, earlier: ArchiveInfo | None
) -> dict[str, dict[str, int]]:
    """Accepted (distinct spool, seq) and duplicates of each site.

    Duplicates whose raw items have expired are known from the earlier generation alone.
    """
    numbers = events.group_by("site", "spool").agg(pl.col("seq").n_unique())
    accepted = _by_site(numbers.group_by("site").agg(pl.col("seq").sum()))
    left = _by_site(kept.group_by("site").len())
    before = earlier.ledger if earlier is not None else {}
    found = {}
    for site, count in accepted.items():
        gone = max(count - left.get(site, 0), before.get(site, {}).get(DUPLICATE, 0))
        found[site] = {ACCEPTED: left.get(site, 0) + gone, DUPLICATE: gone}
    return found


def _by_site(numbers: pl.DataFrame) -> Mapping[str, int]:
    """The number in the second column of each site, by name."""
    return dict(sorted(numbers.iter_rows()))
