"""Shows the candidates of a reprocessing, all or none, if nothing they were computed against has moved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from recount.errors import Conflict, Incomplete, InvalidInput
from recount.periods import hour_of, hours_in
from recount.publishing.publisher import HourCandidate, Publisher
from recount.publishing.review import Review
from recount.store.archive import Archive
from recount.store.candidates import Candidates
from recount.store.manifests import Entry, Manifests, Publication
from recount.store.provenance import Provenance, period_key
from recount.store.reprocessings import HourDone, Reprocessing, Reprocessings
from recount.store.rulebook import Rulebook, past_spans

NAMED_MAX: Final = 10
CAUSE: Final = "reprocessing/"


def confirmed_of(entry: Entry | None) -> str:
    """The base of a candidate: the generation confirmed for its period; empty where nothing is published."""
    return "" if entry is None else entry.confirmed


@dataclass(frozen=True)
class BaseChange:
    """An hour that was published again since its candidate was computed. `why` is for people."""

    hour: str
    base: str
    now: str
    why: str

    def __str__(self) -> str:
        return f"{self.hour}: {self.why}"


class BaseChanged(Conflict):
    """Hours moved under a candidate; computing these again (`recount reprocess resume`) makes it fit."""

    def __init__(self, request_id: str, changes: Sequence[BaseChange]) -> None:
        named = "\n".join(f"  {change}" for change in changes[:NAMED_MAX])
        more = f"\n  and {len(changes) - NAMED_MAX} more" if len(changes) > NAMED_MAX else ""
        super().__init__(
            f"Published again since reprocessing {request_id} computed {_hours(len(changes))}:\n"
            f"{named}{more}\nCompute them again, then publish: recount reprocess resume {request_id}"
        )
        self.changes = list(changes)


@dataclass(frozen=True)
class Corrections:
    """The publisher of reprocessings."""

    publisher: Publisher
    manifests: Manifests
    candidates: Candidates
    archive: Archive
    reprocessings: Reprocessings
    review: Review
    rulebook: Rulebook
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def publish(self, request_id: str, run_id: str = "") -> Publication:
        """One move of the pointer; the rules that the candidates were counted by then come into force. Doing
        it again finds it done, or goes on where it stopped.

        Raises BaseChanged naming each hour and what happened to it, NeedsApproval where totals move too far
        to go unapproved, Incomplete where hours are not computed yet, Conflict where the rules are not the
        draft any more, InvalidInput for a reprocessing that is discarded, published or empty.
        """
        request = self.reprocessings.get(request_id)
        if request.state == "published":
            return self.manifests.publication(request.publication)
        request = self.reprocessings.open(request_id)
        done = self.reprocessings.hours(request_id)
        self.check(request, done)
        self.review.check(request)
        for hour in done.values():
            if hour.archive:
                self.archive.adopt(hour.hour, hour.archive)
        wanted = [HourCandidate(h.hour, h.generation, h.base) for h in done.values()]
        cause = CAUSE + request.id
        publication = self.publisher.publish(wanted, request.reason, run_id, cause=cause)
        if publication.cause != cause:  # a run before this one died after its move
            publication = self._move_of(cause, publication)
        spans = past_spans(request.spans, until_now=request.until_now)
        for site, version in request.rules.items():
            how = f"publication {publication.id}"
            self.rulebook.bring_into_force(site, version, spans, how=how, now_ms=self.now_ms())
        self.reprocessings.change(request, state="published", publication=publication.id)
        return publication

    def check(self, request: Reprocessing, done: Mapping[str, HourDone]) -> None:
        """Raises what `publish` would, before anything is written."""
        if not done:
            raise InvalidInput(
                f"reprocessing {request.id} has no candidate yet: recount reprocess resume {request.id}",
                field="reprocessing",
            )
        for site, version in request.rules.items():
            self.rulebook.check(site, version)
        entries = self._entries([*done, *self.asked(request)])
        missing = _missing(done, entries)
        if missing:
            raise Incomplete(
                f"reprocessing {request.id} lacks {_hours(len(missing))}, the first is {missing[0]}: "
                f"recount reprocess resume {request.id}"
            )
        changes = self.base_changes(done, entries)
        if changes:
            raise BaseChanged(request.id, changes)

    def outdated(self, request: Reprocessing, done: Mapping[str, HourDone]) -> list[str]:
        """The hours that have to be computed, or computed again, before it can be published."""
        entries = self._entries([*done, *self.asked(request)])
        moved = [change.hour for change in self.base_changes(done, entries)]
        return sorted({*_missing(done, entries), *moved})

    def asked(self, request: Reprocessing) -> list[str]:
        """The hours that a reprocessing has to have candidates of, if they are published."""
        if request.source == "rollback":
            return []
        running = hour_of(self.now_ms())
        later = hours_in((request.last, running)) if request.until_now and request.last < running else []
        return sorted({*request.hours, *later})

    def base_changes(self, done: Mapping[str, HourDone], entries: Mapping[str, Entry]) -> list[BaseChange]:
        """The hours that show something else than they did when their candidates were computed."""
        moved = [
            hour
            for hour in done.values()
            if confirmed_of(entries.get(hour.hour)) not in (hour.base, hour.generation)
        ]
        names = [
            (period_key("hour", hour.hour), generation)
            for hour in moved
            for generation in (hour.base, confirmed_of(entries.get(hour.hour)))
            if generation
        ]
        known = self.manifests.provenance(names)
        return [self._change(hour, entries.get(hour.hour), known) for hour in moved]

    def _change(
        self, hour: HourDone, entry: Entry | None, known: Mapping[tuple[str, str], Provenance]
    ) -> BaseChange:
        key, now = period_key("hour", hour.hour), confirmed_of(entry)
        why = what_changed(known.get((key, hour.base)), known.get((key, now)))
        return BaseChange(hour.hour, hour.base, now, why)

    def _entries(self, hours: Iterable[str]) -> dict[str, Entry]:
        keys = {period_key("hour", hour): hour for hour in hours}
        found = self.manifests.entries(self.manifests.current(), keys)
        return {keys[key]: entry for key, entry in sorted(found.items())}

    def _move_of(self, cause: str, current: Publication) -> Publication:
        """The newest publication with a cause; the current one where all was shown by others already."""
        for root in self.manifests.history(limit=1_000):
            found = self.manifests.publication(root.id)
            if found.cause == cause:
                return found
        return current


def _missing(done: Mapping[str, HourDone], entries: Mapping[str, Entry]) -> list[str]:
    return [hour for hour in entries if hour not in done]


def _hours(count: int) -> str:
    return "1 hour" if count == 1 else f"{count} hours"


def what_changed(base: Provenance | None, now: Provenance | None) -> str:
    """Why an hour shows another generation than it did, in words."""
    if now is None:
        return "is no longer published"
    facts = [f"published again for {now.reason!r} (generation {now.generation}, run {now.run_id or 'none'})"]
    if base is None:
        return facts[0]
    if base.logic_version != now.logic_version:
        facts.append(f"logic {base.logic_version} -> {now.logic_version}")
    if base.archive is not None and now.archive is not None:
        before, after = base.archive.cut, now.archive.cut
        more = [f"{s} +{o - before.get(s, 0)}" for s, o in after.items() if o > before.get(s, 0)]
        if more:
            facts.append(f"events read beyond the candidate's base: {', '.join(more[:NAMED_MAX])}")
    return "; ".join(facts)
