"""What a day was made from, to go on from there: an hour is added to the day, not all of its hours again.

Adding up is associative to the bit (`counting.rollup`), so a day and one more hour give what all of its hours
would give, as long as the day still stands for exactly the generations of hours that it was made from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

from recount.counting.fold import LOGIC_VERSION
from recount.store.candidates import Candidates
from recount.store.provenance import Kind, Provenance

REMEMBERED_MAX: Final = 32  # provenances; those of a day have many sites
NOTHING: Final[frozenset[str]] = frozenset()


class Bases:
    """Looks at generations in the object store; what it read is kept, for it never changes."""

    def __init__(self, candidates: Candidates) -> None:
        self._info = lru_cache(REMEMBERED_MAX)(candidates.info)

    def rows(self, kind: Kind, period: str, generation: str) -> Mapping[str, int]:
        """The rows of each site of a generation."""
        info = self._info(kind, period, generation)
        return {} if info is None else info.sites

    def held(
        self,
        base: tuple[Kind, str, str],
        site: str,
        zone: str,
        slot: int,
        children: Mapping[str, str],
        due: Collection[str],
    ) -> frozenset[str]:
        """Which of the children `due` the rows of a site in the generation `base` hold already.

        Nothing where they do not stand for what is shown: a child that has another generation in `children`
        by now or is gone, a site in another zone since, another logic, a generation that is not there.
        """
        info = self._info(*base)
        if info is None or info.logic_version != LOGIC_VERSION or info.zones.get(site) != zone:
            return NOTHING
        return _unchanged(info, slot, children, due)


def _unchanged(
    info: Provenance, slot: int, children: Mapping[str, str], due: Collection[str]
) -> frozenset[str]:
    held = {key: info.children.get(slot, {}).get(key) for key in due}
    if any(generation not in (None, children.get(key)) for key, generation in held.items()):
        return NOTHING
    return frozenset(key for key, generation in held.items() if generation is not None)
