"""Which events were seen lately, so that one delivered twice counts once."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

REMEMBERED_MAX: Final = 1_000_000
PIECES_MAX: Final = 16

Hashes = NDArray[np.uint64]


class RecentIds:
    """A bounded memory of (site, id) for one source partition: the newest half a million at least."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._half = remembered_max // 2
        self._old: Hashes = np.empty(0, np.uint64)
        self._pieces: list[Hashes] = []  # each sorted

    def fresh(self, events: pl.DataFrame) -> pl.DataFrame:
        """The events not seen before, each id once; they are remembered."""
        hashes = events.select(pl.struct("site", "id").hash()).to_series().to_numpy()
        distinct, first = np.unique(hashes, return_index=True)
        known = np.zeros(len(distinct), np.bool_)
        for piece in (self._old, *self._pieces):
            known |= _contains(piece, distinct)
        self._remember(distinct[~known])
        if len(distinct) == events.height and not known.any():
            return events
        return events[np.sort(first[~known])]

    def _remember(self, hashes: Hashes) -> None:
        self._pieces.append(hashes)
        if len(self._pieces) > PIECES_MAX:
            self._pieces = [np.sort(np.concatenate(self._pieces))]
        if sum(map(len, self._pieces)) >= self._half:
            self._old, self._pieces = np.sort(np.concatenate(self._pieces)), []


def _contains(known: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: NDArray[np.bool_] = known[at] == wanted
    return found
