"""Which generation of the archive each hour of a site is read from: the one its published numbers were made
of, so that what is filtered agrees with what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from recount.errors import InvalidInput, Unavailable
from recount.keys import site_slot
from recount.periods import RANGE_MAX_HOURS, hours_between
from recount.scanning.kept import Kept
from recount.store.archive import Archive
from recount.store.manifests import Entry, Manifests, Root
from recount.store.provenance import period_key
from recount.store.segments import SegmentStore

KEPT_MAX: Final = 50_000

Made = tuple[str, str]  # (period key, generation)


class Vanished(Unavailable):
    """A published archive generation is no longer there: it was erased or corrected meanwhile."""


def vanished(hour: str, last: str | None = None) -> Vanished:
    """Of an hour, or of one that is among several up to `last`."""
    some = hour if last in (None, hour) else f"{hour} to {last}"
    return Vanished("the archive", f"what is published of {some} is being replaced; ask again")


@dataclass(frozen=True)
class Source:
    """One hour's archive generation. `slots`: those with events of the site; `every`: all, for visits end on
    sites without events, too."""

    hour: str
    generation: str
    slots: tuple[int, ...]
    every: tuple[int, ...]


@dataclass(frozen=True)
class Published:
    """The sources of a range, in order of time, and up to when anything is published (None: nothing is)."""

    sources: tuple[Source, ...]
    until_ms: int | None


class Sources:
    """Safe to share between threads."""

    def __init__(
        self, manifests: Manifests, segments: SegmentStore, archive: Archive, site_slots: int
    ) -> None:
        self._manifests = manifests
        self._segments = segments
        self._archive = archive
        self._site_slots = site_slots
        self._archives: Kept[Made, str] = Kept(KEPT_MAX)
        self._slots: Kept[tuple[str, str, str], Source] = Kept(KEPT_MAX)

    def of(self, site: str, start_ms: int, end_ms: int, root: str | None = None) -> Published:
        """What a root (the newest unless given) shows of a site between two moments.

        Raises InvalidInput for a range that is too long, Vanished for a generation that is gone, Unavailable.
        """
        hours = list(hours_between(start_ms, end_ms))
        if len(hours) > RANGE_MAX_HOURS:
            days = RANGE_MAX_HOURS // 24
            raise InvalidInput(f"the archive is asked for at most {days} days at a time", field="date_range")
        shown_by = self._root(root)
        entries = self._manifests.entries(shown_by, [period_key("hour", hour) for hour in hours])
        shown = self._shown(site, entries)
        # Where a newer archive gave equal numbers, the older rollup stays: either archive will do.
        also = {key: entries[key].confirmed for key in shown}
        archives = self._archives_of([*shown.items(), *also.items()])
        found = []
        for key, generation in shown.items():
            hour = key.removeprefix("hour/")
            names = dict.fromkeys((archives[key, generation], archives[key, also[key]]))
            sources = (self._source(site, hour, name) for name in names if name)
            source = next((source for source in sources if source is not None), None)
            if source is None:
                raise vanished(hour)
            found.append(source)
        return Published(tuple(found), self._manifests.published_until_ms(shown_by))

    def _root(self, name: str | None) -> Root | None:
        current = self._manifests.current()
        if name is None or (current is not None and current.id == name):
            return current
        return self._manifests.root(name)

    def forget(self) -> None:
        """Look again at which archives there are."""
        self._slots.clear()

    def _shown(self, site: str, entries: Mapping[str, Entry]) -> dict[str, str]:
        """The generation that wrote the site's rows in each hour that shows any, in order."""
        slot = site_slot(site, self._site_slots)
        generations = ((key, entry.generation(slot)) for key, entry in sorted(entries.items()))
        wanted = [(site, key, generation) for key, generation in generations if generation is not None]
        places = self._segments.places(wanted)
        return {
            key: place.generation
            for (_, key, _), place in zip(wanted, places, strict=True)
            if place is not None
        }

    def _archives_of(self, made: Iterable[Made]) -> dict[Made, str]:
        """The archive generation that each was folded from; empty where it is not known."""

        def read(missing: list[Made]) -> dict[Made, str]:
            found = self._manifests.provenance(missing)
            return {
                key: "" if found[key].archive is None else found[key].archive.generation  # type: ignore[union-attr]
                for key in missing
            }

        return self._archives.many(list(dict.fromkeys(made)), read)

    def _source(self, site: str, hour: str, generation: str) -> Source | None:
        key = (site, hour, generation)

        def read(missing: list[tuple[str, str, str]]) -> dict[tuple[str, str, str], Source]:
            info = self._archive.info(hour, generation)
            if info is None:
                return {}
            with_events = tuple(n for n, slot in sorted(info.slots.items()) if site in slot.sites)
            return {key: Source(hour, generation, with_events, tuple(sorted(info.slots)))}

        return self._slots.many([key], read).get(key)
