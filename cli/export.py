"""`recount export`: a site's events, or the rows of a query, into a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import click
import httpx
import orjson
from rich.console import Console

from cli.context import CliContext, pass_context
from cli.progress import counting
from cli.query import credentials, filter_of, range_of
from recount.errors import InvalidInput, SetupError, Unavailable
from recount.querying.query import INTERVALS

PIECE_BYTES: Final = 1 << 20
PARTIAL: Final = ".part"
STDOUT: Final = "-"
TIMEOUT: Final = httpx.Timeout(120.0, connect=10.0)


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--range", "date_range", default="7d", show_default=True, help="today, 7d, 30d or FROM,TO.")
@click.option("--format", "wanted", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option("-o", "--output", metavar="FILE", default=STDOUT, help="Where to; - is the terminal or a pipe.")
@click.option("--dimension", "dimensions", multiple=True, help="Numbers by this instead of events.")
@click.option("--metrics", help="Numbers instead of events, comma-separated.")
@click.option("--interval", type=click.Choice(INTERVALS), help="Numbers by time instead of events.")
@click.option(
    "--filter", "filters", multiple=True, help="Numbers of country=DE|FR, browser!=Safari, page~/docs."
)
@pass_context
def export(
    context: CliContext,
    /,
    site_id: str,
    date_range: str,
    wanted: str,
    output: str,
    dimensions: tuple[str, ...],
    metrics: str | None,
    interval: str | None,
    filters: tuple[str, ...],
) -> None:
    """Write the archived events of SITE, or numbers without a limit on their rows, to a file.

    \b
    recount export demo --range 30d --format parquet -o events.parquet
    recount export demo --dimension page --dimension country --metrics visitors,pageviews -o pages.csv

    A file is whole or not there: what arrives is kept in FILE.part until its end has come.
    """
    if output == STDOUT and wanted == "parquet" and sys.stdout.isatty():
        raise InvalidInput("Parquet is no text: name a file with -o, or pipe it on")
    body: dict[str, Any] = {"site": site_id, "format": wanted}
    body["date_range"] = range_of(date_range)
    body |= {"dimensions": list(dimensions)} if dimensions else {}
    body |= {"metrics": metrics.split(",")} if metrics else {}
    body |= {"interval": interval} if interval else {}
    body |= {"filters": [filter_of(text) for text in filters]} if filters else {}
    kind = "query" if dimensions or metrics or interval or filters else "events"
    console = Console(stderr=True)
    with counting(f"{site_id} {kind}, bytes", None, console) as advance, _file(output) as out:
        until = _fetch(f"{context.dashboard_url()}/api/v1/export/{kind}", body, out, advance)
    console.print(f"[dim]published until {until or 'nothing yet'}[/dim]")
    if output != STDOUT:
        console.print(f"{output}: {Path(output).stat().st_size:,} bytes")


@contextmanager
def _file(output: str) -> Iterator[IO[bytes]]:
    """Shows under its name once it is whole."""
    if output == STDOUT:
        yield sys.stdout.buffer
        return
    path = Path(output)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as out:
            yield out
        partial.replace(path)
    except OSError as error:
        raise SetupError("export", f"cannot write {path}: {error.strerror}", "choose another -o") from None
    finally:
        partial.unlink(missing_ok=True)


def _fetch(url: str, body: dict[str, Any], out: IO[bytes], advance: Callable[[int], None]) -> str:
    """Returns up to when the numbers are published. Raises where the answer ends before its end."""
    done = 0
    try:
        with httpx.stream("POST", url, json=body, headers=credentials(), timeout=TIMEOUT) as answer:
            if not answer.is_success:
                _refuse(answer)
            for piece in answer.iter_bytes(PIECE_BYTES):
                out.write(piece)
                done += len(piece)
                advance(done)
            return str(answer.headers.get("Recount-Published-Until", ""))
    except httpx.RemoteProtocolError as error:
        cause = f"ended after {done:,} bytes, before its end: {error}"
        raise SetupError("export", cause, "try again; the reason is in `./recount logs dashboard`") from None
    except httpx.TransportError as error:
        raise SetupError("dashboard", f"does not answer at {url}: {error}", "start it: make up") from None


def _refuse(answer: httpx.Response) -> None:
    problem = orjson.loads(answer.read() or b"{}")
    detail = str(problem.get("detail", answer.reason_phrase))
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise Unavailable("the dashboard", detail)
    raise InvalidInput(detail, field=problem.get("field"))
