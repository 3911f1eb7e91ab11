"""One look around: what is wrong in the topics, the tables and the hours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from orchestration.alerts import problems
from orchestration.alerts.problems import Links, Problem, Severity
from orchestration.groups import GroupLag
from orchestration.resources import Workplace
from orchestration.steps.completeness import Interval
from orchestration.steps.cut import key, source_of
from orchestration.steps.reconcile import State, Waiting, hour_end_ms, look
from orchestration.steps.spool_gaps import SpoolWatch, watch_spools
from recount.errors import Unavailable
from recount.kafka import IMPORTS
from recount.periods import FIRST_HOUR, hour_of
from recount.settings import Settings
from recount.store.provenance import period_key

IMPORT_PATIENCE: Final = 10  # an import is bulk: its group may be so many times further behind
CRITICAL_LATER: Final = 3  # times the first threshold
HOLES_TOLD_MS: Final = 7 * 86_400_000
DISAGREEMENTS_TOLD_MS: Final = 86_400_000
STORED: Final = (
    *(problems.GAP, problems.HOLE, problems.UNPUBLISHED, problems.STALE),
    problems.SPOOL_GAP,
    problems.DISAGREES,
)


class Growth(msgspec.Struct, kw_only=True):
    """A number that should not grow: by how much it did lately, since when and until when (ms UTC)."""

    fresh: int = 0
    since_ms: int = 0
    newest_ms: int = 0

    def note(self, fresh: int, now_ms: int, settle_ms: int) -> None:
        """It goes on for the settling time after the newest."""
        if fresh > 0:
            self.fresh += fresh
            self.since_ms, self.newest_ms = self.since_ms or now_ms, now_ms
        elif now_ms - self.newest_ms > settle_ms:
            self.fresh = self.since_ms = 0


class Watch(msgspec.Struct, kw_only=True):
    """What the next look has to know of this one, all moments in ms UTC.

    `hours`: see `steps.reconcile`; `gaps` and `away`: first seen, by name; `letters`: dead letters known;
    `spools_ms`: since when numbers of spools are missing (0: none is); `denied`: what DAX has denied, by
    dashboard.
    """

    hours: State = msgspec.field(default_factory=State)
    gaps: dict[str, int] = {}
    away: dict[str, int] = {}
    letters: int = -1
    new_letters: Growth = msgspec.field(default_factory=Growth)
    spools: SpoolWatch = msgspec.field(default_factory=SpoolWatch)
    spools_ms: int = 0
    denied: dict[str, int] = {}
    new_denied: Growth = msgspec.field(default_factory=Growth)


@dataclass
class Found:
    """What is wrong, and the families of problems that could be looked for."""

    problems: list[Problem] = field(default_factory=list)
    checked: set[str] = field(default_factory=set)


def look_around(place: Workplace, watch: Watch, links: Links) -> Found:
    """Changes `watch`. What cannot be reached is itself a problem, once it lasts."""
    found, now_ms = Found(), place.now_ms()
    away: dict[str, str] = {}
    for families, work in (((problems.LAG, problems.DEAD), _topics), (STORED, _stored)):
        try:
            found.problems += work(place, watch, links, now_ms)
        except Unavailable as error:
            away[error.part] = str(error)
        else:
            found.checked.update(families)
    found.problems += _denied(place, watch, links, now_ms)
    found.checked.add(problems.DENIED)
    watch.away = {part: watch.away.get(part, now_ms) for part in away}
    found.checked.add(problems.AWAY)
    settle_ms = place.settings.alert_settle_s * 1000
    found.problems += [
        problems.away(part, away[part], since_ms, links)
        for part, since_ms in watch.away.items()
        if now_ms - since_ms >= settle_ms
    ]
    return found


def severity_of(lag: GroupLag, settings: Settings) -> Severity | None:
    """None for a group that keeps up."""
    patience = IMPORT_PATIENCE if lag.topics == (IMPORTS,) else 1

    def beyond(records: int, seconds: int) -> bool:
        return lag.records >= records * patience or lag.seconds >= seconds * patience

    if beyond(settings.alert_lag_critical_records, settings.alert_lag_critical_s):
        return "critical"
    warns = beyond(settings.alert_lag_warning_records, settings.alert_lag_warning_s)
    return "warning" if warns else None


def _topics(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    judged = [(lag, severity_of(lag, place.settings)) for lag in place.groups.lags(now_ms)]
    found = [problems.lag(lag, severity, now_ms, links) for lag, severity in judged if severity is not None]
    return found + _dead_letters(place, watch, links, now_ms)


def _dead_letters(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    letters = place.groups.dead_letters()
    fresh = letters - watch.letters if watch.letters >= 0 else 0
    watch.letters, new = letters, watch.new_letters
    new.note(fresh, now_ms, place.settings.alert_settle_s * 1000)
    return [problems.dead_letters(new.fresh, new.since_ms, links)] if new.fresh else []


def _denied(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    denied = place.readers.denied()
    fresh = sum(max(0, count - watch.denied.get(name, 0)) for name, count in denied.items())
    watch.denied, new = denied, watch.new_denied
    new.note(fresh, now_ms, place.settings.alert_settle_s * 1000)
    return [problems.dax_denies(new.fresh, new.since_ms, links)] if new.fresh else []


def _stored(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    return [
        *_gaps(place, watch, links, now_ms),
        *_holes(place, links, now_ms),
        *_hours(place, watch, links, now_ms),
        *_spools(place, watch, links, now_ms),
        *_disagreements(place, links, now_ms),
    ]


def _disagreements(place: Workplace, links: Links, now_ms: int) -> list[Problem]:
    """Hours published lately in which live and published differ for no known reason."""
    hours = hour_of(now_ms - DISAGREEMENTS_TOLD_MS), hour_of(now_ms)
    found = place.reconciliations.summaries(*hours)
    return [problems.disagrees(hour, links) for hour in found if hour.unexplained_events]


def _spools(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    watch_spools(watch.spools, place.raw, place.log, place.spools, place.proven.spans())
    watch.spools_ms = (watch.spools_ms or now_ms) if watch.spools.lost else 0
    if not watch.spools_ms or now_ms - watch.spools_ms < place.settings.alert_settle_s * 1000:
        return []
    return [problems.spool_gap(watch.spools.lost, watch.spools_ms, links)]


def _gaps(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    """Offsets without a receipt below others that have one: not a lag, something was passed over."""
    open_gaps = {
        f"{key(source)}#{start}": Interval(source, start, stop)
        for source, (_, end) in sorted(place.log.ranges().items())
        for start, stop in place.raw.missing(source, min(place.proven.offset(source), end), end)
        if stop < end
    }
    watch.gaps = {name: watch.gaps.get(name, now_ms) for name in open_gaps}
    patience_ms = place.settings.alert_settle_s * 1000
    lasting = [name for name, since_ms in watch.gaps.items() if now_ms - since_ms >= patience_ms]
    if not lasting:
        return []
    since_ms = min(watch.gaps[name] for name in lasting)
    return [problems.receipts_gap([open_gaps[name] for name in lasting], since_ms, links)]


def _holes(place: Workplace, links: Links, now_ms: int) -> list[Problem]:
    return [
        problems.hole(lost, found_ms, links)
        for lost, found_ms in place.proven.holes_found()
        if now_ms - found_ms < HOLES_TOLD_MS
    ]


def _hours(place: Workplace, watch: Watch, links: Links, now_ms: int) -> list[Problem]:
    sources, holes = sorted(place.log.ranges()), place.proven.spans()
    watch.hours = look(watch.hours, place.raw, place.manifests, sources, holes)
    waiting = {hour: w for hour, w in watch.hours.waiting.items() if hour >= FIRST_HOUR and not w.carry}
    shown = _published(place, waiting)
    first_ms = place.settings.alert_hour_late_s * 1000
    late = {hour: _expected_ms(hour, w, place.settings) for hour, w in waiting.items() if hour not in shown}
    late = {hour: since_ms for hour, since_ms in late.items() if now_ms - since_ms >= first_ms}
    behind = {h: w.since_ms + _import_wait_ms(w, place.settings) for h, w in waiting.items() if h in shown}
    behind = {h: ms for h, ms in behind.items() if now_ms - ms >= place.settings.alert_stale_s * 1000}
    found = []
    if late:
        since_ms = min(late.values())
        severity: Severity = "critical" if now_ms - since_ms >= CRITICAL_LATER * first_ms else "warning"
        found.append(problems.unpublished(sorted(late), severity, since_ms, links))
    if behind:
        found.append(problems.stale(sorted(behind), min(behind.values()), links))
    return found


def _published(place: Workplace, hours: Iterable[str]) -> set[str]:
    """The hours that show numbers for good."""
    keys = {period_key("hour", hour): hour for hour in hours}
    entries = place.manifests.entries(place.manifests.current(), keys)
    return {keys[name] for name, entry in entries.items() if entry.open_until is None}


def _expected_ms(hour: str, waiting: Waiting, settings: Settings) -> int:
    """From when on an hour is late: its end, or when its first events had come, and their import was over."""
    return max(hour_end_ms(hour), waiting.since_ms + _import_wait_ms(waiting, settings))


def _import_wait_ms(waiting: Waiting, settings: Settings) -> int:
    """An import is published when it is over, and is not late until then."""
    bulk = any(source_of(name)[0] == IMPORTS for name in waiting.last)
    return settings.import_patience_s * 1000 if bulk else 0
