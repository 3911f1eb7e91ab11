"""What erasures say of themselves: in a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from recount.erasing.looking import Looked
from recount.periods import moment_in_words
from recount.store.erasures import Erasure


def print_look(erasure: Erasure, found: Looked, *, as_json: bool) -> None:
    if as_json:
        body = {"site": erasure.site.id, "subject": erasure.subject, "dry_run": True, **found.figures}
        click.echo(orjson.dumps(body | {"hours": found.hours}).decode())
        return
    figures = found.figures
    span = f" ({found.hours[0]} to {found.hours[-1]})" if found.hours else ""
    edited = erasure.what == "property"
    events = figures["archive_events_edited" if edited else "archive_events"]
    raw = figures["raw_events_edited" if edited else "raw_events"]
    click.echo(f"{erasure.site.id}: {erasure.subject}, of before {moment_in_words(erasure.before_ms)}")
    click.echo(f"  hours      {figures['archive_hours']:,}{span}, {figures['published_hours']:,} published")
    click.echo(f"  events     {events:,} archived, {raw:,} in {figures['raw_items']:,} raw items")
    click.echo(f"  archives   {figures['archive_generations']:,} generations")
    click.echo(f"  rewritten  {(figures['archive_bytes'] + figures['raw_bytes']) / 1e6:,.2f} MB")


def print_erasure(erasure: Erasure) -> None:
    lines = {
        "erasure": erasure.id,
        "of": f"{erasure.site.id}: {erasure.subject}, of before {moment_in_words(erasure.before_ms)}",
        "reason": erasure.reason,
        "asked": f"{moment_in_words(erasure.requested_ms)} by {erasure.requested_by}",
        "state": erasure.state if erasure.state == "done" else f"open, at {erasure.step}",
        "published": erasure.publication or "nothing had to be",
        "tombstone": f"until {moment_in_words(erasure.expires_ms)}",
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
        until = "" if line.until_ms is None else moment_in_words(line.until_ms)[:10]
        table.add_row(line.store, line.done, *counts, until)
    console = Console()
    console.width = max(console.width, 120)
    console.print(table)


def body_of(erasure: Erasure) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(erasure)
    return body | {"site": erasure.site.id, "site_settings": asdict(erasure.site), "left": erasure.left}
