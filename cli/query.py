"""`recount query`: the Stats API from the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import click
import httpx
import orjson
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from recount.errors import InvalidInput, SetupError
from recount.querying.query import DIRECTIONS, INTERVALS, LIMIT_MAX, OFFSET_MAX
from recount.rules import whose

_FILTER: Final = re.compile(r"([a-z_]+|prop:[^=!~]+)(=|!=|~)(.+)", re.DOTALL)


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--metrics", default="visitors,visits,pageviews", show_default=True, help="Comma-separated.")
@click.option("--dimension", "dimensions", multiple=True, help="Break down by, such as page or source.")
@click.option(
    "--range",
    "date_range",
    default="7d",
    show_default=True,
    help="today, 7d, 12mo, or FROM,TO: local dates, or times such as 2026-11-20T10:00.",
)
@click.option("--timezone", help="Whose dates and hours are meant; the site's unless given.")
@click.option("--interval", type=click.Choice(INTERVALS), help="A row per hour, day, week or month.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    help="country=DE, country!=DE, page~/docs (contains), page=/docs/* (* is any text), country=DE|FR.",
)
@click.option("--compare", help="previous_period, previous_year, or FROM,TO.")
@click.option("--order-by", help="Such as pageviews:asc,page:desc; by the first metric unless given.")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, LIMIT_MAX), help="At most so many rows."
)
@click.option("--offset", type=click.IntRange(0, OFFSET_MAX), help="Leave out so many rows first.")
@click.option("--cursor", help="Go on where a page ended, in the state that it was of.")
@click.option("--explain", is_flag=True, help="Say where the numbers come from.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@pass_context
def query(context: CliContext, /, site_id: str, as_json: bool, **given: Any) -> None:
    """Ask for the numbers of SITE.

    \b
    recount query demo --dimension page --compare previous_period
    recount query demo --range 2015-05-17,2015-05-20 --interval day --timezone Asia/Tokyo
    """
    answer = ask(f"{context.dashboard_url()}/api/v1/query", {"site": site_id} | body_of(given))
    if as_json:
        click.echo(orjson.dumps(answer).decode())
    else:
        _print(answer)


def body_of(given: dict[str, Any]) -> dict[str, Any]:
    """The query of the options that were given."""
    body = {
        **given,
        "metrics": given["metrics"].split(","),
        "dimensions": list(given["dimensions"]),
        "date_range": range_of(given["date_range"]),
        "compare": range_of(given["compare"]),
        "filters": [filter_of(text) for text in given["filters"]],
        "order_by": [_order(text) for text in (given["order_by"] or "").split(",") if text],
    }
    return {name: value for name, value in body.items() if value or value == 0}


def range_of(text: str | None) -> str | list[str] | None:
    """A name, or the two ends of a range."""
    return text.split(",") if text and "," in text else text


def _order(text: str) -> list[str]:
    name, _, direction = text.rpartition(":")
    return [name, direction] if name and direction in DIRECTIONS else [text, "desc"]


def filter_of(text: str) -> dict[str, Any]:
    """`country=DE|FR` as the Stats API has it. Raises InvalidInput for what is no filter."""
    found = _FILTER.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"{text!r} is no filter such as country=DE, country!=DE, page~/docs", field="filter"
        )
    name, sign, values = found.groups()
    operator = {"=": "matches" if "*" in values else "equals", "!=": "not", "~": "contains"}[sign]
    return {"dimension": name, "operator": operator, "values": values.split("|")}


def ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of the Stats API. Raises InvalidInput for what it refuses, SetupError if nobody answers."""
    try:
        response = httpx.post(url, json=body, headers=credentials(), timeout=90)
    except httpx.TransportError as error:
        raise SetupError("dashboard", f"does not answer at {url}: {error}", "start it: make up") from None
    answer: dict[str, Any] = orjson.loads(response.content)
    if not response.is_success:
        raise InvalidInput(str(answer.get("detail", response.text)), field=answer.get("field"))
    return answer


def credentials() -> dict[str, str]:
    """The token that RECOUNT_API_TOKEN holds, for dashboards that answer to tokens only."""
    token = os.environ.get("RECOUNT_API_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _print(answer: dict[str, Any]) -> None:
    rows = [_flat(row) for row in answer["rows"]]
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
    if answer.get("next"):
        shown = f"{len(rows):,} of {answer['total']:,} rows; the next ones: --cursor {answer['next']}"
        console.print(shown, style="dim", highlight=False, soft_wrap=True)
    for note in answer.get("notes", []):
        console.print(f"[dim]{note}[/dim]")
    console.print(f"[dim]published until {answer.get('published_until') or 'nothing yet'}[/dim]")
    explained = answer.get("explain", {})
    for line in (*_alike(explained.get("hours", [])), *_said(explained.get("rules", []))):
        console.print(line, highlight=False, markup=False)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: beside each metric what it is compared with, and by how much it has changed; the
    moment of a bucket is left to its date."""
    if "comparison" not in row:
        return {name: value for name, value in row.items() if name != "at"}
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name in row["change"]:
            change = row["change"][name]
            flat |= {name: value, f"{name} before": row["comparison"][name]}
            flat[f"{name} change"] = "" if change is None else f"{change * 100:+.1f} %"
        elif name not in ("comparison", "change", "at"):
            flat[name] = value
    return flat


def _alike(hours: list[dict[str, Any]]) -> Iterator[str]:
    """Neighbouring hours that come from the same run, in the order of time."""
    names = (
        "logic_version",
        "rules_version",
        "common_rules_version",
        "reason",
        "publication",
        "published",
        "run",
    )
    for (logic, rules, common, reason, publication, published, run), group in groupby(
        hours, key=lambda hour: tuple(hour[name] for name in names)
    ):
        found = list(group)
        first, last = found[0]["hour"], found[-1]["hour"]
        yield f"{first}" + (f" to {last} ({len(found)} hours)" if first != last else "")
        yield f"  logic {logic}, rules {rules or 'none'}, for all sites {common or 'none'}, for {reason!r}"
        yield f"  published {published} as {publication}"
        yield f"  run {run or 'unknown'}"
        archive = found[-1]["archive"]
        if archive:
            offsets = ", ".join(f"{source} below {end}" for source, end in archive["offsets"].items())
            yield f"  archive {archive['generation']} of {last}: {offsets}"


def _said(rules: list[dict[str, Any]]) -> Iterator[str]:
    """What the versions of rules say that the hours were counted by."""
    for one in rules:
        title = f"Rules {one['version']} {whose(one['of'])}"
        if one["says"] is None:
            yield f"{title} are not known any more."
        else:
            yield f"{title} say:"
            yield from (f"  {line}" for line in one["says"] or ["nothing"])


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
