"""`recount sites`: the catalog of sites."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table as RichTable

from cli.context import CliContext, pass_context
from recount.errors import InvalidInput
from recount.store.catalog import Catalog, Redaction, Site
from recount.store.tombstones import Tombstones

_DOMAIN: Final = re.compile(
    r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
)


@click.group()
def sites() -> None:
    """Add and list the sites that are counted."""


@sites.command()
@click.argument("domain")
@click.option("--id", "site_id", help="Short id used by the tracker; the domain unless given.")
@click.option("--timezone", default="UTC", show_default=True, help="Days begin at midnight of this zone.")
@click.option("--currency", default="EUR", show_default=True, help="ISO 4217 code revenue is shown in.")
@click.option("--hostname", "hostnames", multiple=True, help="A further hostname of the site (repeatable).")
@click.option("--only-own-hostnames", is_flag=True, help="Refuse events of pages on any other hostname.")
@click.option(
    "--first-party-id", is_flag=True, help="Recognise visitors by an id of the site, not a daily hash."
)
@click.option(
    "--ignore-dnt", is_flag=True, help="Count visitors who send Do Not Track or Global Privacy Control."
)
@click.option("--keep-param", "keep_params", multiple=True, help="A query parameter to keep (repeatable).")
@click.option(
    "--spread", default=1, show_default=True, help="Kafka partitions a very busy site is spread over."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def add(context: CliContext, /, domain: str, site_id: str | None, as_json: bool, **options: object) -> None:
    """Add the site DOMAIN; prints the snippet for its pages and a site token, once."""
    site = _site(domain, site_id, options)
    catalog = Catalog(context.tables().catalog)
    _check_not_erased(context, site.id)
    catalog.add(site)
    token = catalog.new_token(site.id)
    snippet = snippet_for(site.id, context.front_url())
    if as_json:
        click.echo(orjson.dumps({"site": site.id, "token": token, "snippet": snippet}).decode())
        return
    click.echo(f"Added {site.id} ({site.domain}, {site.timezone}).\n")
    click.echo(f"Put this before </head> of its pages:\n\n  {snippet}\n")
    click.echo(f"Site token for server-side events and imports, shown only now:\n\n  {token}")


@sites.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_context
def list_sites(context: CliContext, /, as_json: bool) -> None:
    """Every site with its domain, time zone and policies."""
    found = sorted(Catalog(context.tables().catalog).sites().values(), key=lambda s: s.id)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    table = RichTable("site", "domain", "time zone", "currency", "identity", "do not track", box=None)
    for site in found:
        table.add_row(site.id, site.domain, site.timezone, site.currency, site.identity, site.do_not_track)
    Console().print(table)


def _check_not_erased(context: CliContext, site_id: str) -> None:
    """What is counted before doors have closed behind a site that is erased would be erased with it."""
    now_ms = time.time_ns() // 1_000_000
    for tombstone in Tombstones(context.tables().catalog).active():
        if tombstone.what == "site" and tombstone.site == site_id and tombstone.before_ms > now_ms:
            moment = datetime.fromtimestamp(tombstone.before_ms / 1000, UTC)
            raise InvalidInput(
                f"{site_id} was erased a moment ago, and what reaches it now would be erased too: "
                f"add it after {moment:%H:%M} UTC, or under another id",
                field="id",
            )


def snippet_for(site_id: str, front_url: str) -> str:
    """The script element for the pages of a site."""
    return f'<script defer src="{front_url}/recount.js" data-site="{site_id}"></script>'


def _site(domain: str, site_id: str | None, options: dict[str, object]) -> Site:
    names = [domain.lower(), *(str(h).lower() for h in options["hostnames"])]  # type: ignore[attr-defined]
    for name in names:
        if not _DOMAIN.match(name):
            raise InvalidInput(
                f"{name!r} is no hostname; give one such as example.com, without https://", field="domain"
            )
    extra: tuple[str, ...] = tuple(options["keep_params"])  # type: ignore[arg-type]
    return Site(
        id=site_id or domain.lower(),
        domain=names[0],
        hostnames=tuple(names[1:]),
        timezone=str(options["timezone"]),
        currency=str(options["currency"]).upper(),
        only_own_hostnames=bool(options["only_own_hostnames"]),
        identity="first_party" if options["first_party_id"] else "daily_hash",
        do_not_track="ignore" if options["ignore_dnt"] else "respect",
        spread=int(str(options["spread"])),
        redaction=Redaction(keep_params=(*Redaction().keep_params, *extra)),
        created_ms=time.time_ns() // 1_000_000,
    )
