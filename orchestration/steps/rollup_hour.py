"""Archived hours in, candidate rollups in the object store out, with their ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from orchestration.steps.archive_hour import OPEN_NOTE
from orchestration.steps.hours import carry_out
from recount.counting.fold import EVENT_FACTS, LOGIC_VERSION, Rollup, fold, merge
from recount.counting.rollup import VERDICT, joined
from recount.counting.rows import Table, sites_of
from recount.counting.visits import ARCHIVE_SCHEMA, VISIT_END_SCHEMA
from recount.ids import new_id
from recount.interpret import Interpreter
from recount.interpret.bots import HUMAN
from recount.ledger import ACCEPTED, BOT, COUNTED, DUPLICATE, ERASED, EXCLUDED, PENDING, QUARANTINED, Ledger
from recount.parallel import in_order
from recount.periods import HOUR_MS, hour_start_ms
from recount.rules import EVERY_SITE, EXCLUDED_PREFIX
from recount.store.archive import Archive, ArchiveInfo, Part
from recount.store.catalog import NO_COMMON, Site
from recount.store.objects import SiteRange
from recount.store.portions import Portion, Portions
from recount.store.provenance import NO_RULES, ArchiveSource, Provenance

SHARED_MAX_EVENTS: Final = (
    100_000  # of hours folded together: one call of the fold costs as much as 20,000 events
)
PORTION_EVENTS: Final = 1_000_000  # of sites folded together: what is worked on stays small
SITE_MAX_EVENTS: Final = 4_000_000  # a site with more in an hour is folded slot by slot, and merged

WHOLE_HOUR: Final = SiteRange("")

_COLUMNS: Final[dict[Part, dict[str, pl.DataType]]] = {
    "events": {name: ARCHIVE_SCHEMA[name] for name in EVENT_FACTS},
    "ends": VISIT_END_SCHEMA,
}


@dataclass(frozen=True)
class Task:
    """What one call of the fold takes: some sites of an hour with many events (of a site with very many one
    slot), or several hours with few."""

    hours: tuple[tuple[str, str], ...]  # (hour, archive generation)
    sites: SiteRange = WHOLE_HOUR
    slot: int | None = None

    @property
    def portion(self) -> Portion:
        return Portion(self.sites, self.slot)


class TaskFolder:
    """Folds tasks, several at a time if need be; one for all, so that user agents are interpreted once and
    an hour in portions is read once.

    `only`: these sites, all unless given.
    """

    def __init__(
        self, root: str, sites: Mapping[str, Site], tasks: Sequence[Task], only: Sequence[str] = ()
    ) -> None:
        self._archive = Archive(root)
        self._sites = sites
        self._only = sorted(only)
        self._interpreter = Interpreter()
        self._portions = {} if only else _portions_by_hour(self._archive, tasks)

    def fold(self, task: Task) -> dict[str, Rollup]:
        """The rollup of each hour of the task. The fold puts every row into its own hour, so many hours at
        once give the same as one after the other."""
        events, ends = self._read(task)
        present = sites_of(events) | sites_of(ends)
        # A site that has left the catalog keeps its history, counted as a new site is.
        sites = {name: self._sites.get(name) or Site(id=name, domain=name) for name in sorted(present)}
        sites[EVERY_SITE] = self._sites.get(EVERY_SITE, NO_COMMON)
        whole = fold(events, ends, sites, self._interpreter)
        return {hour: _within(whole, hour) if len(task.hours) > 1 else whole for hour, _ in task.hours}

    def _read(self, task: Task) -> tuple[Table, Table]:
        """The events and the visit ends of a task."""
        portions = self._portions.get(task.hours[0])
        if portions is not None:
            read = portions.take(task.portion)
            return read["events"], read["ends"]
        archive, slot = self._archive, task.slot
        wanted = task.sites.of(self._only) if self._only else task.sites
        events = [archive.read_events(*hour, slot, EVENT_FACTS, wanted) for hour in task.hours]
        ends = [archive.read_ends(*hour, slot, wanted) for hour in task.hours]
        return pl.concat(events), pl.concat(ends)


def _portions_by_hour(archive: Archive, tasks: Sequence[Task]) -> dict[tuple[str, str], Portions]:
    """Of the hours that have tasks of their own."""
    found: dict[tuple[str, str], list[Portion]] = {}
    for task in tasks:
        if len(task.hours) == 1:
            found.setdefault(task.hours[0], []).append(task.portion)
    return {hour: Portions(archive, *hour, portions, _COLUMNS) for hour, portions in found.items()}


def tasks_of(infos: Iterable[ArchiveInfo]) -> list[Task]:
    """The tasks of some hours, in their order, those of an hour in the order of its sites."""
    tasks: list[Task] = []
    few: list[tuple[str, str]] = []
    events = 0
    for info in infos:
        if few and events + info.events > SHARED_MAX_EVENTS:
            tasks.append(Task(tuple(few)))
            few, events = [], 0
        if info.events > SHARED_MAX_EVENTS:
            tasks += _portions(info)
        else:
            few.append((info.hour, info.generation))
            events += info.events
    return [*tasks, Task(tuple(few))] if few else tasks


def _portions(info: ArchiveInfo) -> Iterator[Task]:
    """An hour in ranges of sites. Together they hold every name: visits may end on sites without events."""
    sizes = {"": 0}  # of the ranges, by their first site
    last = ""
    for site, events in sorted(info.sites.items()):
        if sizes[last] and sizes[last] + events > PORTION_EVENTS:
            last = site
        sizes[last] = sizes.get(last, 0) + events
    for (first, events), end in zip(sizes.items(), [*list(sizes)[1:], None], strict=True):
        slots = sorted(info.slots) if events > SITE_MAX_EVENTS else [None]
        yield from (Task(((info.hour, info.generation),), SiteRange(first, end), slot) for slot in slots)


def fold_hours(
    infos: Sequence[ArchiveInfo],
    root: str,
    sites: Mapping[str, Site],
    *,
    workers: int | None = None,
    only: Sequence[str] = (),
) -> Iterator[tuple[ArchiveInfo, Rollup]]:
    """The rollup of each hour, in order, by `workers` threads (default: one a core).

    Nearly all of the fold runs without the interpreter's lock, and threads hand over nothing. `only`: the
    sites to fold, all unless given.
    """
    tasks = tasks_of(infos)
    yield from _gathered(infos, tasks, in_order(TaskFolder(root, sites, tasks, only).fold, tasks, workers))


def _gathered(
    infos: Sequence[ArchiveInfo], tasks: Sequence[Task], results: Iterable[dict[str, Rollup]]
) -> Iterator[tuple[ArchiveInfo, Rollup]]:
    """Each hour as soon as all of its parts are there."""
    by_hour = {info.hour: info for info in infos}
    missing = Counter(hour for task in tasks for hour, _ in task.hours)
    parts: dict[str, dict[SiteRange, list[Rollup]]] = {}
    for task, result in zip(tasks, results, strict=True):
        for hour, rollup in result.items():
            parts.setdefault(hour, {}).setdefault(task.sites, []).append(rollup)
            missing[hour] -= 1
            if not missing[hour]:
                yield by_hour[hour], joined([merge(found) for found in parts.pop(hour).values()])


def _within(rollup: Rollup, hour: str) -> Rollup:
    start = hour_start_ms(hour)
    inside = pl.col("at").is_between(start, start + HOUR_MS, closed="left")
    return Rollup(rollup.rows.filter(inside), rollup.revenue.filter(inside))


def rules_of(info: ArchiveInfo, rollup: Rollup, sites: Mapping[str, Site]) -> dict[str, int]:
    """The version of each site's own rules that an hour was folded by."""
    return {name: sites[name].rules_version for name in _present(info, rollup) if name in sites}


def common_of(info: ArchiveInfo, rollup: Rollup, sites: Mapping[str, Site]) -> dict[str, int]:
    """The version of the rules for all sites, by site; none while these say nothing yet."""
    version = sites.get(EVERY_SITE, NO_COMMON).rules_version
    return {} if version == NO_RULES else dict.fromkeys(_present(info, rollup), version)


def _present(info: ArchiveInfo, rollup: Rollup) -> list[str]:
    """The sites of an hour; visits may end on sites without events."""
    return sorted({*info.sites, *rollup.rows["site"].unique()})


def provenance(info: ArchiveInfo, before: ArchiveInfo | None, ledger: Ledger, rules: Mapping[str, int],
               common: Mapping[str, int], *, now_ms: int, run_id: str,
               reason: str) -> Provenance:  # fmt: skip
    """Where the candidate of an hour comes from. `before`: the archive whose carry the hour went on from."""
    return Provenance(
        kind="hour",
        period=info.hour,
        generation=new_id(),
        made_ms=now_ms,
        logic_version=LOGIC_VERSION,
        reason=reason,
        run_id=run_id,
        rules=dict(rules),
        common=dict(common),
        archive=ArchiveSource(hour=info.hour, generation=info.generation, cut=info.cut),
        carry_in=carry_out(before),
        carry_out=carry_out(info),
        ledger=ledger,
        open_until=int(info.notes[OPEN_NOTE]) if OPEN_NOTE in info.notes else None,
    )


def ledger_of(info: ArchiveInfo, rollup: Rollup) -> Ledger:
    """What became of the accepted events of each site of an hour."""
    verdicts = rollup.rows.filter(pl.col("dimension") == VERDICT)
    human = _accepted(verdicts.filter(pl.col("value") == HUMAN))
    excluded = _accepted(verdicts.filter(pl.col("value").str.starts_with(EXCLUDED_PREFIX)))
    every = _accepted(verdicts)
    return {
        site: {
            ACCEPTED: counts[ACCEPTED],
            COUNTED: human.get(site, 0),
            BOT: every.get(site, 0) - human.get(site, 0) - excluded.get(site, 0),
            EXCLUDED: excluded.get(site, 0),
            **{part: counts.get(part, 0) for part in (DUPLICATE, QUARANTINED, PENDING)},
            **({ERASED: counts[ERASED]} if ERASED in counts else {}),
        }
        for site, counts in sorted(info.ledger.items())
    }


def _accepted(rows: pl.DataFrame) -> dict[str, int]:
    counts = rows.group_by("site").agg(pl.col("accepted").sum()).sort("site")
    return dict(zip(counts["site"].to_list(), counts["accepted"].to_list(), strict=True))
