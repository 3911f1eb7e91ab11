"""`recount import`: history from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import click
import orjson
from rich.console import Console

from cli.access_log import Report, hits, import_id_of, open_log
from cli.context import CliContext, pass_context
from cli.imports import Sent, send_events
from cli.progress import counting
from cli.publishing import publish_hours
from recount.store.catalog import Catalog

LINES_SECRET: Final = "imported lines"


@click.group("import")
def import_group() -> None:
    """Bring history from elsewhere."""


@import_group.command("access-log")
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--site", "site_id", required=True, help="The site whose pages the log served.")
@click.option(
    "--no-publish", is_flag=True, help="Only send; the reconciling sensor publishes the hours later."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@pass_context
def access_log(context: CliContext, /, file: str, site_id: str, no_publish: bool, as_json: bool) -> None:
    """Import the pageviews of an access log FILE (common or combined format, also gzip, `-` for stdin).

    Importing a file again, also after an interruption, counts nothing twice.
    """
    site = context.site(site_id)
    console = Console(stderr=True)
    report, sent = Report(), Sent()
    key = Catalog(context.tables().catalog).secret(LINES_SECRET)
    with (
        open_log(file) as log,
        context.collector(site_id) as client,
        counting(f"Reading {file}", log.size_bytes, console) as advance,
    ):
        first = next(log.lines, b"")
        events = _events(chain([first] if first else [], log.lines), site.domain, report, key)
        for so_far in send_events(client, import_id_of(first, site_id, key), site_id, events):
            sent = so_far
            advance(report.lines if log.size_bytes is None else log.position())
    if not no_publish and sent.hours:
        publish_hours(
            context, sorted(sent.hours), reason=f"import of an access log into {site_id}", console=console
        )
    if as_json:
        hours = {"accepted": sent.accepted, "rejected": len(sent.rejected), "hours": len(sent.hours)}
        click.echo(orjson.dumps(report.as_dict() | hours).decode())
    else:
        _print(report, sent, site_id, context.dashboard_url())


def _events(lines: Iterable[bytes], domain: str, report: Report, key: bytes) -> Iterator[dict[str, Any]]:
    for number, event_id, hit in hits(lines, report, key):
        path = hit.path if hit.path.startswith("/") else "/" + hit.path.split("://", 1)[-1].partition("/")[2]
        event = {"line": number, "id": event_id, "kind": "pageview", "ts": hit.ts, "ip": hit.ip}
        headers = {"ua": hit.ua, "referrer": hit.referrer}
        yield event | {"url": f"https://{domain}{path}"} | {n: v for n, v in headers.items() if v is not None}


def _print(report: Report, sent: Sent, site_id: str, dashboard_url: str) -> None:
    click.echo(f"{report.lines:>9,} lines read")
    click.echo(f"{report.taken:>9,} pageviews taken")
    for skip, lines in report.skipped.most_common():
        click.echo(f"{lines:>9,} skipped: {skip.value}")
    if report.unparsable:
        where = ", ".join(map(str, report.unparsable_lines))
        click.echo(f"{report.unparsable:>9,} not understood (first at line {where})")
    for reason, number in _reasons(sent).items():
        click.echo(f"{number:>9,} refused by the door: {reason}")
    first, last = min(sent.hours, default="-"), max(sent.hours, default="-")
    click.echo(f"{len(sent.hours):>9,} hours from {first} to {last} (UTC)")
    click.echo(f"\nSee them at {dashboard_url}/{site_id}")


def _reasons(sent: Sent) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for refusal in sent.rejected:
        text = f"{refusal['reason']}: {refusal.get('detail', '')}"
        reasons[text] = reasons.get(text, 0) + 1
    return reasons
