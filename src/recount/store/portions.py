"""The rows of an archived hour in portions, for threads that work on one portion each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import polars as pl
import pyarrow as pa

from recount.store.archive import Archive, Part
from recount.store.objects import SiteRange
from recount.store.site_cursor import SiteCursor


@dataclass(frozen=True)
class Portion:
    """The rows of a range of sites, in one slot or (None) in all."""

    sites: SiteRange
    slot: int | None = None


class Portions:
    """Reads every row group of an hour once, though it may hold rows of several portions.

    Safe to share between threads. Portions are read in their order: before one that is asked for early those
    before it are, and kept until they are asked for. From the first to the last the hour's files are open.
    """

    def __init__(
        self,
        archive: Archive,
        hour: str,
        generation: str,
        portions: Sequence[Portion],
        columns: Mapping[Part, Mapping[str, pl.DataType]],
    ) -> None:
        """portions: in the order of their sites, without a gap."""
        self._archive = archive
        self._hour, self._generation = hour, generation
        self._portions = list(portions)
        self._columns = columns
        self._next = 0
        self._cursors: dict[Part, dict[int, SiteCursor]] = {}
        self._kept: dict[Portion, dict[Part, pa.Table]] = {}
        self._lock = Lock()

    def take(self, portion: Portion) -> dict[Part, pa.Table]:
        """The rows of each part, texts as dictionaries; once for each portion.

        Raises KeyError for an unsealed generation.
        """
        with self._lock:
            while portion not in self._kept:
                self._read_next()
            return self._kept.pop(portion)

    def _read_next(self) -> None:
        following = self._portions[self._next]
        if not self._cursors:
            self._cursors = self._opened()
        self._kept[following] = {part: self._read(part, following) for part in self._columns}
        self._next += 1
        if self._next == len(self._portions):
            self._cursors = {}  # which close their files, and hold rows of the last portion

    def _read(self, part: Part, portion: Portion) -> pa.Table:
        cursors = self._cursors[part]
        slots = sorted(cursors) if portion.slot is None else [portion.slot]
        # A column that has no nulls in one slot may have some in another, and its file says so.
        rows = (cursors[slot].take(portion.sites.end) for slot in slots)
        return pa.concat_tables(rows, promote_options="default")

    def _opened(self) -> dict[Part, dict[int, SiteCursor]]:
        return {
            part: self._archive.cursors(part, self._hour, self._generation, columns)
            for part, columns in self._columns.items()
        }
