"""Undoes a publication.

Where nothing later touched what it moved, nor made a month of it, the pointer moves back and readers see the
very segments that they saw before. Else the rows shown before it become the candidates of a reprocessing, for
the sites that nothing later changed, computed against the present and published like any other: what came
later is never erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from recount.counting.rollup import empty
from recount.errors import InvalidInput
from recount.ids import new_id, short_id
from recount.keys import site_slot
from recount.periods import hour_ranges
from recount.publishing import history
from recount.publishing.draft import Draft
from recount.publishing.publisher import Publisher
from recount.publishing.reprocessing import CAUSE as REPROCESSED
from recount.store.candidates import Candidates
from recount.store.erasures import CAUSE as ERASURE
from recount.store.manifests import Entry, Manifests, Moved, Publication
from recount.store.provenance import Kind, Provenance, period_key
from recount.store.reprocessings import HourDone, Reprocessing, Reprocessings
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore

CAUSE: Final = "rollback/"
NAMED_MAX: Final = 10


@dataclass(frozen=True)
class Plan:
    """What undoing a publication takes. `later`: publications that touched what it moved or made a month
    of it, newest first."""

    publication: Publication
    later: list[Publication]

    @property
    def is_pure(self) -> bool:
        """Whether the pointer can simply move back."""
        return not self.later


@dataclass(frozen=True)
class Rollbacks:
    """Undoes publications; one at a time, like every move."""

    publisher: Publisher
    manifests: Manifests
    candidates: Candidates
    segments: SegmentStore
    reprocessings: Reprocessings
    rulebook: Rulebook
    site_slots: int

    def plan(self, name: str) -> Plan:
        """Raises InvalidInput for a publication that is unknown, moved nothing, is undone already, or showed
        what was erased since."""
        publication = history.find(self.manifests, name)
        _check_erased(publication)
        if not publication.moved:
            raise InvalidInput(f"publication {publication.id} changed no numbers", field="publication")
        entries = self.manifests.entries(self.manifests.current(), publication.moved)
        if all(_shows(entries, key, moved.before) for key, moved in publication.moved.items()):
            detail = f"publication {publication.id} is undone: what was shown before it is shown now"
            raise InvalidInput(detail, field="publication")
        is_shown = all(_shows(entries, key, moved.after) for key, moved in publication.moved.items())
        if is_shown and not self._months_made_since(publication):
            return Plan(publication, [])
        after = history.later_than(self.manifests, publication.id)
        return Plan(publication, [other for other in after if _meet(publication, other)])

    def _months_made_since(self, publication: Publication) -> bool:
        """Whether a month that had not ended then holds days that it moved."""
        months = {
            month: slots for month, slots in _months(publication).items() if month not in publication.moved
        }
        entries = self.manifests.entries(self.manifests.current(), months)
        return any(entry.generation(s) is not None for m, entry in entries.items() for s in months[m])

    def undo(
        self, name: str, *, reason: str, by: str, now_ms: int, run_id: str = ""
    ) -> Publication | Reprocessing:
        """The publication that undid it, or the reprocessing that is to be looked at and published.

        Rules that came into force with the publication are withdrawn with it, but only by a move back. Raises
        InvalidInput as `plan` does, and where the files of what was shown before are deleted.
        """
        plan = self.plan(name)
        self._check_files(plan.publication)
        if plan.is_pure:
            for site, version in self.rules(plan.publication).items():
                self.rulebook.withdraw(site, version, now_ms)
            return self._move_back(plan.publication, reason, run_id, now_ms)
        return self._candidate(plan, reason, by, run_id, now_ms)

    def rules(self, publication: Publication) -> dict[str, int]:
        """The versions of rules that came into force with a publication, by site."""
        kind, _, name = publication.cause.partition("/")
        request = self.reprocessings.find(name) if f"{kind}/" == REPROCESSED else None
        return {} if request is None else request.rules

    def _check_files(self, publication: Publication) -> None:
        for key, moved in publication.moved.items():
            kind, _, period = key.partition("/")
            for generation in {g for g in moved.before.values() if g is not None}:
                if self.candidates.info(cast("Kind", kind), period, generation) is None:
                    raise InvalidInput(
                        f"what {key} showed before publication {publication.id} was deleted when it was no "
                        "longer needed: compute these hours again with `recount reprocess`",
                        field="publication",
                    )

    def _move_back(self, publication: Publication, reason: str, run_id: str, now_ms: int) -> Publication:
        cause = CAUSE + publication.id

        def fill(draft: Draft) -> bool:
            entries = draft.entries(publication.moved)
            for key, moved in publication.moved.items():
                if not _shows(entries, key, moved.after):
                    raise InvalidInput(f"{key} has moved since; ask again", field="publication")
                mark = self._mark(key, entries[key], moved)
                mark = msgspec.structs.replace(
                    mark, made_ms=now_ms, reason=reason, run_id=run_id, reprocessing=cause
                )
                self.candidates.write(empty(), mark)
                draft.restore(mark, moved.before, publication.sites.get(key, []))
            return True

        return self.publisher.move(fill, reason, run_id, cause)

    def _mark(self, key: str, entry: Entry, moved: Moved) -> Provenance:
        """A generation without rows of its own that says: looked at again, and decided to go back.

        The cut and the carries stay those of the present, so that nothing is published again by itself but
        for events that are still to come.
        """
        kind, period = _split(key)
        old = next((g for _, g in sorted(moved.before.items()) if g is not None), entry.confirmed)
        known = self.manifests.provenance({(key, entry.confirmed), (key, old)})
        now, before = known[key, entry.confirmed], known[key, old]
        said = self.candidates.info(kind, period, entry.confirmed) or now
        return msgspec.structs.replace(
            now,
            generation=new_id(),
            logic_version=before.logic_version,
            open_until=before.open_until,
            only=[],
            children={},
            ledger=said.ledger,
            rules=said.rules,
            common=said.common,
            publication="",
            published_ms=0,
        )

    def _candidate(self, plan: Plan, reason: str, by: str, run_id: str, now_ms: int) -> Reprocessing:
        """What it changed alone goes back, what others changed since stays."""
        root = self.manifests.current()
        hours = {key: moved for key, moved in plan.publication.moved.items() if key.startswith("hour/")}
        entries = self.manifests.entries(root, hours)
        back = {key: _alone(plan, key) for key in hours}
        if not any(back.values()):
            names = ", ".join(other.id for other in plan.later[:NAMED_MAX])
            raise InvalidInput(
                f"everything that publication {plan.publication.id} changed was changed again by {names}: "
                "undo these first, or compute the hours again with `recount reprocess`",
                field="publication",
            )
        periods = [_split(key)[1] for key, sites in back.items() if sites]
        request = Reprocessing(
            id=short_id(now_ms),
            spans=hour_ranges(periods),
            source="rollback",
            reason=reason,
            requested_by=by,
            requested_ms=now_ms,
            sites=sorted({site for sites in back.values() for site in sites}),
            undoes=plan.publication.id,
            notes=_left_out(plan, back),
        )
        self.reprocessings.add(request)
        base_root = "" if root is None else root.id
        for key, sites in back.items():
            if sites:
                made = self._restored(key, hours[key], sites, entries[key], request, run_id)
                self.reprocessings.put_hours(request.id, [_done(made, entries[key].confirmed, base_root)])
        return request

    def _restored(
        self, key: str, moved: Moved, sites: list[str], entry: Entry, request: Reprocessing, run_id: str
    ) -> Provenance:
        """The rows that sites had before, as a candidate for the hour as it is now."""
        kind, period = _split(key)
        rows: dict[tuple[Kind, str, str], list[str]] = {}
        places = self.segments.located([(key, s, g) for s, g in moved.before.items() if g is not None])
        for site in sites:
            slot = site_slot(site, self.site_slots)
            generation = moved.before.get(slot)
            place = None if generation is None else places[key, slot, generation].get(site)
            if place is not None:
                rows.setdefault((kind, period, place.generation), []).append(site)
        now = self.manifests.provenance([(key, entry.confirmed)])[key, entry.confirmed]
        said = self.candidates.info(kind, period, entry.confirmed) or now
        older = [self.candidates.info(kind, period, generation) for _, _, generation in rows]
        before = [info for info in older if info is not None]
        made = msgspec.structs.replace(
            now,
            generation=new_id(),
            made_ms=request.requested_ms,
            logic_version=min((info.logic_version for info in before), default=now.logic_version),
            reason=request.reason,
            run_id=run_id,
            only=sites,
            reprocessing=request.id,
            publication="",
            published_ms=0,
            ledger=said.ledger | _of(sites, (info.ledger for info in before)),
            rules=said.rules | _of(sites, (info.rules for info in before)),
            common={site: version for site, version in said.common.items() if site not in sites}
            | _of(sites, (info.common for info in before)),
        )
        return self.candidates.write(self.candidates.read_counted(rows), made)


def _check_erased(publication: Publication) -> None:
    """What was erased is not there to be shown again."""
    own = publication.cause.startswith(ERASURE)
    if own or publication.erased:
        erasure = publication.erased or publication.cause.removeprefix(ERASURE)
        what = "carried out" if own else "lies before"
        raise InvalidInput(
            f"publication {publication.id} {what} erasure {erasure}, so it cannot be undone: what it changed "
            "is not there any more. Compute the hours again with `recount reprocess`, from what is left",
            field="publication",
        )


def _shows(entries: Mapping[str, Entry], key: str, generations: Mapping[int, str | None]) -> bool:
    entry = entries.get(key)
    return all((entry.generation(s) if entry else None) == g for s, g in generations.items())


def _meet(one: Publication, other: Publication) -> bool:
    """Whether the other moved something that one did, or made a month of it."""
    slots = {key: set(moved.after) for key, moved in one.moved.items()}
    for month, of_days in _months(one).items():
        slots.setdefault(month, of_days)
    return any(not slots[key].isdisjoint(moved.after) for key, moved in other.moved.items() if key in slots)


def _months(publication: Publication) -> dict[str, set[int]]:
    """The months of the days that a publication moved, and in which slots."""
    found: dict[str, set[int]] = {}
    for key, moved in publication.moved.items():
        kind, period = _split(key)
        if kind == "day":
            found.setdefault(period_key("month", period[:7]), set()).update(moved.after)
    return found


def _alone(plan: Plan, key: str) -> list[str]:
    """The sites that a publication changed in a period, and nobody since."""
    later = {site for other in plan.later for site in other.sites.get(key, [])}
    return [site for site in plan.publication.sites.get(key, []) if site not in later]


def _left_out(plan: Plan, back: Mapping[str, list[str]]) -> list[str]:
    left = {key: sorted({*plan.publication.sites.get(key, [])} - {*sites}) for key, sites in back.items()}
    lines = [f"{key} stays for {', '.join(sites[:NAMED_MAX])}" for key, sites in left.items() if sites]
    more = [f"and {len(lines) - NAMED_MAX} hours more"] if len(lines) > NAMED_MAX else []
    return [f"changed again since, so left as it is: {line}" for line in lines[:NAMED_MAX]] + more


def _of(sites: Iterable[str], parts: Iterable[Mapping[str, object]]) -> dict[str, object]:
    wanted = set(sites)
    return {site: value for part in parts for site, value in part.items() if site in wanted}


def _split(key: str) -> tuple[Kind, str]:
    kind, _, period = key.partition("/")
    return cast("Kind", kind), period


def _done(made: Provenance, base: str, base_root: str) -> HourDone:
    return HourDone(
        hour=made.period,
        base=base,
        base_root=base_root,
        generation=made.generation,
        archive="",
        logic_version=made.logic_version,
        run_id=made.run_id,
        made_ms=made.made_ms,
    )
