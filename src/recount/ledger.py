"""What became of every accepted event: per hour and site, each in exactly one column.

accepted = counted + bot + excluded + duplicate + quarantined + pending + erased, where accepted is what the
door took (distinct numbers of its spools), as far as it can be known to lie in the hour. An erasure moves
events from the other parts to `erased`: what was accepted stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

ACCEPTED: Final = "accepted"
COUNTED: Final = "counted"
BOT: Final = "bot"
EXCLUDED: Final = "excluded"  # by the rules of the site
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"  # kept as dead letters, or as pieces of spools
PENDING: Final = "pending"  # still in a spool when the cut was taken
ERASED: Final = "erased"  # by order; only in lines where there are any
COLUMNS: Final = (COUNTED, BOT, EXCLUDED, DUPLICATE, QUARANTINED, PENDING, ERASED)
PARTS: Final = (ACCEPTED, *COLUMNS)
UNKNOWN_SITE: Final = "(unknown)"  # quarantined records whose site cannot be read

Line = Mapping[str, int]  # a count by part; what is left out is 0
Ledger = dict[str, dict[str, int]]  # by site


@dataclass(frozen=True)
class Unbalanced:
    """An hour and site whose ledger does not add up."""

    hour: str
    site: str
    accepted: int
    accounted: int

    def __str__(self) -> str:
        return f"{self.hour} {self.site}: {self.accepted} accepted, {self.accounted} accounted for"


def unbalanced(hour: str, ledger: Mapping[str, Line]) -> list[Unbalanced]:
    """The sites of an hour whose accepted events are not all accounted for."""
    found = []
    for site, line in ledger.items():
        accepted, accounted = line.get(ACCEPTED, 0), sum(line.get(part, 0) for part in COLUMNS)
        if accounted != accepted:
            found.append(Unbalanced(hour, site, accepted, accounted))
    return found


def total(lines: Iterable[Line]) -> dict[str, int]:
    """The sum of some lines."""
    kept = list(lines)
    return {part: sum(line.get(part, 0) for line in kept) for part in PARTS}
