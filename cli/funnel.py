"""`recount funnel`: how many get from step to step."""

from __future__ import annotations

from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from cli.query import ask, filter_of, range_of


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option(
    "--step", "steps", multiple=True, required=True, help="/page, event:NAME or goal:NAME, in order."
)
@click.option("--window", default="visit", show_default=True, help="visit, or days such as 7d.")
@click.option("--range", "date_range", default="7d", show_default=True, help="today, 7d, 30d or FROM,TO.")
@click.option("--filter", "filters", multiple=True, help="country=DE|FR, browser!=Safari, source~blog.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@pass_context
def funnel(
    context: CliContext,
    /,
    site_id: str,
    steps: tuple[str, ...],
    window: str,
    date_range: str,
    filters: tuple[str, ...],
    as_json: bool,
) -> None:
    """Count who gets from step to step on SITE. `*` in a step is any text.

    \b
    recount funnel demo --step '/pricing' --step 'event:Signup'
    recount funnel demo --step '/' --step '/docs/*' --step 'goal:Bought' --range 30d --filter country=DE
    """
    body: dict[str, Any] = {"site": site_id, "steps": list(steps), "window": window}
    body["date_range"] = range_of(date_range)
    body["filters"] = [filter_of(text) for text in filters]
    answer = ask(f"{context.dashboard_url()}/api/v1/funnel", body)
    if as_json:
        click.echo(orjson.dumps(answer).decode())
    else:
        _print(answer)


def _print(answer: dict[str, Any]) -> None:
    console = Console()
    of_visits = answer["steps"][0]["visits"] is not None
    people = "visits" if of_visits else "visitors"
    table = Table("step", people, "of first", "of previous", "dropped", "median time", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for step in answer["steps"]:
        table.add_row(
            step["step"],
            f"{step[people]:,}",
            _percent(step["of_first"]),
            _percent(step["of_previous"]),
            f"{step['dropped']:,}",
            "" if step["median_seconds"] is None else f"{step['median_seconds']:,.0f} s",
        )
    console.print(table)
    console.print(f"[dim]of {answer['visits']:,} visits in all[/dim]")
    for note in answer["notes"]:
        console.print(f"[dim]{note}[/dim]")
    console.print(f"[dim]published until {answer['published_until'] or 'nothing yet'}[/dim]")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
