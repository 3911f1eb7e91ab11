"""`recount reprocess`: hours computed again, beside what is published."""

from __future__ import annotations

import time

import click
import msgspec

from cli.computing import REPROCESSING_TAG, compute, hours_to_compute
from cli.context import CliContext, pass_context
from cli.corrections import caught_up, corrections_of, open_stores, request_of
from cli.dagster_client import DagsterClient
from cli.hours import hour_named
from cli.publishing import operator
from recount.errors import InvalidInput, RecountError
from recount.ids import short_id
from recount.periods import HOUR_MS, hour_of, moment_in_words
from recount.store.catalog import Catalog
from recount.store.reprocessings import Reprocessing, Reprocessings, Source


@click.group(invoke_without_command=True)
@click.option("--from", "first", help="First day or UTC hour: 2026-11-22 or 2026-11-22T03.")
@click.option("--to", "last", help="Last day or UTC hour, included.")
@click.option("--reason", help="Why; readers of the history see it.")
@click.option("--sites", default="", help="Only these sites change (comma-separated).")
@click.option("--from-archive", "source", flag_value="archive", default="archive",
              help="Fold the archive that is published now again (the default).")  # fmt: skip
@click.option("--from-raw", "source", flag_value="raw", help="Archive from raw events again, then fold.")
@click.pass_context
def reprocess(
    click_context: click.Context,
    /,
    first: str | None,
    last: str | None,
    reason: str | None,
    sites: str,
    source: Source,
) -> None:
    """Compute hours again without publishing them.

    \b
    recount reprocess --from 2026-11-01 --to 2026-11-03 --reason "source rules were wrong"
    recount reprocess show ID        what became of it
    recount publish ID               show it to everybody, in one step
    """
    if click_context.invoked_subcommand is not None:
        return
    if not (first and last and reason):
        raise click.UsageError("give --from, --to and --reason, or one of the commands below; see --help")
    context = click_context.ensure_object(CliContext)
    request = _request(context, first, last, reason, sites, source)
    Reprocessings(context.tables().catalog).add(request)
    click.echo(f"Reprocessing {request.id}: {request.first} to {request.last}, from {request.source}")
    compute(context, request, hours_to_compute(context, request))
    _tell_next(request)


@reprocess.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def list_(context: CliContext, /, as_json: bool) -> None:
    """Every reprocessing, newest first."""
    requests = Reprocessings(context.tables().catalog).all()
    if as_json:
        click.echo(msgspec.json.encode({"reprocessings": requests}).decode())
        return
    for request in requests:
        hours = request.first if request.first == request.last else f"{request.first} to {request.last}"
        sites = ", ".join(request.sites) or "all sites"
        click.echo(f"{request.id}  {request.state:<9}  {hours}, {sites}, from {request.source}")
        click.echo(f"  {request.reason} ({request.requested_by}, {moment_in_words(request.requested_ms)})")
    if not requests:
        click.echo("Nothing was ever reprocessed.")


@reprocess.command()
@click.argument("reprocessing_id", metavar="ID")
@pass_context
def show(context: CliContext, /, reprocessing_id: str) -> None:
    """What a reprocessing is, how far it got, and whether it can be published."""
    stores = open_stores(context)
    request = request_of(stores, reprocessing_id)
    done = stores.reprocessings.hours(request.id)
    versions = ", ".join(map(str, sorted({hour.logic_version for hour in done.values()})))
    lines = {
        "reprocessing": request.id,
        "state": request.state + (f" as {request.publication}" if request.publication else ""),
        "reason": request.reason,
        "asked": f"{moment_in_words(request.requested_ms)} by {request.requested_by}",
        "hours": f"{request.first} to {request.last} ({len(request.hours)})",
        "sites": ", ".join(request.sites) or "all",
        "from": request.source + (f" of {request.undoes}" if request.undoes else ""),
        "computed": f"{len(done)} hours" + (f", logic version {versions}" if done else ""),
    }
    if request.rules:
        lines["rules"] = ", ".join(f"version {version} of {site}" for site, version in request.rules.items())
    for name, text in lines.items():
        click.echo(f"{name:<13} {text}")
    for note in request.notes:
        click.echo(f"{'note':<13} {note}")
    if request.state == "open":
        try:
            corrections_of(stores).check(request, done)
            click.echo(f"{'next':<13} recount publish {request.id}")
        except RecountError as error:
            click.echo(f"{'not yet':<13} {error}")


@reprocess.command()
@click.argument("reprocessing_id", metavar="ID")
@pass_context
def resume(context: CliContext, /, reprocessing_id: str) -> None:
    """Compute what is missing, and again what was published otherwise meanwhile."""
    stores = open_stores(context)
    request = stores.reprocessings.open(request_of(stores, reprocessing_id).id)
    if request.source == "rollback":
        raise InvalidInput("a rollback is computed in one go; ask for it again", field="reprocessing")
    if request.rules:
        caught_up(context, stores, request)
    else:
        compute(context, request, hours_to_compute(context, request))
    _tell_next(request)


@reprocess.command()
@click.argument("reprocessing_id", metavar="ID")
@pass_context
def cancel(context: CliContext, /, reprocessing_id: str) -> None:
    """Stop its runs; the hours that are done are kept."""
    request = request_of(open_stores(context), reprocessing_id)
    dagster = DagsterClient(context.dagster_url())
    runs = dagster.unfinished(REPROCESSING_TAG, request.id)
    dagster.terminate(runs)
    click.echo(f"Stopped {len(runs)} runs. Go on with: recount reprocess resume {request.id}")


@reprocess.command()
@click.argument("reprocessing_id", metavar="ID")
@pass_context
def discard(context: CliContext, /, reprocessing_id: str) -> None:
    """Give a reprocessing up; `recount gc` deletes its files. What is published stays as it is."""
    stores = open_stores(context)
    request = stores.reprocessings.open(request_of(stores, reprocessing_id).id)
    dagster = DagsterClient(context.dagster_url())
    dagster.terminate(dagster.unfinished(REPROCESSING_TAG, request.id))
    stores.reprocessings.change(stores.reprocessings.open(request.id), state="discarded")
    click.echo(f"Discarded {request.id}. Nothing that is published has changed.")


def _request(
    context: CliContext, first: str, last: str, reason: str, sites: str, source: Source
) -> Reprocessing:
    now_ms = time.time_ns() // 1_000_000
    span = (hour_named(first, "T00"), min(hour_named(last, "T23"), hour_of(now_ms - HOUR_MS)))
    if span[0] > span[1]:
        raise InvalidInput(f"no hour between {first} and {last} is over", field="hours")
    names = sorted({name.strip() for name in sites.split(",")} - {""})
    known = Catalog(context.tables().catalog).sites() if names else {}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInput(f"there is no site {unknown[0]!r}; see `recount sites list`", field="sites")
    return Reprocessing(
        id=short_id(now_ms),
        spans=[span],
        source=source,
        reason=reason,
        requested_by=operator(),
        requested_ms=now_ms,
        sites=names,
    )


def _tell_next(request: Reprocessing) -> None:
    click.echo(f"Done, nothing is published yet. Look: recount reprocess show {request.id}")
    click.echo(f"Publish: recount publish {request.id}")
