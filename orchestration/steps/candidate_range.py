"""A run's share of a reprocessing: hours archived again or not, folded, and kept beside what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec

from orchestration.resources import Workplace
from orchestration.steps.archive_hour import Archived
from orchestration.steps.archive_range import ArchivedRange, archive_range
from orchestration.steps.hours import with_followers
from orchestration.steps.rollup_range import Candidate, rollup_range
from recount.counting.fold import LOGIC_VERSION
from recount.errors import Incomplete
from recount.publishing.reprocessing import confirmed_of
from recount.store.archive import DRAFT_NOTE, ArchiveInfo
from recount.store.in_force import SitesInForce
from recount.store.manifests import Entry, Root
from recount.store.provenance import Provenance, period_key
from recount.store.reprocessings import HourDone, Reprocessing

NAMED_MAX = 10


@dataclass(frozen=True)
class Share:
    """What a run does of a reprocessing. `place` sees its drafts; `base` is what was published when the run
    began, before it took any events."""

    place: Workplace
    request: Reprocessing
    run_id: str
    base: Root | None

    @cached_property
    def done(self) -> dict[str, HourDone]:
        return self.place.reprocessings.hours(self.request.id)

    @cached_property
    def in_force(self) -> SitesInForce:
        """The rules that its hours are counted by."""
        return self.place.sites_in_force(self.request.rules)

    def entries(self, hours: Iterable[str]) -> dict[str, Entry]:
        """What was published of some hours, by hour."""
        keys = {period_key("hour", hour): hour for hour in hours}
        return {keys[key]: entry for key, entry in self.place.manifests.entries(self.base, keys).items()}

    def todo(self, hours: Sequence[str]) -> list[str]:
        """The hours that this reprocessing has no valid candidate of yet."""
        entries = self.entries(hours)
        return [hour for hour in hours if not self._is_valid(self.done.get(hour), entries.get(hour))]

    def _is_valid(self, done: HourDone | None, entry: Entry | None) -> bool:
        """Whether a candidate would be the same again: same base, same logic, same rules."""
        if done is None or done.base != confirmed_of(entry) or done.logic_version != LOGIC_VERSION:
            return False
        made = self.place.candidates.info("hour", done.hour, done.generation)
        return made is not None and self.in_force.has_counted(made)


@dataclass(frozen=True)
class Folded:
    """`kept`: hours whose candidates are there from an earlier run; `unpublished`: hours passed over because
    nothing is published of them."""

    candidates: list[Candidate]
    kept: list[str]
    unpublished: list[str]


def share_of(place: Workplace, asked: Reprocessing, run_id: str) -> Share:
    """A run's share, the request recorded if it is new. Raises InvalidInput for one that is not open."""
    request = place.reprocessings.join(asked)
    root = place.manifests.current()
    root_id = place.reprocessings.begin(request.id, run_id, "" if root is None else root.id)
    base = place.manifests.root(root_id) if root_id else None
    return Share(replace(place, draft=request.id), request, run_id, base)


def archive_share(
    share: Share, hours: Sequence[str], progress: Callable[[Archived], None] = lambda archived: None
) -> ArchivedRange | None:
    """Archive again, as drafts, the hours that have no candidate yet; None where there is nothing to do."""
    todo = share.todo(hours) if share.request.source == "raw" else []
    return archive_range(share.place, todo, share.run_id, progress=progress) if todo else None


def fold_share(
    share: Share, hours: Sequence[str], progress: Callable[[Candidate], None] = lambda candidate: None
) -> Folded:
    """Make the candidates that are missing and record each as soon as it is sealed, so that nothing is done
    twice after a crash. Raises Incomplete where the archive of an hour is gone."""
    infos, unpublished = _drafts(share, hours) if share.request.source == "raw" else _published(share, hours)
    entries = share.entries(info.hour for info in infos)
    bases = _bases(share, entries)

    def record(made: Candidate) -> None:
        hour = made.provenance.period
        share.place.reprocessings.put_hours(share.request.id, [_done(share, made, entries.get(hour))])
        progress(made)

    found = rollup_range(
        share.place,
        infos,
        share.run_id,
        reason=share.request.reason,
        only=share.request.sites,
        in_force=share.in_force,
        mark=lambda made: _marked(made, share.request, bases.get(made.period)),
        progress=record,
    )
    worked = {info.hour for info in infos}.union(unpublished)
    return Folded(found, [hour for hour in hours if hour not in worked], unpublished)


def _published(share: Share, hours: Sequence[str]) -> tuple[list[ArchiveInfo], list[str]]:
    """The archives that the published numbers come from, of the hours left to do."""
    todo = share.todo(hours)
    entries = share.entries(todo)
    made = share.place.manifests.provenance(
        (period_key("hour", hour), entry.confirmed) for hour, entry in entries.items()
    )
    sources = {p.period: p.archive for p in made.values() if p.archive is not None}
    infos = {hour: share.place.archive.info(s.hour, s.generation) for hour, s in sources.items()}
    gone = sorted(hour for hour, info in infos.items() if info is None)
    if gone:
        named = ", ".join(gone[:NAMED_MAX])
        raise Incomplete(f"the archive of {len(gone)} hours is gone ({named}): reprocess with --from-raw")
    found = [info for _, info in sorted(infos.items()) if info is not None]
    return found, [hour for hour in todo if hour not in infos]


def _drafts(share: Share, hours: Sequence[str]) -> tuple[list[ArchiveInfo], list[str]]:
    """The drafts of these hours and of those that followed from them, unless folded already.

    A site alone is never published of an hour of which nothing is published: the others would be missing.
    """
    id_ = share.request.id

    def is_ours(info: ArchiveInfo) -> bool:
        return info.notes.get(DRAFT_NOTE) == id_

    drafts = [info for info in with_followers(hours, share.place.archive.newest, is_ours) if is_ours(info)]
    todo = set(share.todo([info.hour for info in drafts]))
    infos = [i for i in drafts if i.hour in todo or share.done[i.hour].archive != i.generation]
    if not share.request.sites:
        return infos, []
    entries = share.entries(info.hour for info in infos)
    return [i for i in infos if i.hour in entries], [i.hour for i in infos if i.hour not in entries]


def _bases(share: Share, entries: Mapping[str, Entry]) -> dict[str, Provenance]:
    """What was confirmed for hours; needed only where some sites are done and the others stay."""
    if not share.request.sites:
        return {}
    infos = {hour: share.place.candidates.info("hour", hour, e.confirmed) for hour, e in entries.items()}
    return {hour: info for hour, info in infos.items() if info is not None}


def _marked(made: Provenance, request: Reprocessing, base: Provenance | None) -> Provenance:
    """A candidate of some sites says of the others what its base says, and promises no more of the hour's
    events than that one did: events of other sites beyond that cut are still to come."""
    made = msgspec.structs.replace(made, reprocessing=request.id)
    if not request.sites:
        return made
    own, common = (
        {site: version for site, version in rules.items() if site in request.sites}
        for rules in (made.rules, made.common)
    )
    made = msgspec.structs.replace(made, only=request.sites, rules=own, common=common)
    if base is None or base.archive is None or made.archive is None:
        return made
    return msgspec.structs.replace(
        made,
        archive=msgspec.structs.replace(made.archive, cut=base.archive.cut),
        carry_in=base.carry_in,
        carry_out=base.carry_out,
        open_until=base.open_until,
        ledger=base.ledger | made.ledger,
        rules=base.rules | made.rules,
        common=_others(base.common, made) | made.common,
    )


def _others(versions: Mapping[str, int], made: Provenance) -> dict[str, int]:
    """Without the sites that a candidate speaks for: what is not said of them is that they had none."""
    return {site: version for site, version in versions.items() if site not in made.only}


def _done(share: Share, made: Candidate, entry: Entry | None) -> HourDone:
    archive = made.provenance.archive
    return HourDone(
        hour=made.provenance.period,
        base=confirmed_of(entry),
        base_root="" if share.base is None else share.base.id,
        generation=made.provenance.generation,
        archive="" if archive is None else archive.generation,
        logic_version=made.provenance.logic_version,
        run_id=share.run_id,
        made_ms=made.provenance.made_ms,
    )
