"""What tombstones take of an hour, as its ledger needs to know it."""

from __future__ import annotations

from collections import Counter
from typing import Final

import polars as pl

from recount.erasing.matching import NAMELESS, husks

NUMBER: Final = ("site", "spool", "seq")


class Gone:
    """Husks, told by their numbers in spools. `archived`: by site, the events among them that the newest
    archive generation still holds."""

    def __init__(self) -> None:
        self._numbers: list[pl.DataFrame] = []
        self.archived: Counter[str] = Counter()

    def add(self, events: pl.DataFrame) -> None:
        """Take note of the husks among events (EVENT_SCHEMA)."""
        found = _named(events)
        if not found.is_empty():
            self._numbers.append(found.select(NUMBER))

    def add_archived(self, events: pl.DataFrame) -> None:
        """The same of events that the archive holds; their numbers may be known from raw items already."""
        self.add(events)
        self.archived.update(dict(_named(events).group_by("site").len().iter_rows()))

    @property
    def numbers(self) -> Counter[str]:
        """How many distinct numbers there are of each site; none of a site that is erased whole."""
        if not self._numbers:
            return Counter()
        return Counter(dict(pl.concat(self._numbers).unique().group_by("site").len().iter_rows()))


def _named(events: pl.DataFrame) -> pl.DataFrame:
    return husks(events).filter(pl.col("site") != NAMELESS)
