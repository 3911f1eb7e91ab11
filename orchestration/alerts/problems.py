"""What can be wrong, in words: every text of an alert is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from orchestration.groups import GroupLag
from orchestration.steps.completeness import Interval, in_words
from recount.seqs import Range
from recount.store.reconciliations import HourSummary

Severity = Literal["warning", "critical"]
Event = Literal["open", "over"]
NAMED_MAX: Final = 10
WHY_MAX_CHARS: Final = 600

LAG: Final = "lag"
UNPUBLISHED: Final = "unpublished_hours"
STALE: Final = "stale_hours"
GAP: Final = "receipts_gap"
HOLE: Final = "hole"
DEAD: Final = "dead_letters"
RUN: Final = "run"
AWAY: Final = "away"
DENIED: Final = "dax_denies"
SPOOL_GAP: Final = "spool_gap"
DISAGREES: Final = "live_disagrees"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong now.

    `key` is the same as long as it is the same thing: its family, or `family/name`. `since_ms` is when it
    began as far as is known; `link` is where to look. One that never mends (`recovers` False) is told once
    and not said to be over.
    """

    key: str
    severity: Severity
    since_ms: int
    title: str
    what: str
    todo: str
    link: str
    recovers: bool = True

    @property
    def family(self) -> str:
        return self.key.partition("/")[0]


@dataclass(frozen=True)
class Links:
    """Where to look: pages of Dagster."""

    dagster_url: str

    def run(self, run_id: str) -> str:
        return f"{self.dagster_url}/runs/{run_id}"

    def asset(self, *path: str) -> str:
        return f"{self.dagster_url}/assets/{'/'.join(path)}"


def lag(found: GroupLag, severity: Severity, now_ms: int, links: Links) -> Problem:
    return Problem(
        key=f"{LAG}/{found.group}",
        severity=severity,
        since_ms=now_ms - int(found.seconds * 1000),
        title=f"{found.group} is behind",
        what=f"Consumer group {found.group} has {found.records:,} records of {', '.join(found.topics)} "
        f"before it; the oldest has waited {_duration(found.seconds)}.",
        todo="See that its process runs and what it logs (recount status, recount logs). If it works but is "
        "too slow, give it more instances. Nothing is lost while the topic keeps its records.",
        link=links.asset("topics", found.topics[0]),
    )


def unpublished(hours: Sequence[str], severity: Severity, since_ms: int, links: Links) -> Problem:
    return Problem(
        key=UNPUBLISHED,
        severity=severity,
        since_ms=since_ms,
        title=f"{_count(hours, 'hour')} not published",
        what=f"There are events of {_named(hours)}, the hour is over, and no exact numbers are shown for it. "
        "The dashboard shows live numbers there.",
        todo="Open the failed or waiting run and do what its checks say; if there is none, see that "
        "Dagster's daemon and the sensor `reconcile` run. The hour is published by itself once the cause is "
        "gone.",
        link=links.asset("published_hours"),
    )


def stale(hours: Sequence[str], since_ms: int, links: Links) -> Problem:
    return Problem(
        key=STALE,
        severity="warning",
        since_ms=since_ms,
        title=f"{_count(hours, 'published hour')} with events that are not in it yet",
        what=f"Late events have come for {_named(hours)} and are stored, but the published numbers are "
        "still without them.",
        todo="See that the sensor `reconcile` runs and what its last ticks say; materialise the hours by "
        "hand if it keeps leaving them.",
        link=links.asset("published_hours"),
    )


def receipts_gap(gaps: Sequence[Interval], since_ms: int, links: Links) -> Problem:
    return Problem(
        key=GAP,
        severity="critical",
        since_ms=since_ms,
        title="records of the topic are not stored, though later ones are",
        what=f"No receipt covers {in_words(gaps[:NAMED_MAX])}. No hour that needs them is published before "
        "they are stored.",
        todo="See what store_batches logs about these offsets. The next run of an hour reads them again from "
        "Kafka by itself, as long as the topic keeps them.",
        link=links.asset("tables", "raw"),
    )


def hole(lost: Interval, found_ms: int, links: Links) -> Problem:
    return Problem(
        key=f"{HOLE}/{lost.source[0]}/{lost.source[1]}/{lost.start}",
        severity="critical",
        since_ms=found_ms,
        title="events are lost",
        what=f"{lost} were gone from Kafka before they were stored. Their hours are published without them, "
        "and `receipts_complete` shows the hole.",
        todo="Find out why store_batches stood still longer than the topic keeps records, and raise "
        "RECOUNT_KAFKA_RETENTION_MS if that can happen again.",
        link=links.asset("event_archive"),
        recovers=False,
    )


def spool_gap(lost: Mapping[str, Sequence[Range]], since_ms: int, links: Links) -> Problem:
    count = sum(end - start + 1 for ranges in lost.values() for start, end in ranges)
    named = [f"{spool} {_ranges(ranges)}" for spool, ranges in sorted(lost.items())]
    return Problem(
        key=SPOOL_GAP,
        severity="critical",
        since_ms=since_ms,
        title=f"{count:,} accepted events did not arrive",
        what="The door gave them numbers that are neither stored nor in quarantine: "
        f"{'; '.join(named[:NAMED_MAX])}.",
        todo="If a machine that collects is down or its shipper stands still, start it: its spool is shipped "
        "to its end. If the spool is gone, the events are lost; look for the cause at its disk and log.",
        link=links.asset("edge", "ingest"),
    )


def disagrees(found: HourSummary, links: Links) -> Problem:
    sites = ", ".join(f"{site} ({count:,})" for site, count in [*found.unexplained.items()][:NAMED_MAX])
    return Problem(
        key=f"{DISAGREES}/{found.hour}",
        severity="warning",
        since_ms=found.at_ms,
        title=f"live and published do not agree about {found.hour}",
        what=f"When the hour was published, {found.unexplained_events:,} events of "
        f"{found.unexplained_sites:,} sites differed from what live had counted, and neither late events, "
        f"duplicates, bots nor imports explain it: {sites}.",
        todo="Open /<site>/reconciliation of the dashboard for both sides. Published numbers passed the "
        "ledger, so first look at the live service: its log, its lag, whether it lost a partition. If live "
        "is right, compute the hour again from raw: recount reprocess --from-raw.",
        link=links.asset("published_hours"),
    )


def dead_letters(count: int, since_ms: int, links: Links) -> Problem:
    return Problem(
        key=DEAD,
        severity="warning",
        since_ms=since_ms,
        title="records go to quarantine",
        what=f"{count:,} records could not be counted and were quarantined. They are kept whole.",
        todo="recount dead list shows them by reason, recount dead show ID how one fails; after a fix, "
        "recount dead retry brings them back.",
        link=links.asset("topics", "events_dead"),
    )


def dax_denies(count: int, since_ms: int, links: Links) -> Problem:
    return Problem(
        key=DENIED,
        severity="warning",
        since_ms=since_ms,
        title="DAX denies segments that are published",
        what=f"{count:,} items that an index names were not there for DAX, and were read from DynamoDB. "
        "Readers see the right numbers, more slowly.",
        todo="See what the dashboards log as dax_denies, and whether that node is the one of these tables. "
        "python -m dax flush makes a node forget; on AWS reboot the node.",
        link=links.asset("published_hours"),
    )


def run_failed(job: str, span: str, run_id: str, why: str, since_ms: int, links: Links) -> Problem:
    what = f"The run of {job}{f' over {span}' if span else ''} failed: {why[:WHY_MAX_CHARS]}"
    return Problem(
        key=f"{RUN}/{job}/{span.partition(' ')[0]}",
        severity="critical",
        since_ms=since_ms,
        title=f"a run of {job} failed",
        what=what,
        todo="Do what the message says. Hours are tried again by themselves every ten minutes; other runs "
        "are started again from their page.",
        link=links.run(run_id),
    )


def away(part: str, why: str, since_ms: int, links: Links) -> Problem:
    return Problem(
        key=f"{AWAY}/{part}",
        severity="critical",
        since_ms=since_ms,
        title=f"{part} does not answer",
        what=f"Dagster cannot reach {part}: {why[:WHY_MAX_CHARS]}. Nothing is published meanwhile; events "
        "wait where they are.",
        todo=f"Start {part} again (recount status, recount logs {part}). Everything goes on by itself then.",
        link=links.dagster_url,
    )


def subject(problem: Problem, event: Event) -> str:
    """One line."""
    return f"[Recount] {'over' if event == 'over' else problem.severity}: {problem.title}"


def plain(problem: Problem, event: Event, over_ms: int) -> str:
    """For mail and SNS."""
    return "\n\n".join(
        [
            subject(problem, event),
            *_body(problem, event, over_ms),
            f"Look here: {problem.link}",
        ]
    )


def slack(problem: Problem, event: Event, over_ms: int) -> str:
    """Slack's mrkdwn."""
    mark = ":white_check_mark:" if event == "over" else _MARKS[problem.severity]
    head = f"{mark} *{_escaped(subject(problem, event))}*"
    return "\n".join([head, *map(_escaped, _body(problem, event, over_ms)), f"<{problem.link}|Look here>"])


def as_json(problem: Problem, event: Event, over_ms: int) -> dict[str, object]:
    """For webhooks; times in ms UTC and as text."""
    return {
        "incident": problem.key,
        "state": event,
        "severity": problem.severity,
        "title": problem.title,
        "what": problem.what,
        "todo": problem.todo,
        "link": problem.link,
        "since_ms": problem.since_ms,
        "since": moment(problem.since_ms),
        "over_ms": over_ms or None,
    }


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_MARKS: Final[dict[Severity, str]] = {"warning": ":warning:", "critical": ":rotating_light:"}


def _body(problem: Problem, event: Event, over_ms: int) -> list[str]:
    since = f"Since {moment(problem.since_ms)}"
    if event == "over":
        lasted = _duration((over_ms - problem.since_ms) / 1000)
        return [f"{since}, over at {moment(over_ms)} (after {lasted}).", f"It was: {problem.what}"]
    return [problem.what, f"{since}.", f"What to do: {problem.todo}"]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _ranges(ranges: Sequence[Range]) -> str:
    words = [str(start) if start == end else f"{start} to {end}" for start, end in ranges[:NAMED_MAX]]
    return ", ".join(words) + (" and more" if len(ranges) > NAMED_MAX else "")


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"


def _named(hours: Sequence[str]) -> str:
    more = len(hours) - NAMED_MAX
    return ", ".join(hours[:NAMED_MAX]) + (f" and {more:,} more hours" if more > 0 else "")


def _duration(seconds: float) -> str:
    minutes, whole = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole} s" if minutes else f"{whole} s"
