"""`recount erase`: take a visitor, a site, pages or a property out of everything, and prove it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import click
import msgspec
import orjson
from rich.console import Console

from cli.context import CliContext, pass_context
from cli.corrections import open_stores
from cli.erase_text import body_of, print_erasure, print_look
from cli.publishing import operator, run_alone
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
from recount.ids import short_id
from recount.kafka import source_partitions
from recount.periods import moment_in_words
from recount.store.archive_sites import ArchiveSites
from recount.store.catalog import FIRST_PARTY_SECRET, Catalog, Site
from recount.store.erasures import Erasure, Erasures, tombstone_of
from recount.store.raw import RawStore
from recount.store.salts import visitor_hex
from recount.store.tombstones import Tombstones

ERASE_JOB: Final = "erase"
OPS: Final = ("rewrite_archives", "publish_and_prove")

Given = dict[str, Any]  # what only the tombstones of a kind have
Kind = Callable[..., Given]

_SITE: Final = click.argument("site_id", metavar="SITE")
_REASON: Final = click.option("--reason", default="", help="Why; it is kept with the order.")
_DRY_RUN: Final = click.option(
    "--dry-run", is_flag=True, help="Say what would be touched, and change nothing."
)
_YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def erase() -> None:
    """Take data out of everything that holds it: raw events, archives, rollups, history. It cannot be undone.

    \b
    recount erase visitor shop user-4711 --reason "Article 17 request of 25 November"
    recount erase page shop '/user/*' --reason "names in addresses" --dry-run
    recount erase show ID            how far it is, and the report
    """


def _order_of(what: What, *subject: str) -> Callable[[Kind], click.Command]:
    """The command that orders erasures of a kind.

    `subject` names what the command line has after the site; the function gets it and says what the
    tombstone is given. Its docstring is the command's help.
    """

    def command_of(kind: Kind) -> click.Command:
        @pass_context
        @wraps(kind)
        def command(context: CliContext, /, site_id: str, subject: str | None = None, **how: Any) -> None:
            site = context.site(site_id)
            given = kind(context, site) if subject is None else kind(context, site, subject)
            _order(context, site, what, given, **how)

        named = [click.argument("subject", metavar=metavar) for metavar in subject]
        for decorate in (_JSON, _YES, _DRY_RUN, _REASON, *named, _SITE):
            command = decorate(command)
        return erase.command(what)(command)

    return command_of


@_order_of("visitor", "ID")
def visitor(context: CliContext, site: Site, visitor_id: str) -> Given:
    """Every event of the visitor with the first-party ID, up to now."""
    if site.identity != "first_party":
        raise InvalidInput(
            f"{site.id} hashes its visitors anew each day and destroys the key of a past day: by design, "
            "a hashed visitor of a past day cannot be found again, so there is nothing to erase. Only sites "
            "added with --first-party-id know their visitors again",
            field="visitor",
        )
    key = Catalog(context.tables().catalog).secret(FIRST_PARTY_SECRET)
    return {"visitor": int(visitor_hex(key, site.id, visitor_id, ""), 16)}


@_order_of("site")
def site(context: CliContext, site: Site) -> Given:
    """A site: all its events and numbers, its entry in the catalog, tokens and salts."""
    return {}


@_order_of("page", "PAGE")
def page(context: CliContext, site: Site, pattern: str) -> Given:
    """Every event on pages like PAGE (`*` is any text), whole; and these pages as referrers of others."""
    check_page(pattern)
    return {"page": pattern}


@_order_of("property", "NAME[=VALUE]")
def property_(context: CliContext, site: Site, pattern: str) -> Given:
    """A property of events, of values like VALUE (`*` is any text) or of all; the events stay."""
    name, _, value = pattern.partition("=")
    check_property(name)
    return {"name": name, "value": value or WILDCARD}


@erase.command("list")
@_JSON
@pass_context
def list_(context: CliContext, /, as_json: bool) -> None:
    """Every erasure, newest first."""
    found = Erasures(context.tables().catalog).all()
    if as_json:
        click.echo(orjson.dumps([body_of(erasure) for erasure in found]).decode())
        return
    for erasure in found:
        step = "" if erasure.state == "done" else f" at {erasure.step}"
        click.echo(f"{erasure.id}  {erasure.state}{step}  {erasure.site.id}: {erasure.subject}")
        click.echo(f"  {erasure.reason} ({erasure.requested_by}, {moment_in_words(erasure.requested_ms)})")
    if not found:
        click.echo("Nothing was ever erased.")


@erase.command()
@click.argument("erasure_id", metavar="ID")
@_JSON
@pass_context
def show(context: CliContext, /, erasure_id: str, as_json: bool) -> None:
    """An erasure: how far it is, and the report that proves it."""
    erasure = Erasures(context.tables().catalog).get(erasure_id)
    if as_json:
        click.echo(orjson.dumps(body_of(erasure)).decode())
    else:
        print_erasure(erasure)


@erase.command()
@click.argument("erasure_id", metavar="ID")
@_JSON
@pass_context
def resume(context: CliContext, /, erasure_id: str, as_json: bool) -> None:
    """Go on after a crash; of an erasure that is done, do all of it again, as after restoring a backup."""
    erasure = Erasures(context.tables().catalog).get(erasure_id)
    _run(context, erasure, as_json=as_json)


def _order(
    context: CliContext,
    site: Site,
    what: What,
    given: Given,
    *,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Look, ask, record, run."""
    erasure = _erasure(context, site, what, reason)
    tombstone = tombstone_of(erasure, **given)
    erasure = msgspec.structs.replace(erasure, subject=tombstone.subject)
    if dry_run:
        print_look(erasure, _look(context, tombstone), as_json=as_json)
        return
    if not reason.strip():
        raise InvalidInput('say why: --reason "..."', field="reason")
    if not yes:
        print_look(erasure, _look(context, tombstone), as_json=False)
        click.echo("This cannot be undone.", err=True)
        if click.prompt(f"Type {site.id} to erase", default="", show_default=False, err=True) != site.id:
            raise InvalidInput("nothing was erased: that is not the site's id", field="site")
    Erasures(context.tables().catalog).add(erasure)
    Tombstones(context.tables().catalog).put(tombstone)
    _run(context, erasure, as_json=as_json)


def _erasure(context: CliContext, site: Site, what: What, reason: str) -> Erasure:
    now_ms, settings = time.time_ns() // 1_000_000, context.settings
    return Erasure(
        id=short_id(now_ms),
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
        return Looker(
            *(tombstone, raw, stores.archive, ArchiveSites(settings.archive_root, stores.archive)),
            *(stores.candidates, stores.manifests, sources),
        ).look()


def _run(context: CliContext, erasure: Erasure, *, as_json: bool) -> None:
    config = {"erasure": erasure.id}
    label = f"Erasing {erasure.id}"
    click.echo(f"{label}; if this is cut off: recount erase resume {erasure.id}", err=True)
    run_alone(context, ERASE_JOB, dict.fromkeys(OPS, config), label=label, reason=f"erasure {erasure.id}")
    done = Erasures(context.tables().catalog).get(erasure.id)
    if done.what == "site":
        (context.settings.state / "tokens" / done.site.id).unlink(missing_ok=True)
    if as_json:
        click.echo(orjson.dumps(body_of(done)).decode())
    else:
        print_erasure(done)
