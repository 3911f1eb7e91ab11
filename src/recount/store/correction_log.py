"""The correction log, in the table `catalog`.

    correction#<site>            / <publication id>   every correction of a site
    correction#<site>#<month>    / <publication id>   the same once more, by each month that it changed
    correction                   / reached            up to which publication it is written

An entry is derived from its publication, so writing it again changes nothing (see `publishing.logbook`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from recount.corrections import Correction
from recount.periods import days_between
from recount.store import blobs
from recount.store.table import Item, Key, Table

REACHED: Final[Key] = ("correction", "reached")
MONTHS_MAX: Final = (
    24  # read one by one; of a longer range the newest corrections of the site are looked through
)
LISTED_MAX: Final = 500


class CorrectionLog:
    """Reads and writes of the log."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def reached(self) -> str | None:
        """The newest publication whose corrections are written; None before the first."""
        item = self._table.get(REACHED, consistent=True)
        return None if item is None else str(item["publication"])

    def advance(self, publication: str) -> None:
        self._table.put({"pk": REACHED[0], "sk": REACHED[1], "publication": publication})

    def put(self, corrections: Iterable[Correction]) -> None:
        """Write entries; doing it again changes nothing."""
        self._table.put_many(item for correction in corrections for item in _items(correction))

    def of_site(self, site: str, limit: int = LISTED_MAX) -> list[Correction]:
        """The newest corrections of a site, newest first."""
        return self._newest(f"correction#{site}", limit)

    def touching(self, site: str, first_day: str, last_day: str) -> list[Correction]:
        """Corrections that changed a day of a range (local dates, both included), newest first.

        At most the LISTED_MAX newest of each month; for more than MONTHS_MAX months, of the site.
        """
        months = sorted({day[:7] for day in days_between(first_day, last_day)})
        places = [f"correction#{site}#{month}" for month in months]
        if len(months) > MONTHS_MAX:
            places = [f"correction#{site}"]
        found = {c.publication: c for place in places for c in self._newest(place, LISTED_MAX)}
        touched = [c for c in found.values() if c.touches(first_day, last_day)]
        return sorted(touched, key=lambda c: c.publication, reverse=True)

    def of_publication(self, publication: str, sites: Iterable[str]) -> list[Correction]:
        """What one publication changed of some sites, in their order; of those it left alone, nothing."""
        keys = [(f"correction#{site}", publication) for site in sites]
        found = self._table.get_many(keys)
        return [_correction(found[key]) for key in keys if key in found]

    def forget(self, site: str) -> int:
        """Delete what is known of a site (its erasure); returns how many items."""
        corrections = [_correction(item) for item in self._table.query(f"correction#{site}")]
        keys = [(item["pk"], item["sk"]) for c in corrections for item in _items(c)]
        self._table.delete_many(keys)
        return len(keys)

    def _newest(self, place: str, limit: int) -> list[Correction]:
        return [_correction(item) for item in self._table.query(place, descending=True, limit=limit)]


def _items(correction: Correction) -> Sequence[Item]:
    data = blobs.pack(correction)
    months = sorted({day[:7] for day in correction.local_days()})
    places = [f"correction#{correction.site}", *(f"correction#{correction.site}#{month}" for month in months)]
    return [{"pk": place, "sk": correction.publication, "data": data} for place in places]


def _correction(item: Item) -> Correction:
    return blobs.unpack(item["data"], Correction)
