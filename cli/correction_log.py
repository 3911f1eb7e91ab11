"""`recount corrections`: which published numbers of a site were changed, when, by how much and why."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.context import CliContext, pass_context
from recount.corrections import Correction, range_words, what, why
from recount.periods import HOUR_MS, hour_start_ms
from recount.store.correction_log import CorrectionLog


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="How many.")
@pass_context
def corrections(context: CliContext, /, site_id: str, limit: int) -> None:
    """The corrections of SITE, newest first: the range in its time zone, what moved, and why."""
    site = context.site(site_id)
    found = CorrectionLog(context.tables().catalog).of_site(site.id, limit)
    if not found:
        click.echo(f"No published number of {site.id} was ever changed.")
    for correction in found:
        click.echo("\n".join(_lines(correction)))


def _lines(correction: Correction) -> list[str]:
    at = datetime.fromtimestamp(correction.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    hours = sum(_hours(*span) for span in correction.spans)
    about = f"{range_words(correction)} ({hours} hour{'' if hours == 1 else 's'}, {correction.zone})"
    moved = what(correction, len(correction.moved) or len(correction.dimensions))
    return [f"{correction.publication}  {at}  {about}", f"  {moved}", f"  {why(correction)}"]


def _hours(first: str, last: str) -> int:
    return (hour_start_ms(last) - hour_start_ms(first)) // HOUR_MS + 1
