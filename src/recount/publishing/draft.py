"""A root in the making: what the current root shows, with changes on top that nobody sees yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

import msgspec

from recount.ids import new_id
from recount.store.manifests import Entry, Manifest, Manifests, Moved, Publication, Root
from recount.store.provenance import Provenance, month_of_key
from recount.store.segment_wire import Segment
from recount.store.segments import Located, SegmentStore, SlotWrite, locate

FLUSH_SEGMENTS: Final = 2_000
NOTHING: Final[Mapping[str, Located]] = {}


@dataclass(frozen=True)
class SlotChange:
    """What a new generation changes in one site slot; sites not named keep what they show."""

    fresh: Mapping[str, Segment] = field(default_factory=dict)
    removed: Set[str] = frozenset()

    @property
    def sites(self) -> set[str]:
        return {*self.fresh, *self.removed}


class Draft:
    """Changes are written under fresh generations as they come; `publish` moves the pointer, once."""

    def __init__(self, manifests: Manifests, segments: SegmentStore) -> None:
        self._manifests = manifests
        self._segments = segments
        self._base = manifests.current()
        self._entries: dict[str, Entry] = {}
        self._indexes: dict[tuple[str, int, str], Mapping[str, Located]] = {}
        self._pending: list[SlotWrite] = []
        self._provenance: list[Provenance] = []
        self.moved: dict[str, Moved] = {}
        self.sites: dict[str, list[str]] = {}
        self.kept: list[str] = []
        self.segments_written = 0
        self.bytes_written = 0

    @property
    def base(self) -> Root | None:
        return self._base

    def entries(self, keys: Iterable[str]) -> dict[str, Entry]:
        """What the root in the making shows for periods; periods that it does not show are left out."""
        wanted = list(keys)
        shown = self._manifests.entries(self._base, [key for key in wanted if key not in self._entries])
        return shown | {key: self._entries[key] for key in wanted if key in self._entries}

    def sites_of(
        self, slots: Iterable[tuple[str, int, str]]
    ) -> dict[tuple[str, int, str], Mapping[str, Located]]:
        """The indexes of (period, slot, generation)s, read together."""
        wanted = list(slots)
        stored = self._segments.located([key for key in wanted if key not in self._indexes])
        return stored | {key: self._indexes[key] for key in wanted if key in self._indexes}

    def show(self, made: Provenance, changes: Mapping[int, SlotChange]) -> None:
        """Show a generation in the slots it changes, and record that it was compared in all."""
        before = self.entries([made.key]).get(made.key)
        generations = {} if before is None else before.generations()
        shown = self.sites_of([(made.key, s, generations[s]) for s in changes if s in generations])
        after = dict(generations)
        for slot, change in changes.items():
            old = shown[made.key, slot, generations[slot]] if slot in generations else NOTHING
            kept = {site: place for site, place in old.items() if site not in change.sites}
            if kept or change.fresh:
                self._write(SlotWrite(made.key, slot, made.generation, change.fresh, kept))
                after[slot] = made.generation
            else:
                after.pop(slot, None)
        self._entries[made.key] = Entry.of(after, made)
        self._provenance.append(made)
        self._record(made.key, generations, after, changes)

    def restore(self, mark: Provenance, generations: Mapping[int, str | None], sites: Iterable[str]) -> None:
        """Show generations that are there in some slots of a period (None: nothing), and record why.

        `sites`: those whose rows change by that.
        """
        before = self.entries([mark.key]).get(mark.key)
        shown = {} if before is None else before.generations()
        after = {slot: g for slot, g in (shown | dict(generations)).items() if g is not None}
        self._entries[mark.key] = Entry.of(after, mark)
        self._provenance.append(mark)
        self.moved[mark.key] = Moved(
            before={slot: shown.get(slot) for slot in generations}, after=dict(generations)
        )
        self.sites[mark.key] = sorted(sites)

    def publish(self, reason: str, run_id: str, now_ms: int, cause: str = "") -> Publication:
        """Write what is left and move the pointer. Raises Conflict if the base is no longer current."""
        self._flush()
        name = new_id()
        shown = {"publication": name, "published_ms": now_ms}
        self._manifests.put_provenance(msgspec.structs.replace(made, **shown) for made in self._provenance)
        parent = None if self._base is None else self._base.id
        months = {} if self._base is None else dict(self._base.months)
        changed = [self._manifest(month) for month in sorted({month_of_key(key) for key in self._entries})]
        months |= {manifest.month: manifest.id for manifest in changed}
        root = Root(id=name, months=months, at_ms=now_ms, reason=reason, run_id=run_id, parent=parent)
        publication = Publication(
            id=root.id,
            parent=parent,
            at_ms=now_ms,
            reason=reason,
            run_id=run_id,
            moved=self.moved,
            sites=self.sites,
            kept=self.kept,
            cause=cause,
        )
        self._manifests.move(self._base, root, changed, publication)
        return publication

    def _write(self, write: SlotWrite) -> None:
        self._pending.append(write)
        self._indexes[write.period, write.slot, write.generation] = locate(write)
        if sum(len(w.segments) + 1 for w in self._pending) >= FLUSH_SEGMENTS:
            self._flush()

    def _flush(self) -> None:
        self.segments_written += sum(len(write.segments) for write in self._pending)
        self.bytes_written += self._segments.put(self._pending)
        self._pending.clear()

    def _record(
        self, key: str, before: Mapping[int, str], after: Mapping[int, str], changes: Mapping[int, SlotChange]
    ) -> None:
        slots = sorted(s for s in changes if before.get(s) != after.get(s))
        if slots:
            self.moved[key] = Moved(
                before={s: before.get(s) for s in slots}, after={s: after.get(s) for s in slots}
            )
            self.sites[key] = sorted(site for s in slots for site in changes[s].sites)
        elif key not in self.kept:
            self.kept.append(key)

    def _manifest(self, month: str) -> Manifest:
        known = {} if self._base is None else self._base.months
        old = self._manifests.manifest(month, known[month]).periods if month in known else {}
        new = {key: entry for key, entry in self._entries.items() if month_of_key(key) == month}
        return Manifest(month=month, id=new_id(), periods=dict(sorted((old | new).items())))
