"""The carry of the live path: visits that may still go on, found by visitor without touching the others.

A batch takes out the visits of its visitors, cuts, and puts back what stays open; `sweep` takes out those
whose silence ran out. So the cost of a batch does not grow with the number of open visits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting.visits import empty_carry, end_at
from streaming.places import partition_of_place

OPEN_VISITS_MAX: Final = 2_000_000
PARTS_MAX: Final = 24


@dataclass
class _Part:
    """Rows of CARRY_SCHEMA and their visitors' hashes, both ordered by hash; `alive` ones are still here."""

    visits: pl.DataFrame
    hashes: NDArray[np.uint64]
    alive: NDArray[np.bool_]

    @classmethod
    def of(cls, visits: pl.DataFrame) -> _Part:
        hashes = _hashes(visits)
        order = np.argsort(hashes)
        return cls(visits[order], hashes[order], np.ones(len(order), np.bool_))

    def take(self, wanted: NDArray[np.uint64]) -> pl.DataFrame:
        """Remove and return the visits with these hashes; a hash is here once at most."""
        at = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        hit = at[(self.hashes[at] == wanted) & self.alive[at]]
        self.alive[hit] = False
        return self.visits.select(pl.all().gather(hit))

    def rest(self) -> pl.DataFrame:
        return self.visits.filter(pl.Series(self.alive))


class OpenVisits:
    """A bounded set of open visits (CARRY_SCHEMA); beyond the bound the longest silent ones are let go."""

    def __init__(self, visits_max: int = OPEN_VISITS_MAX) -> None:
        self._max = visits_max
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        return sum(int(part.alive.sum()) for part in self._parts)

    def take(self, events: pl.DataFrame) -> pl.DataFrame:
        """Remove and return the open visits of the visitors in `events`."""
        wanted = np.unique(_hashes(events))
        taken = [part.take(wanted) for part in self._parts] if len(wanted) else []
        return pl.concat([empty_carry(), *taken])

    def put(self, carry: pl.DataFrame) -> None:
        """Add visits (CARRY_SCHEMA) of visitors that have none here."""
        if not carry.is_empty():
            self._parts.append(_Part.of(carry))
        if len(self._parts) > PARTS_MAX:
            self._merge()

    def sweep(self, until_ms: int) -> pl.DataFrame:
        """Remove and return the visits that ended by `until_ms`, and what is too many."""
        visits = self._all()
        over = visits.select(end_at() <= until_ms).to_series()
        rest = visits.filter(~over)
        if rest.height > self._max:
            rest = rest.sort("last", descending=True)[: self._max]
            gone = visits.join(rest.select("site", "visitor"), on=["site", "visitor"], how="anti")
        else:
            gone = visits.filter(over)
        self._parts = [_Part.of(rest)] if rest.height else []
        return gone

    def drop(self, partitions: Collection[int]) -> None:
        """Forget the visits of these partitions; `site` holds places."""
        rest = self._all().filter(~partition_of_place().is_in(list(partitions)))
        self._parts = [_Part.of(rest)] if rest.height else []

    def _all(self) -> pl.DataFrame:
        return pl.concat([empty_carry(), *(part.rest() for part in self._parts)])

    def _merge(self) -> None:
        """Small parts become one; the large first one stays as it is until the next sweep."""
        large, small = self._parts[:1], self._parts[1:]
        self._parts = [*large, _Part.of(pl.concat([part.rest() for part in small]))]


def _hashes(rows: pl.DataFrame) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = rows.select(pl.struct("site", "visitor").hash()).to_series().to_numpy()
    return hashes
