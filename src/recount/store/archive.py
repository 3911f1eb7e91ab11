"""The archive: raw events of each hour, cut into visits, as Parquet in a folder or in S3.

    <root>/archive/hour=2026-11-22T23/generation=<id>/slot=0000/{events,ends,carry}.parquet
    <root>/archive/hour=2026-11-22T23/generation=<id>/generation.json

A generation is written slot by slot (by several processes if need be) and sealed last; one without its
`generation.json` does not exist. Nothing sealed is ever written again.

What a reprocessing archives is a draft: only that reprocessing goes on from it, until it is published and the
draft adopted (by the file `adopted` beside the seal).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import polars as pl
import xxhash

from recount.errors import Conflict
from recount.keys import event_slots
from recount.store import row_groups
from recount.store.objects import Objects, Sites
from recount.store.parquet import encoded
from recount.store.row_groups import Footer
from recount.store.site_cursor import SiteCursor

if TYPE_CHECKING:
    from recount.counting.visits import Cut

SEAL: Final = "generation.json"
ADOPTED: Final = "adopted"
DRAFT_NOTE: Final = "draft_of"
EMPTIED_NOTE: Final = "emptied_by"

Part = Literal["events", "ends"]


class SlotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one slot of a generation holds; `carry_digest` is that of the carry it hands to the next hour."""

    slot: int
    events: int
    ends: int
    carry: int
    data_bytes: int
    carry_digest: str
    sites: dict[str, int]


class CarrySource(msgspec.Struct, frozen=True, kw_only=True):
    """The archive generation of the hour before whose carry was read, and that carry's digest."""

    hour: str
    generation: str
    digest: str


class ArchiveInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed generation of an hour.

    `cut` is the end offset taken for each source partition (`events/00003` -> first offset not looked at);
    `ledger` counts per site what became of the accepted events (duplicate, quarantined, pending, ...).
    `previous` is None for an hour that started with an empty carry.
    """

    hour: str
    generation: str
    made_ms: int
    cut: dict[str, int]
    slots: dict[int, SlotInfo]
    previous: CarrySource | None = None
    ledger: dict[str, dict[str, int]] = {}
    notes: dict[str, str] = {}

    @property
    def events(self) -> int:
        return sum(slot.events for slot in self.slots.values())

    @property
    def open_visits(self) -> int:
        """Visits in the carry that the next hour starts from."""
        return sum(slot.carry for slot in self.slots.values())

    @property
    def data_bytes(self) -> int:
        return sum(slot.data_bytes for slot in self.slots.values())

    @property
    def sites(self) -> dict[str, int]:
        """Archived events of each site."""
        counts: dict[str, int] = {}
        for slot in self.slots.values():
            for site, events in slot.sites.items():
                counts[site] = counts.get(site, 0) + events
        return counts

    @property
    def carry_digest(self) -> str:
        """Equal for two generations that hand the same carry to the next hour."""
        lines = "\n".join(
            f"{n}:{self.slots[n].carry_digest}" for n in sorted(self.slots) if self.slots[n].carry
        )
        return xxhash.xxh3_128_hexdigest(lines.encode())


class Archive:
    """Archive generations by hour. All methods may be called from several processes at once.

    `draft`: the reprocessing whose drafts this one seals and sees.
    """

    def __init__(self, root: str, draft: str = "") -> None:
        self._objects = Objects(root)
        self._draft = draft

    def write_slot(self, hour: str, generation: str, slot: int, cut: Cut) -> SlotInfo:
        """Write one slot, its rows sorted as `visits.cut` gives them."""
        events = cut.events
        folder = f"{_folder(hour, generation)}/slot={slot:04d}"
        events_bytes, _ = self._objects.put_data(f"{folder}/events.parquet", encoded(events))
        ends_bytes, _ = self._objects.put_data(f"{folder}/ends.parquet", encoded(cut.ends))
        carry_bytes, digest = self._objects.put_data(f"{folder}/carry.parquet", encoded(cut.carry))
        counts = events.group_by("site").len().sort("site")
        return SlotInfo(
            slot=slot,
            events=events.height,
            ends=cut.ends.height,
            carry=cut.carry.height,
            data_bytes=events_bytes + ends_bytes + carry_bytes,
            carry_digest=digest,
            sites=dict(zip(counts["site"].to_list(), counts["len"].to_list(), strict=True)),
        )

    def seal(self, hour: str, generation: str, info: ArchiveInfo) -> None:
        """Make a generation exist, once all of its slots are written. Raises Conflict if it exists."""
        if self.info(hour, generation) is not None:
            raise Conflict(f"archive generation {generation} of {hour} is sealed already")
        if self._draft:
            info = msgspec.structs.replace(info, notes=info.notes | {DRAFT_NOTE: self._draft})
        self._objects.put(f"{_folder(hour, generation)}/{SEAL}", msgspec.json.encode(info))

    def info(self, hour: str, generation: str) -> ArchiveInfo | None:
        """What a sealed generation says of itself; None for one that does not exist."""
        data = self._objects.get(f"{_folder(hour, generation)}/{SEAL}")
        return None if data is None else msgspec.json.decode(data, type=ArchiveInfo)

    def generations(self, hour: str) -> list[str]:
        """Generation ids of an hour, oldest first, sealed or not."""
        return [n.removeprefix("generation=") for n in self._objects.names(f"archive/hour={hour}")]

    def newest(self, hour: str) -> ArchiveInfo | None:
        """The newest sealed generation (ids sort by the moment they were made), drafts of others left out."""
        infos = (self.info(hour, generation) for generation in reversed(self.generations(hour)))
        return next((info for info in infos if info is not None and self._is_seen(info)), None)

    def adopt(self, hour: str, generation: str) -> None:
        """Let everybody go on from a draft; fine for one that is no draft or adopted already."""
        info = self.info(hour, generation)
        if info is not None and DRAFT_NOTE in info.notes:
            self._objects.put(f"{_folder(hour, generation)}/{ADOPTED}", b"")

    def _is_seen(self, info: ArchiveInfo) -> bool:
        if EMPTIED_NOTE in info.notes:
            return False
        draft = info.notes.get(DRAFT_NOTE, "")
        if draft in ("", self._draft):
            return True
        return self._objects.get(f"{_folder(info.hour, info.generation)}/{ADOPTED}") is not None

    def hours(self) -> list[str]:
        """Hours that have any generation, in order."""
        return [name.removeprefix("hour=") for name in self._objects.names("archive")]

    def stored(self) -> dict[tuple[str, str], int]:
        """Every (hour, generation) there is, sealed or not, and its bytes."""
        found = {}
        for folder, size in self._objects.folders("archive", 2).items():
            hour, _, generation = folder.removeprefix("hour=").partition("/generation=")
            found[hour, generation] = size
        return found

    def read_events(
        self,
        hour: str,
        generation: str,
        slot: int | None = None,
        columns: Sequence[str] | None = None,
        sites: Sites | None = None,
        slots: int | None = None,
    ) -> pl.DataFrame:
        """Rows of ARCHIVE_SCHEMA, of one slot or all, of some sites or all.

        `slots` is the number of slots that `slot` counts in (default: as the generation was written); with
        another number the rows of that slot are picked from all files. Raises KeyError for an unsealed
        generation.
        """
        return self._read("events", hour, generation, slot, columns, sites, slots)

    def read_ends(
        self,
        hour: str,
        generation: str,
        slot: int | None = None,
        sites: Sites | None = None,
        slots: int | None = None,
    ) -> pl.DataFrame:
        """Rows of VISIT_END_SCHEMA: visits that ended in this hour, of some sites or all."""
        return self._read("ends", hour, generation, slot, None, sites, slots)

    def read_carry(
        self, hour: str, generation: str, slot: int | None = None, slots: int | None = None
    ) -> pl.DataFrame:
        """Rows of CARRY_SCHEMA: visits still open when this hour ended."""
        return self._read("carry", hour, generation, slot, None, None, slots)

    def cursors(
        self, name: Part, hour: str, generation: str, columns: Mapping[str, pl.DataType]
    ) -> dict[int, SiteCursor]:
        """For each slot a way through its rows. Raises KeyError for an unsealed generation."""
        texts = [column for column, kind in columns.items() if kind == pl.String]
        paths = {slot: _path(name, hour, generation, slot) for slot in self._sealed(hour, generation).slots}
        return {
            slot: SiteCursor(self._objects.open_parquet(path, texts), list(columns))
            for slot, path in paths.items()
        }

    def footer(self, name: Part, hour: str, generation: str, slot: int) -> Footer:
        """Raises FileNotFoundError where the generation has been deleted."""
        return Footer.of(self._objects.open_parquet(_path(name, hour, generation, slot)))

    def read_groups(
        self,
        name: Part,
        hour: str,
        generation: str,
        slot: int,
        groups: Sequence[int],
        columns: Sequence[str],
        site: str,
    ) -> pl.DataFrame:
        """A site's rows of some row groups. Raises FileNotFoundError where they have been deleted."""
        file = self._objects.open_parquet(_path(name, hour, generation, slot))
        return row_groups.read(file, groups, columns, site)

    def read_site(
        self, name: Part, places: Sequence[tuple[str, str, int]], columns: Sequence[str], site: str
    ) -> pl.DataFrame:
        """A site's rows of several (hour, generation, slot)s, one after another. Raises FileNotFoundError
        where one has been deleted."""
        return self._objects.get_frame([_path(name, *place) for place in places], columns, [site])

    def remove(self, hour: str, generation: str) -> None:
        """Delete a generation for good (erasure, garbage collection)."""
        self._objects.remove(_folder(hour, generation))

    def empty(self, hour: str, generation: str, erasure: str) -> None:
        """Delete the rows of a generation for good, and keep its seal: which carry it handed on can still be
        told. Of the sites that were in it nothing is said any more."""
        info = self.info(hour, generation)
        if info is None or EMPTIED_NOTE in info.notes:
            return
        for slot in info.slots:
            self._objects.remove(f"{_folder(hour, generation)}/slot={slot:04d}")
        slots = {
            n: msgspec.structs.replace(slot, events=0, ends=0, data_bytes=0, sites={})
            for n, slot in info.slots.items()
        }
        emptied = msgspec.structs.replace(
            info, slots=slots, ledger={}, notes=info.notes | {EMPTIED_NOTE: erasure}
        )
        self._objects.put(f"{_folder(hour, generation)}/{SEAL}", msgspec.json.encode(emptied))

    def _sealed(self, hour: str, generation: str) -> ArchiveInfo:
        info = self.info(hour, generation)
        if info is None:
            raise KeyError(f"archive generation {generation} of {hour} does not exist")
        return info

    def _read(
        self,
        name: str,
        hour: str,
        generation: str,
        slot: int | None,
        columns: Sequence[str] | None,
        sites: Sites | None,
        slots: int | None,
    ) -> pl.DataFrame:
        info = self._sealed(hour, generation)
        folder = _folder(hour, generation)
        slots = len(info.slots) if slots is None else slots
        wanted = sorted(info.slots) if slot is None else _files(slot, slots, len(info.slots))
        paths = [f"{folder}/slot={n:04d}/{name}.parquet" for n in wanted]
        if slot is None or len(info.slots) % slots == 0:
            return self._objects.get_frame(paths, columns, sites)
        rows = self._objects.get_frame(paths, None, sites)
        rows = rows.filter(event_slots(rows, slots) == slot)
        return rows if columns is None else rows.select(columns)


def carry_source(info: ArchiveInfo | None) -> CarrySource | None:
    """How the hour after `info` names the carry it reads."""
    return (
        None
        if info is None
        else CarrySource(hour=info.hour, generation=info.generation, digest=info.carry_digest)
    )


def _files(slot: int, slots: int, written: int) -> list[int]:
    """The slots of `written` that hold what lies in one of `slots`: only some where one number divides the
    other."""
    if written % slots == 0:
        return list(range(slot, written, slots))
    return [slot % written] if slots % written == 0 else list(range(written))


def by_slot(infos: Iterable[SlotInfo]) -> dict[int, SlotInfo]:
    """Slots as ArchiveInfo keeps them."""
    return {info.slot: info for info in sorted(infos, key=lambda i: i.slot)}


def _folder(hour: str, generation: str) -> str:
    return f"archive/hour={hour}/generation={generation}"


def _path(name: Part, hour: str, generation: str, slot: int) -> str:
    return f"{_folder(hour, generation)}/slot={slot:04d}/{name}.parquet"
