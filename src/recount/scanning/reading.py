"""A site's rows of the archive: what reading them takes, known before it is done, and chunks of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import polars as pl

from recount.parallel import in_order
from recount.scanning.gate import Stop
from recount.scanning.kept import Kept
from recount.scanning.sources import Source, vanished
from recount.store.archive import Archive, Part
from recount.store.row_groups import Footer

FOOTERS_KEPT: Final = 20_000
READERS: Final = 4
PARTS: Final[tuple[Part, ...]] = ("events", "ends")

_Place = tuple[Part, str, str, int]  # what, hour, generation, slot


@dataclass(frozen=True)
class Columns:
    """What is read of events and of visit ends; nothing where there are none."""

    events: Sequence[str] = ()
    ends: Sequence[str] = ()

    def of(self, part: Part) -> Sequence[str]:
        return self.events if part == "events" else self.ends


@dataclass(frozen=True)
class _Piece:
    """The row groups of one file that may hold the site's rows."""

    place: _Place
    groups: tuple[int, ...]
    rows: int
    bytes: int


@dataclass(frozen=True)
class Hour:
    """Where one hour's rows lie. `rows`: how many are looked at; `bytes`: of the columns, compressed."""

    source: Source
    pieces: tuple[_Piece, ...]

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    @property
    def bytes(self) -> int:
        return sum(piece.bytes for piece in self.pieces)


class Chunk(NamedTuple):
    """Rows of whole hours; a frame without rows where nothing was asked of it."""

    events: pl.DataFrame
    ends: pl.DataFrame


class Reader:
    """Safe to share between threads; keeps footers, which never change."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._footers: Kept[_Place, Footer] = Kept(FOOTERS_KEPT)

    def look(self, site: str, sources: Sequence[Source], columns: Columns, stop: Stop) -> list[Hour]:
        """Where the rows lie, from footers alone. Raises Vanished, and what `stop` raises."""
        return list(in_order(partial(self._hour, site, columns, stop), sources, READERS))

    def read(self, site: str, hours: Sequence[Hour], columns: Columns, stop: Stop) -> Chunk:
        """Raises Vanished, and what `stop` raises."""
        stop.check()
        try:
            events, ends = (self._rows(site, part, hours, columns.of(part)) for part in PARTS)
        except FileNotFoundError:
            raise vanished(hours[0].source.hour, hours[-1].source.hour) from None
        return Chunk(events, ends)

    def groups(self, site: str, hour: Hour, columns: Columns, stop: Stop) -> Iterator[pl.DataFrame]:
        """The rows of an hour, one row group at a time. Raises Vanished, and what `stop` raises."""
        for piece in hour.pieces:
            for group in piece.groups:
                stop.check()
                try:
                    part = columns.of(piece.place[0])
                    yield self._archive.read_groups(*piece.place, [group], part, site)
                except FileNotFoundError:
                    raise vanished(hour.source.hour) from None

    def _rows(self, site: str, part: Part, hours: Sequence[Hour], columns: Sequence[str]) -> pl.DataFrame:
        places = [piece.place[1:] for hour in hours for piece in hour.pieces if piece.place[0] == part]
        return self._archive.read_site(part, places, columns, site) if places else pl.DataFrame()

    def _hour(self, site: str, columns: Columns, stop: Stop, source: Source) -> Hour:
        stop.check()
        places: list[_Place] = []
        if columns.events:
            places += (("events", source.hour, source.generation, slot) for slot in source.slots)
        if columns.ends:
            places += (("ends", source.hour, source.generation, slot) for slot in source.every)
        footers = self._footers.many(places, self._read_footers)
        if len(footers) < len(places):
            raise vanished(source.hour)
        pieces = []
        for place in places:
            footer = footers[place]
            groups = footer.groups_of(site)
            rows = sum(footer.groups[group].rows for group in groups)
            if groups:
                pieces.append(_Piece(place, groups, rows, footer.bytes_of(groups, columns.of(place[0]))))
        return Hour(source, tuple(pieces))

    def _read_footers(self, places: list[_Place]) -> dict[_Place, Footer]:
        found = {}
        for place in places:
            try:
                found[place] = self._archive.footer(*place)
            except FileNotFoundError:
                break
        return found


def together(hours: Iterable[Hour], rows_max: int, hours_max: int | None = None) -> Iterator[list[Hour]]:
    """Neighbouring hours that are worked on at once: a few with many rows, many with few."""
    pending: list[Hour] = []
    rows = 0
    for hour in hours:
        if pending and (rows + hour.rows > rows_max or len(pending) == hours_max):
            yield pending
            pending, rows = [], 0
        pending.append(hour)
        rows += hour.rows
    if pending:
        yield pending
