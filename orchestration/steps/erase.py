"""An erasure from its order to its report. Each step finds what is left to do, so any may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from orchestration.resources import Workplace
from orchestration.steps.erase_hours import publish_rewritten, rewrite_hours
from recount.erasing.dropping import Dropper, Stripped
from recount.erasing.looking import Looker
from recount.erasing.report import Counts, lines
from recount.erasing.tombstone import Tombstone
from recount.errors import Incomplete, InvalidInput, Unavailable
from recount.ids import made_ms_of, new_id
from recount.periods import hour_ranges
from recount.publishing.history import past
from recount.store.dax import forget
from recount.store.erasures import Erasure
from recount.store.raw import RawStore
from recount.store.rule_versions import Versions
from recount.store.table import Key
from recount.store.tokens import Tokens

READERS_S: Final = 3.0  # a reader holds a root for a second or two


@dataclass
class Eraser:
    """Works on one order, in two turns: `rewrite` in the archiver's, then `show` in the publisher's.

    `letters` counts the dead letters that a tombstone takes. `progress` is told each step in words.
    """

    place: Workplace
    erasure: Erasure
    run_id: str
    letters: Callable[[Tombstone], int]
    progress: Callable[[str], object] = lambda text: None

    def rewrite(self) -> Erasure:
        """Close the door, then write raw items and archives anew."""
        self._begin()
        self._step("raw")
        for hour in self.erasure.raw_hours:
            self._raw.erase(hour)
        self._step("archive")
        rewrite_hours(
            self.place, self._tombstone, self.erasure.hours, self._add, lambda hour: self.progress(hour)
        )
        self.place.tombstones.put(msgspec.structs.replace(self._tombstone, rewritten=True))
        self._step("rewritten")
        return self.erasure

    def show(self) -> Erasure:
        """Publish the hours, delete whatever could show the data again, and prove that nothing is left.

        Raises Incomplete where something is.
        """
        self._step("history")
        candidates, closed = self._dropper.discard_candidates(), self._dropper.close_history()
        self._step("publish")
        self._publish()
        self._step("drop")
        stripped, emptied = self._dropper.strip_rollups(), self._dropper.empty_archives()
        salts = self._forget_site()
        self._step("verify")
        found = self._counts(stripped)
        found = replace(found, publications=closed, candidates=candidates, emptied=emptied, salts=salts)
        report = lines(self.erasure, found, self.place.settings)
        self._change(report=report)
        if self.erasure.left:
            named = ", ".join(f"{line.after} in {line.store}" for line in report if line.after)
            raise Incomplete(f"erasure {self.erasure.id} is not complete: {named}. Run it again: "
                             f"recount erase resume {self.erasure.id}")  # fmt: skip
        self.place.tombstones.put(msgspec.structs.replace(self._tombstone, done=True))
        self._change(state="done", step="done", done_ms=self.place.now_ms())
        return self.erasure

    @property
    def _tombstone(self) -> Tombstone:
        found = self.place.tombstones.get(self.erasure.id)
        if found is None:
            raise InvalidInput(
                f"erasure {self.erasure.id} is over: all copies have expired, and with them its tombstone",
                field="erasure",
            )
        return found

    @property
    def _raw(self) -> RawStore:
        return RawStore(self.place.tables.raw, self.place.settings, lambda: [self._tombstone])

    @property
    def _looker(self) -> Looker:
        place, tombstone = self.place, self._tombstone
        raw = RawStore(place.tables.raw, place.settings, lambda: [tombstone])
        sources = sorted(place.log.ranges())
        return Looker(
            *(tombstone, raw, place.archive, place.archive_sites),
            *(place.candidates, place.manifests, sources),
        )

    @property
    def _dropper(self) -> Dropper:
        place = self.place
        return Dropper(
            self.erasure,
            self._tombstone,
            place.manifests,
            place.segments,
            place.candidates,
            place.archive,
            place.archive_sites,
            place.reprocessings,
            place.settings.site_slots,
        )

    def _begin(self) -> None:
        """Look, once, before anything is touched; of an order that is done, again from the start."""
        erasure = self.erasure
        if erasure.state == "done":
            self._change(state="open", since_ms=0, figures={}, report=[], publication="")
        if not self.erasure.since_ms:
            self._change(since_ms=made_ms_of(new_id()))
        if erasure.what == "site":
            self._step("door")
            self.place.catalog.remove(erasure.site.id)
        if not self.erasure.figures:
            self._step("look")
            self.place.archive_sites.extend()
            found = self._looker.look()
            self._change(
                spans=hour_ranges({*erasure.hours, *found.hours}),
                raw_spans=hour_ranges({*erasure.raw_hours, *found.raw_hours}),
                figures=found.figures,
            )

    def _publish(self) -> None:
        found = publish_rewritten(self.place, self.erasure, self.run_id)
        if found is None:  # nothing was shown, or a run before this one died after its move
            own = (p for p in past(self.place.manifests) if p.cause == self.erasure.cause)
            found = next(own, None)
        current = self.place.manifests.current()
        if current is not None:  # the correction log compares with what is deleted next
            self.place.logbook.catch_up(self.place.manifests.publication(current.id))
        if found is not None:
            self._change(publication=found.id)
            self.place.sleep(READERS_S)

    def _forget_site(self) -> int:
        """What else is named after a site that is erased. Returns how many salts it had."""
        if self.erasure.what != "site":
            return 0
        for hour in (None, *sorted({*self.erasure.hours, *self.erasure.raw_hours})):
            self.place.raw.forget_letters(hour, self.erasure.site.id)
        self.place.logbook.log.forget(self.erasure.site.id)
        Versions(self.place.tables.catalog).forget(self.erasure.site.id)
        self.place.archive_sites.forget(self.erasure.site.id)
        self._close_tokens()
        return self.place.salts.destroy_site(self.erasure.site.id)

    def _close_tokens(self) -> None:
        """Those that open nothing but the site."""
        tokens = Tokens(self.place.tables.catalog)
        for token, _ in tokens.all():
            if token.sites == (self.erasure.site.id,):
                tokens.revoke(token.id, self.place.now_ms())

    def _counts(self, stripped: Stripped) -> Counts:
        looker, dropper = self._looker, self._dropper
        return Counts(
            raw_left=looker.left_in_raw(self.erasure.raw_hours),
            archive_left=looker.left_in_archive(),
            rollups_left=dropper.left_in_rollups() + looker.left_in_shown(self.erasure.hours),
            stripped_rows=stripped.rows,
            segments=len(stripped.keys),
            segments_left=dropper.left_in_table(),
            letters=self._letters(),
            forgotten=self._forgotten(stripped.keys),
            publications=0,
            candidates=0,
            emptied=0,
            salts=0,
        )

    def _letters(self) -> int | None:
        try:
            return self.letters(self._tombstone)
        except Unavailable as error:
            self.progress(f"dead letters are not counted: {error}")
            return None

    def _forgotten(self, keys: Sequence[Key]) -> str:
        """Have DAX forget deleted segments. Nobody asks for them any more, so it need not be there."""
        if not self.place.settings.dax:
            return "not used"
        if not keys:
            return "no segment was deleted"
        try:
            forget(self.place.settings, keys)
        except Unavailable as error:
            return f"keeps deleted segments, which nothing names, until their time in it is over: {error}"
        return f"{len(keys)} items of deleted segments forgotten"

    def _add(self, hour: str) -> None:
        self._change(spans=hour_ranges({*self.erasure.hours, hour}))

    def _step(self, name: str) -> None:
        self._change(step=name)
        self.progress(name)

    def _change(self, **fields: object) -> None:
        self.erasure = self.place.erasures.change(self.erasure, **fields)
