"""The events of one hour, gathered as they are read and handed out slot by slot.

What is held of every event is a few numbers; the events themselves lie in chunks that go to disk where they
are many. So an hour of any size takes about as much memory as a slot of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.steps.spill import Chunks
from orchestration.steps.texts import Texts, joined, plain
from recount.event import EVENT_SCHEMA, POSITION_SCHEMA
from recount.keys import event_slots
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms

NEIGHBOURS_MS: Final = 10 * MINUTE_MS
CHUNK_EVENTS: Final = 500_000
SLOT_EVENTS: Final = 400_000  # what is cut at once; less is no cheaper an event, more falls out of the caches
FINER_BITS: Final = 6  # an hour has at most 64 times the slots that an hour has at least
ROWS_AT_ONCE: Final = 1_000_000

NUMBER: Final = ("spool", "seq")
IDENTITY: Final = ("site", "id")
PRECEDENCE: Final = ("received", "spool", "seq", *POSITION_SCHEMA)
MARGIN: Final = (*IDENTITY, *PRECEDENCE)

Flags = NDArray[np.bool_]
Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]


class HourEvents:
    """The events of an hour (EVENT_SCHEMA), each source partition and offset once.

    `head` and `tail` (MARGIN) are those of the minutes that concern the hours next to it. `newest_ms`: the
    moment of the newest (0 without any); `sites` and `kept`: how many events each site has, and how many of
    them did not lose. Where there are more events than `whole_max`, the slots are not kept.
    """

    def __init__(self, hour: str, slots: int, scratch: Path, *, whole_max: int | None = None) -> None:
        self._start_ms = hour_start_ms(hour)
        self._least_slots = slots
        self._places = _places(slots)
        self._whole_max = whole_max
        self._scratch = scratch
        self._waiting: list[pl.DataFrame] = []
        self._texts = Texts()
        self._chunks: Chunks | None = Chunks(scratch, self._texts)
        self._bounds: list[Ints] = []
        self._first_rows: list[int] = []
        self._identities: list[Hashes] = []
        self._numbers: list[Hashes] = []
        self._lost: Flags | None = None
        self._margins: tuple[list[pl.DataFrame], list[pl.DataFrame]] = ([], [])
        self.rows = 0
        self.newest_ms = 0
        self.sites: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()

    def add(self, events: pl.DataFrame) -> None:
        """More events, of offsets that were not added before."""
        if not events.is_empty():
            self._waiting.append(events)
        if sum(part.height for part in self._waiting) >= CHUNK_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Take in what was added; before anything is asked for."""
        if not self._waiting:
            return
        events = pl.concat(self._waiting)
        self._waiting.clear()
        self._describe(events)
        if self._whole_max is not None and self.rows > self._whole_max:
            self.forget()
        if self._chunks is not None:
            self._lay_out(events, self._chunks)

    @property
    def is_whole(self) -> bool:
        return self._chunks is not None

    @property
    def head(self) -> pl.DataFrame:
        return pl.concat([_no_margin(), *self._margins[0]])

    @property
    def tail(self) -> pl.DataFrame:
        return pl.concat([_no_margin(), *self._margins[1]])

    @property
    def slots(self) -> int:
        """How many slots the hour is best cut in: as many as an hour has at least, doubled while they are
        large."""
        found = self._least_slots
        while self.rows > found * SLOT_EVENTS and found < self._least_slots << FINER_BITS:
            found *= 2
        return found

    def forget(self) -> None:
        """Keep only what concerns the hours next to it."""
        if self._chunks is not None:
            self._chunks.close()
        self._chunks, self._texts = None, Texts()
        for kept in (self._bounds, self._first_rows, self._identities, self._numbers):
            kept.clear()

    def slot(self, slot: int) -> pl.DataFrame:
        """The events of a slot (of `slots`), without those that lost; texts are Categorical, but for columns
        of which there are too many. From any thread."""
        first = int(self._places[slot])
        end = first + len(self._places) // self.slots
        chunks, parts = self._whole, []
        for chunk, bounds in enumerate(self._bounds):
            if bounds[first] < bounds[end]:
                part = chunks.read(chunk, first, end)
                row = self._first_rows[chunk] + int(bounds[first])
                parts.append(part if self._lost is None else _without(part, self._lost[row:]))
        return joined(parts) if parts else self._texts.coded(pl.DataFrame(schema=EVENT_SCHEMA))

    def settle(self, lost: pl.DataFrame) -> None:
        """Leave rows (`row`, `site`) out of the slots from now on."""
        self._lost = None
        self.kept = self.sites - Counter(lost["site"].to_list())
        if not lost.is_empty():
            self._lost = np.zeros(self.rows, dtype=np.bool_)
            self._lost[lost["row"].to_numpy()] = True

    @property
    def identities(self) -> Hashes:
        """Of each row; rows with the same (site, id) have the same."""
        return np.concatenate([np.empty(0, dtype=np.uint64), *self._identities])

    @property
    def numbers(self) -> Hashes:
        """Of each row; rows with the same (spool, seq) have the same."""
        return np.concatenate([np.empty(0, dtype=np.uint64), *self._numbers])

    def having(self, hashes: Hashes, wanted: Hashes, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Some columns of the rows whose hash is one of `wanted` (distinct, in order), and their `row`.

        In portions, rows of one hash in the same. `hashes`: `identities` or `numbers`.
        """
        for at in range(0, len(wanted), ROWS_AT_ONCE):
            yield self._rows(np.flatnonzero(_among(hashes, wanted[at : at + ROWS_AT_ONCE])), columns)

    @property
    def _whole(self) -> Chunks:
        assert self._chunks is not None, "only the margins of this hour are known"
        return self._chunks

    def _rows(self, rows: Ints, columns: Sequence[str]) -> pl.DataFrame:
        parts = [pl.DataFrame(schema={**{n: EVENT_SCHEMA[n] for n in columns}, "row": pl.Int64})]
        starts = [*self._first_rows, self.rows]
        for chunk, bounds in enumerate(self._bounds):
            low, high = np.searchsorted(rows, starts[chunk : chunk + 2])
            if low < high:
                local = rows[low:high] - starts[chunk]
                found = self._whole.read(chunk, 0, len(bounds) - 1, columns)
                chosen = plain(found.select(pl.all().gather(local)))
                parts.append(chosen.with_columns(row=rows[low:high]))
        return pl.concat(parts)

    def _describe(self, events: pl.DataFrame) -> None:
        """What is kept of events whatever becomes of them."""
        self.rows += events.height
        self.sites.update(dict(events.group_by("site").len().iter_rows()))
        newest = events["ts"].max()
        self.newest_ms = max(self.newest_ms, newest if isinstance(newest, int) else 0)
        ts = pl.col("ts") - self._start_ms
        for kept, near in zip(
            self._margins, (ts < NEIGHBOURS_MS, ts >= HOUR_MS - NEIGHBOURS_MS), strict=True
        ):
            kept.append(events.select(*MARGIN, "ts").filter(near).select(MARGIN))

    def _lay_out(self, events: pl.DataFrame, chunks: Chunks) -> None:
        coded = self._texts.coded(events).rechunk()
        places = self._places[event_slots(coded, len(self._places)).to_numpy()]
        order = np.argsort(places, kind="stable")
        hashes = events.select(identity=identity_hash(), number=number_hash())
        self._identities.append(hashes["identity"].to_numpy()[order])
        self._numbers.append(hashes["number"].to_numpy()[order])
        self._first_rows.append(self.rows - events.height)
        bounds = np.append(0, np.cumsum(np.bincount(places, minlength=len(self._places))))
        self._bounds.append(bounds)
        chunks.add(coded, order, bounds)


def identity_hash() -> pl.Expr:
    """Good within a process: what decides a place is `recount.keys`."""
    return pl.col("site").hash(1) ^ pl.col("id").hash(2)


def number_hash() -> pl.Expr:
    """Likewise, of the number in the spool."""
    spool, seq = NUMBER
    return pl.col(spool).hash(1) ^ pl.col(seq).hash(2)


def repeated(hashes: Hashes) -> Hashes:
    """The hashes that occur more than once, in order."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def _among(hashes: Hashes, wanted: Hashes) -> Flags:
    """Which of the hashes are wanted (in order, one at least)."""
    at = np.searchsorted(wanted, hashes).clip(max=len(wanted) - 1)
    return np.asarray(wanted[at] == hashes)


def _places(slots: int) -> NDArray[np.unsignedinteger[Any]]:
    """Where each of the finest slots lies: so that those which make up a coarser one lie side by side.

    Slot `s` of `slots << n` is made of the finest slots `s`, `s + (slots << n)`, ...: all those whose upper
    bits end in the same bits. Numbers with their bits in reverse order have these bits first.
    """
    finest = np.arange(slots << FINER_BITS)
    upper = finest // slots
    reverse = sum(((upper >> bit) & 1) << (FINER_BITS - 1 - bit) for bit in range(FINER_BITS))
    places = (finest % slots << FINER_BITS) + reverse
    return places.astype(np.min_scalar_type(len(finest) - 1))  # numbers of up to 16 bits are sorted soonest


def _without(events: pl.DataFrame, lost: Flags) -> pl.DataFrame:
    return events.filter(pl.Series(~lost[: events.height]))


def _no_margin() -> pl.DataFrame:
    return pl.DataFrame(schema={name: EVENT_SCHEMA[name] for name in MARGIN})
