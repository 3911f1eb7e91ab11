"""Which generation each (period, site slot) shows: one pointer above immutable manifests.

    root / current                 the pointer, moved by a conditional write
    history / <root id>            every root that was ever current
    publication / <root id>        what a move changed
    <month> / <manifest id>        the periods of a month
    generation#<period> / <id>     the provenance of each generation

A reader takes the current root once and sees all of a publication or none of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from recount.errors import Conflict
from recount.periods import HOUR_MS, hour_start_ms
from recount.store import blobs
from recount.store.provenance import Provenance, month_of_key
from recount.store.table import Key, Table

POINTER: Final[Key] = ("root", "current")
HISTORY: Final = "history"
PUBLICATION: Final = "publication"
CACHED_MANIFESTS_MAX: Final = 64


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one period shows.

    `slots` is a bit mask in hexadecimal of the site slots with data, each showing `default` unless
    `overrides` names another generation. `confirmed` is the newest generation that was compared with what is
    shown: where its output was equal, the older one stays, and its cut counts as the period's cut.
    `open_until` (ms UTC) is set for an hour published before its end. `carry_in` and `carry_out` are the
    digests of the carries that `confirmed` was cut with and handed on ("": no visit was open).
    """

    default: str
    confirmed: str
    slots: str = "0"
    overrides: dict[int, str] = {}
    open_until: int | None = None
    carry_in: str = ""
    carry_out: str = ""

    @classmethod
    def of(cls, generations: Mapping[int, str], confirmed: Provenance) -> Entry:
        """The entry that shows a generation for each slot that has data."""
        counts = Counter(generations.values())
        default = max(counts, key=lambda g: (counts[g], g)) if counts else confirmed.generation
        return cls(
            default=default,
            confirmed=confirmed.generation,
            slots=format(sum(1 << slot for slot in generations), "x"),
            overrides={s: g for s, g in sorted(generations.items()) if g != default},
            open_until=confirmed.open_until,
            carry_in=confirmed.carry_in,
            carry_out=confirmed.carry_out,
        )

    def generation(self, slot: int) -> str | None:
        """The generation that a slot shows; None where the period has no data for any of its sites."""
        if not int(self.slots, 16) >> slot & 1:
            return None
        return self.overrides.get(slot, self.default)

    @property
    def has_data(self) -> bool:
        """Whether any slot has; a month that still runs, or was taken back, is without."""
        return int(self.slots, 16) != 0

    def generations(self) -> dict[int, str]:
        """Every slot with data and its generation."""
        mask = int(self.slots, 16)
        return {s: self.overrides.get(s, self.default) for s in range(mask.bit_length()) if mask >> s & 1}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The periods whose names lie in one month, by period key."""

    month: str
    id: str
    periods: dict[str, Entry]


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """One state of everything published: the manifest of each month."""

    id: str
    months: dict[str, str]
    at_ms: int
    reason: str = ""
    run_id: str = ""
    parent: str | None = None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A period whose numbers changed: for each slot the generation shown before (None: no data) and after."""

    before: dict[int, str | None]
    after: dict[int, str | None]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one move. `sites`: changed sites by period key; `kept`: hours whose output was equal.

    `cause` names what was published: `reprocessing/<id>`, `rollback/<publication>`, `erasure/<id>`; empty:
    just hours. `erased`: the erasure after which what it showed, or showed before, is not there any more.
    """

    id: str
    parent: str | None
    at_ms: int
    reason: str
    run_id: str
    moved: dict[str, Moved] = {}
    sites: dict[str, list[str]] = {}
    kept: list[str] = []
    cause: str = ""
    erased: str = ""


class Manifests:
    """Reads and the one move. Manifests are kept in process, for they never change."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._cache: OrderedDict[str, Manifest] = OrderedDict()

    def current(self) -> Root | None:
        """The root that readers see now (one consistent read); None before the first publication."""
        item = self._table.get(POINTER, consistent=True)
        return None if item is None else blobs.unpack(item["data"], Root)

    def manifest(self, month: str, manifest_id: str) -> Manifest:
        return self.manifests({month: manifest_id})[month]

    def manifests(self, months: Mapping[str, str]) -> dict[str, Manifest]:
        """Several manifests, by month, in one batched read for those not kept in process."""
        missing = [(month, name) for month, name in months.items() if name not in self._cache]
        for (_, name), manifest in blobs.get(self._table, missing, Manifest).items():
            self._cache[name] = manifest
        found = {month: self._cache[name] for month, name in months.items()}
        for name in months.values():
            self._cache.move_to_end(name)
        while len(self._cache) > CACHED_MANIFESTS_MAX:
            self._cache.popitem(last=False)
        return found

    def entries(self, root: Root | None, keys: Iterable[str]) -> dict[str, Entry]:
        """What a root shows for periods; periods never published are left out."""
        wanted: dict[str, list[str]] = {}
        for key in keys:
            wanted.setdefault(month_of_key(key), []).append(key)
        known = {} if root is None else {m: root.months[m] for m in wanted if m in root.months}
        found = self.manifests(known)
        return {
            key: manifest.periods[key]
            for month, manifest in found.items()
            for key in wanted[month]
            if key in manifest.periods
        }

    def published_until_ms(self, root: Root | None) -> int | None:
        """The end of the newest hour that a root shows, or how far that hour is published."""
        for month in sorted(() if root is None else root.months, reverse=True):
            assert root is not None
            periods = self.manifest(month, root.months[month]).periods
            hours = [key for key in periods if key.startswith("hour/")]
            if hours:
                newest = max(hours)
                return periods[newest].open_until or hour_start_ms(newest.removeprefix("hour/")) + HOUR_MS
        return None

    def move(
        self, expected: Root | None, new: Root, changed: Sequence[Manifest], publication: Publication
    ) -> None:
        """Show `new` instead of `expected`, whole or not at all. Raises Conflict if another is current."""
        written: dict[Key, object] = {(m.month, m.id): m for m in changed}
        written[PUBLICATION, new.id] = publication
        blobs.put(self._table, written)
        root = {"id": new.id, "data": blobs.pack(new)}
        self._table.put({"pk": HISTORY, "sk": new.id, **root})
        pointer = {"pk": POINTER[0], "sk": POINTER[1], **root}
        try:
            if expected is None:
                self._table.put(pointer, if_absent=True)
            else:
                self._table.put(pointer, if_equals={"id": expected.id})
        except Conflict:
            was = "nothing" if expected is None else expected.id
            raise Conflict(f"the published root is no longer {was}") from None

    def history(self, limit: int = 50) -> Iterator[Root]:
        """Roots that were current, newest first."""
        root = self.current()
        while root is not None and limit > 0:
            yield root
            limit -= 1
            root = None if root.parent is None else self.root(root.parent)

    def root(self, root_id: str) -> Root | None:
        """A root by its id, current or not."""
        item = self._table.get((HISTORY, root_id), consistent=True)
        return None if item is None else blobs.unpack(item["data"], Root)

    def publication(self, root_id: str) -> Publication:
        """What the move to a root changed. Raises Unavailable for an unknown id."""
        return self.publications([root_id])[0]

    def publications(self, root_ids: Sequence[str]) -> list[Publication]:
        """What the moves to several roots changed, in the order asked for, in one batched read."""
        keys = [(PUBLICATION, root_id) for root_id in root_ids]
        found = blobs.get(self._table, keys, Publication)
        return [found[key] for key in keys]

    def put_erased(self, publication: Publication, erasure: str) -> None:
        """Record that a move cannot be undone, or undone again, since an erasure took what it showed."""
        changed = msgspec.structs.replace(publication, erased=erasure)
        blobs.put(self._table, {(PUBLICATION, publication.id): changed})

    def put_provenance(self, generations: Iterable[Provenance]) -> None:
        """Keep where generations come from; what they say of each site stays with their files."""
        blobs.put(self._table, {(f"generation#{p.key}", p.generation): p.head for p in generations})

    def provenance(self, generations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Provenance]:
        """The provenance of (period key, generation)s that some root shows or confirmed."""
        keys = {(f"generation#{key}", generation): (key, generation) for key, generation in generations}
        found = blobs.get(self._table, keys, Provenance)
        return {keys[key]: value for key, value in found.items()}

    def names(self, month: str) -> list[str]:
        """Every manifest that was ever written for a month, also those that no root names."""
        return sorted({item["sk"].rpartition("#")[0] for item in self._table.query(month)})

    def remove(self, month: str, manifest_id: str) -> int:
        """Delete a manifest that no kept root names; returns how many items."""
        return self._remove((month, manifest_id))

    def remove_provenance(self, key: str, generation: str) -> int:
        """Delete where a generation came from; returns how many items."""
        return self._remove((f"generation#{key}", generation))

    def _remove(self, blob: Key) -> int:
        found = self._table.query(blob[0], start=f"{blob[1]}#", end=f"{blob[1]}#~", consistent=True)
        keys = [(item["pk"], item["sk"]) for item in found]
        self._table.delete_many(keys)
        return len(keys)
