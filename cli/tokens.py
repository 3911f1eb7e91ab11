"""`recount tokens`: who may read numbers through the Stats API."""

from __future__ import annotations

import time

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table as RichTable

from cli.context import CliContext, pass_context
from recount.periods import moment_in_words
from recount.store.tokens import SCOPES, ApiToken, Tokens, expiry


@click.group()
def tokens() -> None:
    """Make, list and revoke tokens of the Stats API."""


@tokens.command()
@click.option("--site", "sites", multiple=True, required=True, help="A site it may read (repeatable).")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("stats:read",),
    show_default=True,
    help=f"What it may do (repeatable): {', '.join(SCOPES)}.",
)
@click.option("--name", required=True, help="Who or what uses it, such as Grafana.")
@click.option("--expires", metavar="DAYS", help="How long it opens, such as 90d; for ever unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def add(
    context: CliContext,
    /,
    sites: tuple[str, ...],
    scopes: tuple[str, ...],
    name: str,
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a token; prints it once, only its SHA-256 is kept."""
    for site in sites:
        context.site(site)
    now_ms = _now_ms()
    expires_ms = None if expires is None else expiry(expires, now_ms)
    store = Tokens(context.tables().catalog)
    made, secret = store.add(name, sites, scopes, now_ms=now_ms, expires_ms=expires_ms)
    if as_json:
        click.echo(orjson.dumps({"token": secret, **msgspec.to_builtins(made)}).decode())
        return
    until = "until it is revoked" if made.expires_ms is None else f"until {moment_in_words(made.expires_ms)}"
    click.echo(
        f"Token {made.id} ({made.name}): {', '.join(made.scopes)} of {', '.join(made.sites)}, {until}."
    )
    click.echo(f"\nShown only now:\n\n  {secret}\n")
    example = f"{context.dashboard_url()}/api/v1/query?site={made.sites[0]}"
    click.echo(f"Try it:\n\n  curl '{example}' -H 'Authorization: Bearer {secret}'")


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_context
def list_tokens(context: CliContext, /, as_json: bool) -> None:
    """Every token, what it opens and when it was used last; the tokens themselves are not kept."""
    found, now_ms = Tokens(context.tables().catalog).all(), _now_ms()
    if as_json:
        click.echo(orjson.dumps([_described(token, used, now_ms) for token, used in found]).decode())
        return
    table = RichTable("id", "name", "sites", "scopes", "state", "expires", "last used", box=None)
    for token, used in found:
        table.add_row(
            token.id,
            token.name,
            ", ".join(token.sites),
            ", ".join(token.scopes),
            token.state(now_ms),
            "never" if token.expires_ms is None else moment_in_words(token.expires_ms),
            "never" if used is None else moment_in_words(used),
        )
    Console().print(table)


@tokens.command()
@click.argument("token_id", metavar="ID")
@pass_context
def revoke(context: CliContext, /, token_id: str) -> None:
    """Close the token ID for good, on every instance within seconds."""
    token = Tokens(context.tables().catalog).revoke(token_id, _now_ms())
    click.echo(f"Revoked {token.id} ({token.name}).")


def _described(token: ApiToken, used: int | None, now_ms: int) -> dict[str, object]:
    return {**msgspec.to_builtins(token), "state": token.state(now_ms), "used_ms": used}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
