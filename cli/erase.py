"""`recount erase`: take a visitor, a site, pages or a property out of everything, and prove it."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from cli.corrections import open_stores
from cli.dagster_client import DagsterClient
from cli.publishing import REASON_TAG, USER_TAG, operator, until_over
from recount.erasing.looking import Looked, Looker
from recount.erasing.tombstone import (
    DOORS_CLOSE_MS,
    WILDCARD,
    Tombstone,
    What,
    check_page,
    check_property,
    expires_ms,
)
from recount.errors import InvalidInput
from recount.kafka import source_partitions
from recount.store.catalog import FIRST_PARTY_SECRET, Catalog, Site
from recount.store.erasures import Erasure, Erasures, tombstone_of
from recount.store.raw import RawStore
from recount.store.salts import visitor_hex
from recount.store.tombstones import Tombstones

ERASE_JOB: Final = "erase"
OPS: Final = ("rewrite_archives", "publish_and_prove")

_reason = click.option("--reason", default="", help="Why; it is kept with the order.")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be touched, and change nothing.")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def erase() -> None:
    """Take data out of everything that holds it: raw events, archives, rollups, history. It cannot be undone.

    \b
    recount erase visitor shop user-4711 --reason "Article 17 request of 25 November"
    recount erase page shop '/user/*' --reason "names in addresses" --dry-run
    recount erase show ID            how far it is, and the report
    """


@erase.command()
@click.argument("site_id", metavar="SITE")
@click.argument("visitor_id", metavar="ID")
@_reason
@_dry_run
@_yes
@_json
@pass_context
def visitor(context: CliContext, /, site_id: str, visitor_id: str, **options: Any) -> None:
    """Every event of the visitor with the first-party ID, up to now."""
    site = context.site(site_id)
    if site.identity != "first_party":
        raise InvalidInput(
            f"{site_id} hashes its visitors anew each day and destroys the key of a past day: by design, "
            "a hashed visitor of a past day cannot be found again, so there is nothing to erase. Only sites "
            "added with --first-party-id know their visitors again",
            field="visitor",
        )
    key = Catalog(context.tables().catalog).secret(FIRST_PARTY_SECRET)
    _order(context, site, "visitor", options, visitor=int(visitor_hex(key, site_id, visitor_id, ""), 16))


@erase.command()
@click.argument("site_id", metavar="SITE")
@_reason
@_dry_run
@_yes
@_json
@pass_context
def site(context: CliContext, /, site_id: str, **options: Any) -> None:
    """A site: all its events and numbers, its entry in the catalog, tokens and salts."""
    _order(context, context.site(site_id), "site", options)


@erase.command()
@click.argument("site_id", metavar="SITE")
@click.argument("pattern", metavar="PAGE")
@_reason
@_dry_run
@_yes
@_json
@pass_context
def page(context: CliContext, /, site_id: str, pattern: str, **options: Any) -> None:
    """Every event on pages like PAGE (`*` is any text), whole; and these pages as referrers of others."""
    check_page(pattern)
    _order(context, context.site(site_id), "page", options, page=pattern)


@erase.command("property")
@click.argument("site_id", metavar="SITE")
@click.argument("pattern", metavar="NAME[=VALUE]")
@_reason
@_dry_run
@_yes
@_json
@pass_context
def property_(context: CliContext, /, site_id: str, pattern: str, **options: Any) -> None:
    """A property of events, of values like VALUE (`*` is any text) or of all; the events stay."""
    name, _, value = pattern.partition("=")
    check_property(name)
    _order(context, context.site(site_id), "property", options, name=name, value=value or WILDCARD)


@erase.command("list")
@_json
@pass_context
def list_(context: CliContext, /, as_json: bool) -> None:
    """Every erasure, newest first."""
    found = Erasures(context.tables().catalog).all()
    if as_json:
        click.echo(orjson.dumps([_body(erasure) for erasure in found]).decode())
        return
    for erasure in found:
        step = "" if erasure.state == "done" else f" at {erasure.step}"
        click.echo(f"{erasure.id}  {erasure.state}{step}  {erasure.site.id}: {erasure.subject}")
        click.echo(f"  {erasure.reason} ({erasure.requested_by}, {_moment(erasure.requested_ms)})")
    if not found:
        click.echo("Nothing was ever erased.")


@erase.command()
@click.argument("erasure_id", metavar="ID")
@_json
@pass_context
def show(context: CliContext, /, erasure_id: str, as_json: bool) -> None:
    """An erasure: how far it is, and the report that proves it."""
    erasure = Erasures(context.tables().catalog).get(erasure_id)
    if as_json:
        click.echo(orjson.dumps(_body(erasure)).decode())
    else:
        _print(erasure)


@erase.command()
@click.argument("erasure_id", metavar="ID")
@_json
@pass_context
def resume(context: CliContext, /, erasure_id: str, as_json: bool) -> None:
    """Go on after a crash; of an erasure that is done, do all of it again, as after restoring a backup."""
    erasure = Erasures(context.tables().catalog).get(erasure_id)
    _run(context, erasure, as_json=as_json)


def _order(context: CliContext, site: Site, what: What, options: dict[str, Any], **given: Any) -> None:
    """Look, ask, record, run."""
    erasure = _erasure(context, site, what, options["reason"])
    tombstone = tombstone_of(erasure, **given)
    erasure = msgspec.structs.replace(erasure, subject=tombstone.subject)
    if options["dry_run"]:
        _print_look(erasure, _look(context, tombstone), as_json=options["as_json"])
        return
    if not options["reason"].strip():
        raise InvalidInput('say why: --reason "..."', field="reason")
    if not options["yes"]:
        _print_look(erasure, _look(context, tombstone), as_json=False)
        click.echo("This cannot be undone.", err=True)
        if click.prompt(f"Type {site.id} to erase", default="", show_default=False, err=True) != site.id:
            raise InvalidInput("nothing was erased: that is not the site's id", field="site")
    Erasures(context.tables().catalog).add(erasure)
    Tombstones(context.tables().catalog).put(tombstone)
    _run(context, erasure, as_json=options["as_json"])


def _erasure(context: CliContext, site: Site, what: What, reason: str) -> Erasure:
    now_ms, settings = time.time_ns() // 1_000_000, context.settings
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return Erasure(
        id=f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}",
        site=site,
        what=what,
        subject="",
        reason=reason,
        requested_by=operator(),
        requested_ms=now_ms,
        before_ms=now_ms + (DOORS_CLOSE_MS if what == "site" else 0),
        expires_ms=expires_ms(
            now_ms,
            raw_ttl_days=settings.raw_ttl_days,
            kafka_retention_ms=settings.kafka_retention_ms,
            dead_retention_days=settings.dead_retention_days,
        ),
    )


def _look(context: CliContext, tombstone: Tombstone) -> Looked:
    tables, settings, stores = context.tables(), context.settings, open_stores(context)
    raw = RawStore(tables.raw, settings, lambda: [tombstone])
    sources = source_partitions(settings)
    with Console(stderr=True).status("Looking"):
        return Looker(tombstone, raw, stores.archive, stores.candidates, stores.manifests, sources).look()


def _run(context: CliContext, erasure: Erasure, *, as_json: bool) -> None:
    dagster = DagsterClient(context.dagster_url())
    config: dict[str, object] = {"ops": {op: {"config": {"erasure": erasure.id}} for op in OPS}}
    label = f"Erasing {erasure.id}"
    click.echo(f"{label}; if this is cut off: recount erase resume {erasure.id}", err=True)
    tags = {REASON_TAG: f"erasure {erasure.id}", USER_TAG: operator()}
    run_id = dagster.launch(ERASE_JOB, tags, config)
    with Console(stderr=True).status(label):
        until_over(dagster, run_id, label)
    done = Erasures(context.tables().catalog).get(erasure.id)
    if done.what == "site":
        (context.settings.state / "tokens" / done.site.id).unlink(missing_ok=True)
    if as_json:
        click.echo(orjson.dumps(_body(done)).decode())
    else:
        _print(done)


def _print_look(erasure: Erasure, found: Looked, *, as_json: bool) -> None:
    if as_json:
        body = {"site": erasure.site.id, "subject": erasure.subject, "dry_run": True, **found.figures}
        click.echo(orjson.dumps(body | {"hours": found.hours}).decode())
        return
    figures = found.figures
    span = f" ({found.hours[0]} to {found.hours[-1]})" if found.hours else ""
    edited = erasure.what == "property"
    events = figures["archive_events_edited" if edited else "archive_events"]
    raw = figures["raw_events_edited" if edited else "raw_events"]
    click.echo(f"{erasure.site.id}: {erasure.subject}, of before {_moment(erasure.before_ms)}")
    click.echo(f"  hours      {figures['archive_hours']:,}{span}, {figures['published_hours']:,} published")
    click.echo(f"  events     {events:,} archived, {raw:,} in {figures['raw_items']:,} raw items")
    click.echo(f"  archives   {figures['archive_generations']:,} generations")
    click.echo(f"  rewritten  {(figures['archive_bytes'] + figures['raw_bytes']) / 1e6:,.2f} MB")


def _print(erasure: Erasure) -> None:
    lines = {
        "erasure": erasure.id,
        "of": f"{erasure.site.id}: {erasure.subject}, of before {_moment(erasure.before_ms)}",
        "reason": erasure.reason,
        "asked": f"{_moment(erasure.requested_ms)} by {erasure.requested_by}",
        "state": erasure.state if erasure.state == "done" else f"open, at {erasure.step}",
        "published": erasure.publication or "nothing had to be",
        "tombstone": f"until {_moment(erasure.expires_ms)}",
    }
    for name, text in lines.items():
        click.echo(f"{name:<10} {text}")
    if erasure.state == "open":
        click.echo(f"{'go on':<10} recount erase resume {erasure.id}")
    if erasure.report:
        _print_report(erasure)


def _print_report(erasure: Erasure) -> None:
    table = Table("store", "done", box=None)
    for name in ("before", "left"):
        table.add_column(name, justify="right")
    table.add_column("expires")
    for line in erasure.report:
        counts = ["" if count is None else f"{count:,}" for count in (line.before, line.after)]
        until = "" if line.until_ms is None else _moment(line.until_ms)[:10]
        table.add_row(line.store, line.done, *counts, until)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def _body(erasure: Erasure) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(erasure)
    return body | {"site": erasure.site.id, "site_settings": asdict(erasure.site), "left": erasure.left}


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
