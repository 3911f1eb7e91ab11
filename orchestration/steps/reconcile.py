"""What should be published and is not: missed hours, stale hours, and hours behind a changed carry.

Everything is derived from receipts and from what is published, so no mark can be lost. What has been looked
at once is remembered in a small state (the cursor of the sensor): how far each source partition's receipts
were read, and the hours in them that are not satisfied yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from orchestration.steps.cut import key, source_of
from recount.kafka import IMPORTS, SourcePartition
from recount.periods import HOUR_MS, hour_start_ms, next_hour, previous_hour
from recount.settings import Settings
from recount.store.manifests import Entry, Manifests
from recount.store.provenance import period_key
from recount.store.raw import RawStore
from recount.store.receipts import Receipt, Span

Holes = Mapping[SourcePartition, Sequence[Span]]  # offsets of each that are gone for ever
NO_HOLES: Final[Holes] = {}
NO_CARRY: Final = Entry(default="", confirmed="")
WAITING_MAX_HOURS: Final = 20_000  # a cursor of about 2 MB
RECEIPTS_MAX: Final = 5_000  # of a source partition, looked at in one go


@dataclass(frozen=True)
class Patience:
    """How long an hour waits for more of its late events: until no receipt of it came for `quiet_ms`, at most
    `longest_ms`. An import is published once, when it is over: its hours wait until the whole topic has been
    quiet."""

    quiet_ms: int
    longest_ms: int
    import_quiet_ms: int
    import_longest_ms: int

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        return cls(
            quiet_ms=settings.late_quiet_s * 1000,
            longest_ms=settings.late_patience_s * 1000,
            import_quiet_ms=settings.import_quiet_s * 1000,
            import_longest_ms=settings.import_patience_s * 1000,
        )


class Waiting(msgspec.Struct, kw_only=True):
    """An hour that is not published as it should be: the largest offset with an event of it in each source
    partition, when the first and the newest of these receipts were written, and whether a changed carry is
    all there is to it."""

    last: dict[str, int] = {}
    since_ms: int = 0
    newest_ms: int = 0
    carry: bool = False


class State(msgspec.Struct, kw_only=True):
    """`at`: receipts below were looked at, by source partition; `imports_ms`: when the newest receipt of an
    import was written."""

    at: dict[str, int] = {}
    waiting: dict[str, Waiting] = {}
    imports_ms: int = 0

    @classmethod
    def of(cls, cursor: str | None) -> State:
        return msgspec.json.decode(cursor, type=cls) if cursor else cls()

    def cursor(self) -> str:
        return msgspec.json.encode(self).decode()


class Published:
    """What is published for hours, looked up in one go."""

    def __init__(self, manifests: Manifests, hours: Iterable[str]) -> None:
        keys = [period_key("hour", hour) for hour in sorted(set(hours))]
        self._entries = manifests.entries(manifests.current(), keys)
        confirmed = {(name, entry.confirmed) for name, entry in self._entries.items()}
        self._provenance = {name: made for (name, _), made in manifests.provenance(confirmed).items()}

    def satisfies(self, hour: str, last: Mapping[str, int]) -> bool:
        """Whether the hour is published whole, with every offset of `last` below its cut."""
        name = period_key("hour", hour)
        entry, provenance = self._entries.get(name), self._provenance.get(name)
        if entry is None or entry.open_until is not None or provenance is None or provenance.archive is None:
            return False
        cut = provenance.archive.cut
        return all(offset < cut.get(source, 0) for source, offset in last.items())

    def carry_is_taken(self, hour: str) -> bool:
        """Whether the hour after went on from the carry that this hour hands over."""
        before = self._entries.get(period_key("hour", hour))
        after = self._entries.get(period_key("hour", next_hour(hour)))
        handed, taken = (NO_CARRY if entry is None else entry for entry in (before, after))
        return before is None or handed.carry_out == taken.carry_in


def look(
    state: State,
    raw: RawStore,
    manifests: Manifests,
    sources: Iterable[SourcePartition],
    holes: Holes = NO_HOLES,
) -> State:
    """The state after reading the new receipts, without the hours that are satisfied by now."""
    waiting = {hour: msgspec.structs.replace(w, last=dict(w.last)) for hour, w in state.waiting.items()}
    for hour in _open_hours(manifests):
        waiting.setdefault(hour, Waiting())
    at, imports_ms = dict(state.at), state.imports_ms
    for source in sources:
        name = key(source)
        receipts = new_receipts(raw, source, at.get(name, 0))
        for receipt in receipts:
            _note(waiting, receipt)
            imports_ms = max(imports_ms, receipt.written_ms if receipt.topic == IMPORTS else 0)
        at[name] = reached(receipts, at.get(name, 0), holes.get(source, ()))
        if len(waiting) > WAITING_MAX_HOURS:
            break  # the rest is read once these are published
    return State(at=at, waiting=_unsatisfied(waiting, manifests), imports_ms=imports_ms)


def due(state: State, patience: Patience, *, now_ms: int, not_before: Callable[[str], int]) -> list[str]:
    """The waiting hours that should be worked on now; `not_before` gives the moment an hour may be."""
    return sorted(
        hour
        for hour, waiting in state.waiting.items()
        if not_before(hour) <= now_ms and _is_quiet(waiting, patience, state.imports_ms, now_ms)
    )


def hour_end_ms(hour: str) -> int:
    return hour_start_ms(hour) + HOUR_MS


def new_receipts(raw: RawStore, source: SourcePartition, at: int) -> list[Receipt]:
    """Those that cover anything from `at` on, bounded, by first offset."""
    receipts = raw.receipts_from(source, at, limit=RECEIPTS_MAX)
    if receipts and receipts[0].first > at:  # a redelivery may reach over `at` from below
        return raw.receipts(source, at)
    return receipts


def reached(receipts: Iterable[Receipt], at: int, holes: Sequence[Span] = ()) -> int:
    """Up to the first gap: what is missing there may still come, unless it is a hole on record."""
    for first, following in sorted([*((r.first, r.next) for r in receipts), *holes]):
        if first > at:
            break
        at = max(at, following)
    return at


def _note(waiting: dict[str, Waiting], receipt: Receipt) -> None:
    name = key(receipt.source)
    for hour, offset in receipt.last.items():
        found = waiting.setdefault(hour, Waiting(since_ms=receipt.written_ms))
        found.last[name] = max(offset, found.last.get(name, 0))
        found.newest_ms = max(found.newest_ms, receipt.written_ms)
        found.carry = False


def _unsatisfied(waiting: dict[str, Waiting], manifests: Manifests) -> dict[str, Waiting]:
    around = [near for hour in waiting for near in (previous_hour(hour), hour, next_hour(hour))]
    published = Published(manifests, around)
    left = {}
    for hour, found in waiting.items():
        if not found.carry and not published.satisfies(hour, found.last):
            left[hour] = found
        elif not published.carry_is_taken(previous_hour(hour)):
            left[hour] = Waiting(carry=True)
        elif not published.carry_is_taken(hour):
            left.setdefault(next_hour(hour), Waiting(carry=True))
    return left


def _open_hours(manifests: Manifests) -> list[str]:
    """The hours of the newest two months that are published as running."""
    root = manifests.current()
    months = {} if root is None else dict(sorted(root.months.items())[-2:])
    return [
        name.partition("/")[2]
        for manifest in manifests.manifests(months).values()
        for name, entry in manifest.periods.items()
        if entry.open_until is not None and name.startswith("hour/")
    ]


def _is_quiet(waiting: Waiting, patience: Patience, imports_ms: int, now_ms: int) -> bool:
    waited_ms = now_ms - waiting.since_ms
    if any(source_of(name)[0] == IMPORTS for name in waiting.last):
        quiet_ms = now_ms - imports_ms
        return quiet_ms >= patience.import_quiet_ms or waited_ms >= patience.import_longest_ms
    return now_ms - waiting.newest_ms >= patience.quiet_ms or waited_ms >= patience.longest_ms
