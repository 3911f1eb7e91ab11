"""`recount ledger`: what became of every event of an hour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import click
import orjson
import polars as pl
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from recount.errors import InvalidInput
from recount.ledger import PARTS, UNKNOWN_SITE, Ledger, total, unbalanced
from recount.periods import hour_start_ms
from recount.store.candidates import Candidates
from recount.store.manifests import Manifests
from recount.store.provenance import Provenance, period_key
from recount.store.raw import RawStore

SITES_SHOWN: Final = 100
WIDTH_MIN: Final = 120  # a name cut off is no name


@dataclass(frozen=True)
class Found:
    """The ledger of an hour as it is shown (`made` None: nothing is), and letters that came after its cut."""

    made: Provenance | None
    ledger: Ledger
    later_letters: int
    nameless_letters: int


@click.command()
@click.option("--hour", required=True, help="A UTC hour, such as 2026-11-22T23.")
@click.option("--site", "site_id", help="Only this site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def ledger(context: CliContext, /, hour: str, site_id: str | None, as_json: bool) -> None:
    """Show what became of every event that was accepted for an hour.

    accepted = counted + bot + excluded + duplicate + quarantined + pending + erased
    """
    _check(hour)
    found = find(context, hour)
    lines = {site: line for site, line in found.ledger.items() if site_id in (None, site)}
    if site_id is not None and not lines:
        raise InvalidInput(f"{hour} has no events of {site_id!r}; leave --site out to see which sites it has")
    if as_json:
        click.echo(orjson.dumps(_body(hour, found, lines)).decode())
    else:
        _print(hour, found, lines)


def find(context: CliContext, hour: str) -> Found:
    """The ledger of the generation that was compared with what is shown last."""
    tables = context.tables()
    letters = RawStore(tables.raw, context.settings).quarantined(hour)
    nameless = RawStore(tables.raw, context.settings).quarantined(None).height
    manifests, name = Manifests(tables.manifests), period_key("hour", hour)
    entry = manifests.entries(manifests.current(), [name]).get(name)
    if entry is None:
        return Found(None, {}, letters.height, nameless)
    made = Candidates(context.settings.archive_root).info("hour", hour, entry.confirmed)
    if made is None:
        raise InvalidInput(f"the ledger of {hour} is gone with its generation {entry.confirmed}")
    return Found(made, made.ledger, _beyond(letters, made), nameless)


def _beyond(letters: pl.DataFrame, made: Provenance) -> int:
    """How many letters lie at or above the cut."""
    cut = made.archive.cut if made.archive is not None else {}
    places = letters.select("topic", "partition", "offset").iter_rows()
    return sum(offset >= cut.get(f"{topic}/{partition:05d}", 0) for topic, partition, offset in places)


def _check(hour: str) -> None:
    try:
        hour_start_ms(hour)
    except ValueError:
        raise InvalidInput(
            f"{hour!r} is no hour; give one such as 2026-11-22T23 (UTC)", field="hour"
        ) from None


def _body(hour: str, found: Found, lines: Ledger) -> dict[str, Any]:
    return {
        "hour": hour,
        "published": found.made is not None,
        "open_until_ms": found.made.open_until if found.made is not None else None,
        "sites": {site: {part: line.get(part, 0) for part in PARTS} for site, line in lines.items()},
        "total": total(lines.values()),
        "balances": not unbalanced(hour, lines),
        "letters_after_the_cut": found.later_letters,
        "letters_of_unknown_hours": found.nameless_letters,
    }


def _print(hour: str, found: Found, lines: Ledger) -> None:
    if found.made is None:
        click.echo(f"{hour} is not published; {found.later_letters:,} records of it are in quarantine.")
        return
    table = Table(box=None)
    table.add_column("site", overflow="fold")
    for part in PARTS:
        table.add_column(part, justify="right")
    largest = sorted(lines.items(), key=lambda entry: (-entry[1].get("accepted", 0), entry[0]))
    for site, line in [*largest[:SITES_SHOWN], *([("all", total(lines.values()))] if len(lines) > 1 else [])]:
        table.add_row(site, *(f"{line.get(part, 0):,}" for part in PARTS))
    console = Console()
    console.width = max(console.width, WIDTH_MIN)
    console.print(table)
    for note in _notes(found, lines, len(largest) - SITES_SHOWN):
        click.echo(note)


def _notes(found: Found, lines: Ledger, more: int) -> list[str]:
    notes = []
    if more > 0:
        notes.append(f"and {more:,} smaller sites")
    if total(lines.values())["pending"]:
        notes.append(
            "Pending events were in a spool at the cut; the hour is published again when they arrive."
        )
    if UNKNOWN_SITE in lines:
        notes.append(f"{UNKNOWN_SITE}: records whose site cannot be read. See: recount dead list")
    if found.later_letters:
        notes.append(f"{found.later_letters:,} records of this hour were quarantined after it was cut.")
    if found.nameless_letters:
        notes.append(f"{found.nameless_letters:,} records in quarantine tell no hour at all.")
    return notes
