"""Live against published: by how much the two counts of an hour differ, and for which reasons. Pure.

Both count the same events with the same fold. They may differ by what only one of them could know: live
cannot hold an hour together (duplicates from long ago, visits that later events join), the publication looks
up to its cut only. What none of the reasons explains is a fault in one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from recount.counting.sketch import EXACT_MAX
from recount.ledger import BOT, DUPLICATE, EXCLUDED, PENDING, QUARANTINED

State = Literal["compared", "live_away", "live_behind"]
SKETCH_ERROR: Final = 0.016  # standard error of the visitors of a large row
SIDE: Final = ("visitors", "visits", "pageviews", "events")


class Side(msgspec.Struct, frozen=True, array_like=True):
    """A site's hour as one of the two has it. `counted` events make the numbers, `set_aside` ones are those
    of bots and exclusions."""

    visitors: int = 0
    visits: int = 0
    pageviews: int = 0
    events: int = 0
    counted: int = 0
    set_aside: int = 0

    def plus(self, other: Side) -> Side:
        """Both together: of two partitions, which have no visitor in common."""
        return Side(
            *(
                a + b
                for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
            )
        )


class Compared(msgspec.Struct, frozen=True, array_like=True):
    """A site's hour on both sides, with its line of the ledger; `imported`: events that came by the topic of
    imports, which live does not follow (looked up only where live has less)."""

    live: Side
    published: Side
    ledger: dict[str, int] = {}
    imported: int = 0


class HourCompared(msgspec.Struct, frozen=True, kw_only=True):
    """An hour of the sites of one slot, at the moment it was published. `late_max`: events of the hour beyond
    the published cut that live may have counted. Without live, `sites` have their published side alone."""

    hour: str
    generation: str
    at_ms: int
    state: State
    late_max: int = 0
    sites: dict[str, Compared] = {}


@dataclass(frozen=True)
class Reason:
    """A cause, and by how many events live has more (or less) because of it."""

    name: str
    by: int
    words: str


@dataclass(frozen=True)
class Explained:
    """The `reasons` of live - published; `unexplained`: events, or visitors, that none of them covers."""

    reasons: tuple[Reason, ...]
    unexplained: int


def explain(found: Compared, late_max: int) -> Explained:
    """Every difference in events put down to a reason, largest certainty first; the rest is unexplained."""
    live, published = found.live, found.published
    more = (live.counted + live.set_aside) - (published.counted + published.set_aside)
    judged = published.set_aside - live.set_aside
    duplicates = min(max(more, 0), found.ledger.get(DUPLICATE, 0))
    late = min(max(more, 0) - duplicates, late_max)
    imported = min(max(-more, 0), found.imported)
    rest = more - duplicates - late + imported
    reasons = [
        Reason("late", late, f"{_events(late)} arrived after the cut and will be added"),
        Reason("duplicates", duplicates, f"{_events(duplicates)} were delivered twice and are counted once"),
        Reason("bots", judged, _judged(judged)),
        Reason("imported", -imported, f"{_events(imported)} were imported, which live does not follow"),
    ]
    moved = duplicates + late + imported + abs(judged) + abs(rest)
    reasons += _of_visits(live, published, moved)
    visitors = 0 if rest else _visitors_beyond(live, published, moved)
    return Explained(tuple(r for r in reasons if r.by), abs(rest) or visitors)


def aside(found: Compared) -> list[str]:
    """What of the hour's events is in neither number, in words."""
    line = found.ledger
    parts = [
        (line.get(BOT, 0), "by bots"),
        (line.get(EXCLUDED, 0), "excluded"),
        (line.get(DUPLICATE, 0), "duplicates"),
        (line.get(QUARANTINED, 0), "in quarantine"),
        (line.get(PENDING, 0), "pending"),
    ]
    return [f"{count:,} {what}" for count, what in parts if count]


def unexplained(sites: Mapping[str, Compared], late_max: int) -> dict[str, int]:
    """The sites whose difference no reason covers, and by how much; largest first."""
    found = {site: explain(one, late_max).unexplained for site, one in sites.items()}
    return dict(sorted(((s, n) for s, n in found.items() if n), key=lambda entry: (-entry[1], entry[0])))


def _of_visits(live: Side, published: Side, moved: int) -> Iterable[Reason]:
    """Visits are cut anew once all events of the hour are there, in their order."""
    by = live.visits - published.visits
    if by and not moved:
        word = "joined" if by > 0 else "parted"
        visits = f"{abs(by):,} visit{'' if abs(by) == 1 else 's'}"
        yield Reason("visits", by, f"{visits} {word} by events that arrived out of order")
    if live.visitors != published.visitors and max(live.visitors, published.visitors) > EXACT_MAX:
        yield Reason(
            "sketch",
            live.visitors - published.visitors,
            f"visitors above {EXACT_MAX:,} are estimates, standard error {SKETCH_ERROR:.1%}",
        )


def _visitors_beyond(live: Side, published: Side, moved: int) -> int:
    """Visitors that differ by more than the events that moved, and the error of estimates, allow."""
    most = max(live.visitors, published.visitors)
    error = round(3 * SKETCH_ERROR * most) if most > EXACT_MAX else 0
    return max(0, abs(live.visitors - published.visitors) - moved - error)


def _judged(by: int) -> str:
    return (
        f"{_events(abs(by))} {'turned out to be' if by > 0 else 'turned out not to be'} of bots or excluded"
    )


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"
