"""`recount query`: the Stats API from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click
import httpx
import orjson
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from recount.errors import InvalidInput, SetupError


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--metrics", default="visitors,visits,pageviews", show_default=True, help="Comma-separated.")
@click.option("--dimension", "dimensions", multiple=True, help="Break down by, such as page or source.")
@click.option(
    "--range", "date_range", default="7d", show_default=True, help="today, 7d, 30d or FROM,TO (local dates)."
)
@click.option("--interval", type=click.Choice(["hour", "day"]), help="A row per hour or day.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many rows."
)
@click.option("--explain", is_flag=True, help="Say where the numbers come from.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@pass_context
def query(
    context: CliContext,
    /,
    site_id: str,
    metrics: str,
    dimensions: tuple[str, ...],
    date_range: str,
    interval: str | None,
    limit: int,
    explain: bool,
    as_json: bool,
) -> None:
    """Ask for the numbers of SITE.

    \b
    recount query demo --dimension page
    recount query demo --range 2015-05-17,2015-05-20 --interval day --metrics visitors,pageviews
    """
    body: dict[str, Any] = {"site": site_id, "metrics": metrics.split(","), "limit": limit}
    body["date_range"] = date_range.split(",") if "," in date_range else date_range
    if dimensions:
        body["dimensions"] = list(dimensions)
    if interval:
        body["interval"] = interval
    if explain:
        body["explain"] = True
    answer = _ask(context.dashboard_url(), body)
    if as_json:
        click.echo(orjson.dumps(answer).decode())
    else:
        _print(answer)


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        response = httpx.post(f"{url}/api/v1/query", json=body, timeout=60)
    except httpx.TransportError as error:
        raise SetupError("dashboard", f"does not answer at {url}: {error}", "start it: make up") from None
    answer: dict[str, Any] = orjson.loads(response.content)
    if not response.is_success:
        raise InvalidInput(str(answer.get("detail", response.text)), field=answer.get("field"))
    return answer


def _print(answer: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = answer["rows"]
    console = Console()
    if not rows:
        console.print("Nothing counted in this range.")
    else:
        table = Table(box=None)
        for name, value in rows[0].items():
            table.add_column(name, justify="right" if isinstance(value, int | float) else "left")
        for row in rows:
            table.add_row(*(_text(value) for value in row.values()))
        console.print(table)
    for note in answer.get("notes", []):
        console.print(f"[dim]{note}[/dim]")
    console.print(f"[dim]published until {answer.get('published_until') or 'nothing yet'}[/dim]")
    for group in _alike(answer.get("explain", {}).get("hours", [])):
        console.print(group, highlight=False)


def _alike(hours: list[dict[str, Any]]) -> Iterator[str]:
    """Neighbouring hours that come from the same run, in the order of time."""
    names = ("logic_version", "rules_version", "reason", "publication", "published", "run")
    for (logic, rules, reason, publication, published, run), group in groupby(
        hours, key=lambda hour: tuple(hour[name] for name in names)
    ):
        found = list(group)
        first, last = found[0]["hour"], found[-1]["hour"]
        yield f"{first}" + (f" to {last} ({len(found)} hours)" if first != last else "")
        yield f"  logic {logic}, rules {rules or 'none'}, for {reason!r}"
        yield f"  published {published} as {publication}"
        yield f"  run {run or 'unknown'}"
        archive = found[-1]["archive"]
        if archive:
            offsets = ", ".join(f"{source} below {end}" for source, end in archive["offsets"].items())
            yield f"  archive {archive['generation']} of {last}: {offsets}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
