"""`recount publish`, `history`, `rollback`, `gc`: what operators do to published numbers on purpose."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from shlex import quote
from typing import Final

import click
import orjson
from rich.console import Console

from cli.computing import compute
from cli.context import CliContext, pass_context
from cli.dagster_client import DagsterClient
from cli.progress import counting
from cli.publishing import GAP_MAX_HOURS, operator, run_alone
from recount.errors import InvalidInput
from recount.periods import hour_ranges
from recount.publishing.collect import Collector
from recount.publishing.comparison import Comparison
from recount.publishing.differ import Differ
from recount.publishing.history import past
from recount.publishing.publisher import Publisher
from recount.publishing.reprocessing import Corrections
from recount.publishing.review import Review
from recount.publishing.rollback import CAUSE as UNDO
from recount.publishing.rollback import Rollbacks
from recount.publishing.thresholds import Threshold
from recount.publishing.thresholds import parse as parse_thresholds
from recount.rules import whose
from recount.store.archive import Archive
from recount.store.candidates import Candidates
from recount.store.catalog import Catalog
from recount.store.manifests import Manifests, Publication
from recount.store.reprocessings import Reprocessing, Reprocessings
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore

PUBLISH_JOB: Final = "publish_reprocessing"
ROLLBACK_JOB: Final = "rollback"


@dataclass(frozen=True)
class Stores:
    """What the commands of corrections read, and the publisher's own checks."""

    manifests: Manifests
    candidates: Candidates
    archive: Archive
    segments: SegmentStore
    catalog: Catalog
    reprocessings: Reprocessings
    rulebook: Rulebook
    site_slots: int
    top_values: int
    thresholds: tuple[Threshold, ...]


def open_stores(context: CliContext) -> Stores:
    tables, settings = context.tables(), context.settings
    return Stores(
        manifests=Manifests(tables.manifests),
        candidates=Candidates(settings.archive_root),
        archive=Archive(settings.archive_root),
        segments=SegmentStore(tables.rollups, settings.site_slots),
        catalog=Catalog(tables.catalog),
        reprocessings=Reprocessings(tables.catalog),
        rulebook=Rulebook(tables.catalog),
        site_slots=settings.site_slots,
        top_values=settings.top_values,
        thresholds=parse_thresholds(settings.diff_thresholds),
    )


def review_of(stores: Stores) -> Review:
    def differ() -> Differ:
        return Differ(stores.manifests, stores.segments, stores.candidates, stores.catalog.sites())

    return Review(differ, stores.reprocessings, stores.thresholds)


def compared(review: Review, request: Reprocessing, console: Console) -> Comparison:
    """What publishing would change, with a bar while it is found out."""
    with counting("Comparing", len(review.days(request)), console) as advance:
        done = count(1)
        return review.compare(request, lambda _: advance(next(done)))


def corrections_of(stores: Stores) -> Corrections:
    """To check with; the one publisher runs in Dagster."""
    publisher = Publisher(
        stores.candidates,
        stores.segments,
        stores.manifests,
        stores.catalog.sites,
        site_slots=stores.site_slots,
        top_values=stores.top_values,
    )
    return Corrections(
        publisher,
        stores.manifests,
        stores.candidates,
        stores.archive,
        stores.reprocessings,
        review_of(stores),
        stores.rulebook,
    )


def rollbacks_of(stores: Stores) -> Rollbacks:
    """To look with; the one publisher runs in Dagster."""
    publisher = corrections_of(stores).publisher
    return Rollbacks(
        publisher,
        stores.manifests,
        stores.candidates,
        stores.segments,
        stores.reprocessings,
        stores.rulebook,
        stores.site_slots,
    )


def request_of(stores: Stores, name: str) -> Reprocessing:
    """By its id, or by the beginning of one. Raises InvalidInput where that fits none, or several."""
    exact = stores.reprocessings.find(name)
    if exact is not None:
        return exact
    found = [request for request in stores.reprocessings.all() if request.id.startswith(name)]
    if len(found) > 1:
        names = ", ".join(request.id for request in found)
        raise InvalidInput(f"{name!r} may be one of {names}", field="reprocessing")
    return found[0] if found else stores.reprocessings.get(name)


@click.command()
@click.argument("reprocessing_id", metavar="REPROCESSING")
@click.option(
    "--approve", metavar="WHY", help="Stand for totals that move further than the thresholds allow."
)
@pass_context
def publish(context: CliContext, /, reprocessing_id: str, approve: str | None) -> None:
    """Publish the candidates of a reprocessing: readers see all of it or nothing.

    Refused where an hour was published again since its candidate was computed, and where a site's totals move
    too far (`recount diff` shows it) unless you say why that is right.
    """
    stores = open_stores(context)
    request = stores.reprocessings.open(request_of(stores, reprocessing_id).id)
    request = caught_up(context, stores, request)
    corrections_of(stores).check(request, stores.reprocessings.hours(request.id))
    review = review_of(stores)
    if approve is not None:
        request = review.approve(request, operator(), approve, time.time_ns() // 1_000_000)
    with Console(stderr=True).status("Comparing"):
        review.check(request)
    label = f"Publishing {request.id}"
    configs = {"show_candidates": {"reprocessing": request.id}}
    run_alone(context, PUBLISH_JOB, configs, label=label, reason=request.reason)
    publication = stores.manifests.publication(stores.reprocessings.get(request.id).publication)
    click.echo(f"Published as {publication.id}: {moved_in_words(publication)}")
    for site, version in request.rules.items():
        click.echo(f"Rules {version} {whose(site)} are in force: for these hours, and for what comes.")
    click.echo(f"Undo: recount rollback {publication.id}")


def caught_up(context: CliContext, stores: Stores, request: Reprocessing) -> Reprocessing:
    """A preview of rules together with the hours that were published since."""
    if not request.rules:
        return request
    corrections = corrections_of(stores)
    hours = corrections.outdated(request, stores.reprocessings.hours(request.id))
    if not hours:
        return request
    click.echo(f"Not computed yet, or published again since: {in_words(hours)}")
    spans = hour_ranges([*request.hours, *hours], gap_max_hours=GAP_MAX_HOURS)
    request = stores.reprocessings.change(request, spans=spans)
    compute(context, request, hours)
    return request


def in_words(hours: Sequence[str]) -> str:
    """`2 hours, 2026-11-22T03 to 2026-11-22T09`."""
    return hours[0] if len(hours) == 1 else f"{len(hours)} hours, {hours[0]} to {hours[-1]}"


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def history(context: CliContext, /, limit: int, as_json: bool) -> None:
    """What was published, newest first: id, when, what moved, why, and the Dagster run."""
    dagster = DagsterClient(context.dagster_url())
    publications = past(open_stores(context).manifests, limit)
    if as_json:
        found = [_as_json(publication, dagster) for publication in publications]
        click.echo(orjson.dumps({"publications": found}).decode())
        return
    for publication in publications:
        moment = datetime.fromtimestamp(publication.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        click.echo(f"{publication.id}  {moment}  {moved_in_words(publication)}")
        cause = publication.cause.replace("/", " of " if publication.cause.startswith(UNDO) else " ")
        click.echo(f"  {publication.reason or 'no reason given'}" + (f" ({cause})" if cause else ""))
        if publication.run_id:
            click.echo(f"  {dagster.run_url(publication.run_id)}")


def _as_json(publication: Publication, dagster: DagsterClient) -> dict[str, object]:
    """`moved`: the periods that changed, each with its sites."""
    return {
        "id": publication.id,
        "published": datetime.fromtimestamp(publication.at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": publication.reason,
        "cause": publication.cause,
        "run": dagster.run_url(publication.run_id) if publication.run_id else None,
        "moved": {key: publication.sites.get(key, []) for key in sorted(publication.moved)},
    }


@click.command()
@click.argument("publication_id", metavar="PUBLICATION")
@click.option("--reason", help="Why; 'rollback of PUBLICATION' unless given.")
@pass_context
def rollback(context: CliContext, /, publication_id: str, reason: str | None) -> None:
    """Undo PUBLICATION (`recount history` lists them): readers see again what they saw before it.

    Where something later touched the same numbers, what it changed alone becomes a reprocessing, to be looked
    at and published like any other.
    """
    stores = open_stores(context)
    rollbacks = rollbacks_of(stores)
    undone = rollbacks.plan(publication_id).publication
    why = reason or f"rollback of {undone.id}"
    configs = {"go_back": {"publication": undone.id, "requested_by": operator()}}
    run = run_alone(context, ROLLBACK_JOB, configs, label=f"Undoing {undone.id}", reason=why)
    moved = next((p for p in past(stores.manifests) if p.run_id == run), None)
    if moved is not None:
        click.echo(f"Published as {moved.id}: {moved_in_words(moved)}")
        _tell_of_rules(stores, rollbacks.rules(undone))
        return
    request = next(r for r in stores.reprocessings.all() if r.undoes == undone.id)
    click.echo(f"Later publications touched the same numbers, so nothing is published yet: {request.id}")
    click.echo(f"Look: recount reprocess show {request.id}\nPublish: recount publish {request.id}")
    for site, version in rollbacks.rules(undone).items():
        old = stores.rulebook.version(site, version).made_from
        back = f"recount rules revert {quote(site)} {old}"
        click.echo(f"Rules {version} {whose(site)} stay in force. Put others back: {back}")


def _tell_of_rules(stores: Stores, withdrawn: Mapping[str, int]) -> None:
    for site_id, version in withdrawn.items():
        site = stores.rulebook.site(site_id)
        click.echo(
            f"Rules {version} {whose(site_id)} are withdrawn; in force are rules {site.rules_version}."
        )
        kept = [since.hour for since in site.timeline if since.version == version]
        if kept:
            show = f"recount rules show {quote(site_id)}"
            click.echo(f"Hours published by them meanwhile stay, from {kept[0]} on: {show}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@pass_context
def gc(context: CliContext, /, dry_run: bool) -> None:
    """Delete generations that no root of the last seven days and no open reprocessing names.

    It runs by itself once a day.
    """
    stores = open_stores(context)
    collector = Collector(
        stores.manifests, stores.segments, stores.candidates, stores.archive, stores.reprocessings
    )
    found = collector.look(time.time_ns() // 1_000_000)
    what = (
        f"{len(found.rollups)} rollup generations, {len(found.archives)} archive generations and "
        f"{len(found.manifests)} manifests, {found.data_bytes / 1e6:,.1f} MB of files"
    )
    if dry_run or not (found.rollups or found.archives or found.manifests):
        click.echo(f"Nothing names {what}." if dry_run else "Nothing to delete.")
        return
    run_alone(context, "gc", {"collect_garbage": {}}, label="Collecting", reason="recount gc")
    click.echo(f"Deleted {what}.")


def moved_in_words(publication: Publication) -> str:
    """`72 hours, 4 days and 1 month of 3 sites changed`."""
    counts = [
        (sum(1 for key in publication.moved if key.startswith(f"{kind}/")), kind)
        for kind in ("hour", "day", "month")
    ]
    parts = [f"{count} {kind}{'' if count == 1 else 's'}" for count, kind in counts if count]
    if not parts:
        return "nothing changed"
    sites = {site for names in publication.sites.values() for site in names}
    listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    return f"{listed} of {len(sites)} site{'' if len(sites) == 1 else 's'} changed"
