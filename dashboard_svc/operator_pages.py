"""What operators see of reprocessings, as data for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import polars as pl

from dashboard_svc.desk import Desk
from dashboard_svc.operator_rules import changed
from recount.corrections import Correction, label, number, sentence
from recount.errors import InvalidInput
from recount.periods import moment_in_words
from recount.publishing.comparison import METRICS, Comparison
from recount.publishing.review import digest
from recount.publishing.summary import (
    appeared_and_vanished,
    by_day,
    largest,
    of_site,
    totals,
    unchanged_share,
)
from recount.store.reprocessings import HourDone, Reprocessing

__all__ = ["Line", "Page", "line", "of_site", "page"]

SHOWN: Final = ("visitors", "visits", "pageviews", "events", "bounces")
SITES_MAX: Final = 50
VALUES_MAX: Final = 50
RUNS_MAX: Final = 10
NOTES_MAX: Final = 50


@dataclass(frozen=True)
class Line:
    """A reprocessing in the list, and at the head of its page."""

    id: str
    state: str
    range: str
    progress: str
    sites: str
    source: str
    reason: str
    asked: str
    publication: str


@dataclass(frozen=True)
class Move:
    """Old -> new; `change` in percent, `share` of the larger one for a bar, in percent."""

    names: tuple[str, ...]
    old: str
    new: str
    change: str
    href: str = ""


@dataclass(frozen=True)
class Diff:
    """What publishing would change. `blocked`: what needs somebody's name, `approval`: who gave it."""

    facts: list[tuple[str, str]]
    blocked: list[str]
    totals: list[Move]
    days: list[Move]
    values: list[Move]
    appeared: list[Move]
    vanished: list[Move]
    metrics: list[tuple[str, str, bool]]


@dataclass(frozen=True)
class Page:
    """`rules`: the versions that it counts by, and what is other in each than before. `progress`: (days
    compared, days) while that is under way; `commands`: why, and what to type."""

    line: Line
    rules: list[tuple[str, list[str]]]
    runs: list[tuple[str, str]]
    notes: list[str]
    approval: str
    commands: list[tuple[str, str]]
    site: str | None = None
    sites_href: str = ""
    progress: tuple[int, int] | None = None
    diff: Diff | None = None
    downloads: list[tuple[str, str]] = field(default_factory=list)
    corrections: list[str] = field(default_factory=list)


def line(request: Reprocessing, done: Mapping[str, HourDone]) -> Line:
    return Line(
        id=request.id,
        state=request.state,
        range=f"{request.first} to {request.last}",
        progress=f"{len(done)} of {len(request.hours)} hours",
        sites=", ".join(request.sites) or "all sites",
        source=request.source,
        reason=request.reason,
        asked=f"{moment_in_words(request.requested_ms)} by {request.requested_by}",
        publication=request.publication,
    )


def page(desk: Desk, name: str, args: Mapping[str, str]) -> Page:
    """Raises InvalidInput for a reprocessing, a site or a metric that there is not."""
    request = desk.reprocessings.get(name)
    done = desk.reprocessings.hours(request.id)
    runs = list(dict.fromkeys(hour.run_id for hour in done.values() if hour.run_id))[-RUNS_MAX:]
    head: dict[str, Any] = {
        "line": line(request, done),
        "rules": [changed(desk, owner, number) for owner, number in sorted(request.rules.items())],
        "runs": [(run[:8], desk.run_url(run)) for run in runs],
        "notes": request.notes,
        "approval": _approval(request, done),
    }
    if request.state != "open" or not done:
        found = _corrections(desk, request)
        return Page(**head, commands=_commands(request, done, []), corrections=found)
    job = desk.comparisons.of(request)
    result = job.result
    if result is None:
        commands = _commands(request, done, [])
        return Page(**head, commands=commands, progress=(job.days_done, job.days))
    site = args.get("site") or None
    blocked = [str(move) for move in desk.review.blocked(result)]
    return Page(
        **head,
        commands=_commands(request, done, blocked),
        site=site,
        diff=diff(of_site(result, site), blocked, _metric(args), site),
        downloads=[(kind, _download(request.id, kind, site)) for kind in ("csv", "parquet")],
    )


def diff(found: Comparison, blocked: list[str], metric: str, site: str | None) -> Diff:
    appeared, vanished = appeared_and_vanished(found)
    facts = [
        ("Days", f"{found.totals['day'].n_unique():,}"),
        ("Sites", f"{found.totals['site'].n_unique():,}"),
        ("Rows that stay", f"{unchanged_share(found):.1%}"),
        ("Values that appear", f"{appeared:,}"),
        ("Values that vanish", f"{vanished:,}"),
    ]
    of_all = totals(found, SHOWN).head(SITES_MAX * len(SHOWN))
    days = by_day(found, SHOWN) if site is not None else by_day(found, (metric,)).head(0)
    return Diff(
        facts=facts,
        blocked=blocked,
        totals=[
            _move((name, label(m)), m, old, new, href=_query(site=name, metric=metric))
            for name, m, old, new in of_all.iter_rows()
        ],
        days=[_move((day, label(m)), m, old, new) for day, m, old, new in days.iter_rows()],
        values=_values(largest(found, metric, VALUES_MAX), metric),
        appeared=_values(_only(found, "appeared", metric), metric),
        vanished=_values(_only(found, "vanished", metric), metric),
        metrics=[(label(m), _query(site=site, metric=m), m == metric) for m in METRICS],
    )


def _only(found: Comparison, which: str, metric: str) -> pl.DataFrame:
    kept = Comparison(found.changes.filter(pl.col(which)), found.totals, found.rows)
    return largest(kept, metric, VALUES_MAX)


def _values(rows: pl.DataFrame, metric: str) -> list[Move]:
    return [
        _move((day, site, dimension, value), metric, old, new)
        for day, site, dimension, value, old, new in rows.iter_rows()
    ]


def _move(names: tuple[str, ...], metric: str, old: int, new: int, href: str = "") -> Move:
    change = "=" if old == new else "new" if not old else "gone" if not new else f"{(new - old) / old:+.1%}"
    return Move(names, number(metric, old), number(metric, new), change, href)


def _metric(args: Mapping[str, str]) -> str:
    metric = args.get("metric") or "visitors"
    if metric not in METRICS:
        raise InvalidInput(f"no metric {metric!r}; known: {', '.join(METRICS)}", field="metric")
    return metric


def _commands(
    request: Reprocessing, done: Mapping[str, HourDone], blocked: Sequence[str]
) -> list[tuple[str, str]]:
    """What an operator may do next, in the order of likelihood."""
    name = request.id
    if request.state == "published":
        return [("Undo it", f"./recount rollback {request.publication}")]
    if request.state == "discarded":
        return [
            (
                "Compute it anew",
                f'./recount reprocess --from {request.first} --to {request.last} --reason "…"',
            )
        ]
    if len(done) < len(request.hours):
        return [("Compute what is missing", f"./recount reprocess resume {name}")]
    is_approved = request.approval is not None and request.approval.of == digest(done)
    approve = ' --approve "why it is right"' if blocked and not is_approved else ""
    return [
        ("Publish it, all or nothing", f"./recount publish {name}{approve}"),
        ("Compute hours again that were published since", f"./recount reprocess resume {name}"),
        ("Drop it", f"./recount reprocess discard {name}"),
    ]


def _approval(request: Reprocessing, done: Mapping[str, HourDone]) -> str:
    given = request.approval
    if given is None:
        return ""
    holds = "" if given.of == digest(done) else " It was given for other candidates and no longer counts."
    return f"{given.by} on {moment_in_words(given.at_ms)}: {given.why}.{holds}"


def _corrections(desk: Desk, request: Reprocessing) -> list[str]:
    """What the publication changed, site by site, as customers read it."""
    if request.state != "published":
        return []
    moved = desk.manifests.publication(request.publication).sites
    sites = sorted({site for names in moved.values() for site in names})
    found: list[Correction] = desk.log.of_publication(request.publication, sites[:NOTES_MAX])
    return [f"{correction.site}: {sentence(correction)}" for correction in found]


def _query(**given: str | None) -> str:
    return "?" + urlencode({name: value for name, value in given.items() if value})


def _download(name: str, kind: str, site: str | None) -> str:
    query = _query(site=site) if site else ""
    return f"/operator/reprocessings/{quote(name)}/changes.{kind}{query}"
