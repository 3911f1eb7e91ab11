"""`recount diff`: what publishing a reprocessing would change, before anybody sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from cli.corrections import compared, open_stores, request_of, review_of
from recount.errors import InvalidInput
from recount.publishing.comparison import MICROS, REVENUE_PREFIX, Comparison
from recount.publishing.summary import appeared_and_vanished, largest, of_site, totals, unchanged_share

SHOWN: Final = ("visitors", "visits", "pageviews", "events", "bounces")
WRITERS: Final = {".csv", ".parquet"}


@click.command()
@click.argument("reprocessing_id", metavar="REPROCESSING")
@click.option("--site", help="Only this site.")
@click.option("--metric", default="visitors", show_default=True, help="Rank the values by this one.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000), help="Values shown.")
@click.option("--to", "file", type=click.Path(dir_okay=False, path_type=Path),
              help="Also write every change into FILE.csv or FILE.parquet.")  # fmt: skip
@pass_context
def diff(
    context: CliContext, /, reprocessing_id: str, site: str | None, metric: str, limit: int, file: Path | None
) -> None:
    """What publishing REPROCESSING would change: totals by site, then the values that move most."""
    if file is not None and file.suffix not in WRITERS:
        raise InvalidInput(f"{file.name}: a name ends in .csv or .parquet", field="to")
    stores = open_stores(context)
    review = review_of(stores)
    request = request_of(stores, reprocessing_id)
    found = of_site(compared(review, request, Console(stderr=True)), site)
    console = Console()
    if found.is_empty:
        console.print("Nothing would change.")
    else:
        print_comparison(console, found, metric, limit)
    for move in review.blocked(found):
        console.print(f"[yellow]![/yellow] {move}", highlight=False)
    if file is not None:
        written = found.changes
        written.write_csv(file) if file.suffix == ".csv" else written.write_parquet(file)
        console.print(f"{written.height:,} changes written to {file}", highlight=False)


def print_comparison(console: Console, found: Comparison, metric: str, limit: int) -> None:
    """Totals by site, then the values that move most."""
    days, appeared, vanished = found.totals["day"].n_unique(), *appeared_and_vanished(found)
    console.print(
        f"{days} day{'s' if days > 1 else ''}; {unchanged_share(found):.1%} of the rows stay as they are; "
        f"{appeared:,} values appear, {vanished:,} vanish.\n",
        highlight=False,
    )
    table = Table("site", "metric", "old", "new", "change", box=None, pad_edge=False)
    for site, name, old, new in totals(found, SHOWN).iter_rows():
        table.add_row(site, name, shown(name, old), shown(name, new), change(old, new))
    console.print(table)
    values = Table("day", "site", "dimension", "value", metric, "", box=None, pad_edge=False)
    for day, site, dimension, value, old, new in largest(found, metric, limit).iter_rows():
        moved = f"{shown(metric, old)} -> {shown(metric, new)}"
        values.add_row(day, site, dimension, value[:60], moved, change(old, new))
    console.print("\nValues that move most:" if values.row_count else f"\nNo {metric} of any value moves.")
    console.print(values)


def shown(metric: str, number: int) -> str:
    return f"{number / MICROS:,.2f}" if metric.startswith(REVENUE_PREFIX) else f"{number:,}"


def change(old: int, new: int) -> str:
    """`+12.5%`; `new` and `gone` where there is nothing to compare with."""
    if old == new:
        return "="
    return "new" if not old else "gone" if not new else f"{(new - old) / old:+.1%}"
