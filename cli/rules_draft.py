"""What becomes of a draft of rules: looked at, brought into force, given up."""

from __future__ import annotations

import time
from collections import Counter
from shlex import quote
from typing import Final

import click
from rich.console import Console

from cli.computing import compute, hours_to_compute
from cli.context import CliContext, pass_context
from cli.corrections import Stores, compared, open_stores, review_of
from cli.diff import print_comparison
from cli.hours import hour_named
from cli.publishing import operator
from recount.counting.matched import COLUMNS, matched
from recount.errors import InvalidInput
from recount.ids import short_id
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, hour_of
from recount.rules import EVERY_SITE, difference, whose
from recount.store.catalog import Site
from recount.store.reprocessings import Reprocessing
from recount.store.rule_versions import Version

DAYS_BACK: Final = 30


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--from", "first", help=f"First day or UTC hour; {DAYS_BACK} days ago unless given.")
@click.option("--to", "last", help="Last day or UTC hour, included; all that is published unless given.")
@click.option("--reason", help="Why, for readers of the history.")
@click.option("--limit", default=15, show_default=True, type=click.IntRange(1, 1_000), help="Values shown.")
@pass_context
def preview(
    context: CliContext, /, site_id: str, first: str | None, last: str | None, reason: str | None, limit: int
) -> None:
    """Count the past of SITE ('*': of all) by its draft, beside what is published: what would change."""
    stores = open_stores(context)
    site = stores.rulebook.site(site_id)
    draft = _draft(stores, site)
    request = _request(draft, first, last, reason)
    hours = hours_to_compute(context, request)
    stores.rulebook.previewed(draft, request.id)
    stores.reprocessings.add(request)
    click.echo(f"Counting {len(hours)} hours, {hours[0]} to {hours[-1]}, by draft {draft.version}:")
    for line in difference(site.rules, draft.rules):
        click.echo(f"  {line}")
    compute(context, request, hours)
    _tell_matches(stores, request, site.ruled(draft.rules, draft.version))
    review, console = review_of(stores), Console()
    found = compared(review, request, Console(stderr=True))
    if found.is_empty:
        click.echo("Nothing would change.")
    else:
        print_comparison(console, found, "visitors", limit)
    for move in review.blocked(found):
        console.print(f"[yellow]![/yellow] {move}", highlight=False)
    click.echo(f"\nMore: recount diff {request.id}")
    click.echo(f"Correct the past and count by it from now on: recount publish {request.id}")
    click.echo(f"Leave the past as it is: recount rules activate {quote(site_id)} --from-now")
    click.echo(f"Give it up: recount rules discard {quote(site_id)}")


@click.command()
@click.argument("site_id", metavar="SITE")
@click.option("--from-now", is_flag=True, help="Yes, and leave the past as it is.")
@pass_context
def activate(context: CliContext, /, site_id: str, from_now: bool) -> None:
    """Count SITE by its draft from the running hour on; hours before it keep their rules."""
    if not from_now:
        raise click.UsageError(
            "give --from-now to leave the past as it is; or correct it: "
            f"recount rules preview {quote(site_id)}, then recount publish"
        )
    stores = open_stores(context)
    draft = _draft(stores, stores.rulebook.site(site_id))
    now_ms = time.time_ns() // 1_000_000
    site = stores.rulebook.bring_into_force(
        site_id, draft.version, {}, how=f"from now on, by {operator()}", now_ms=now_ms
    )
    click.echo(f"Rules {site.rules_version} {whose(site_id)} count from {hour_of(now_ms)} on.")
    click.echo(
        f"Hours before it remain as they were, counted by rules {draft.made_from}, "
        "also when late events come into them."
    )


@click.command()
@click.argument("site_id", metavar="SITE")
@pass_context
def discard(context: CliContext, /, site_id: str) -> None:
    """Give the draft of SITE up, and its previews."""
    stores = open_stores(context)
    draft = _draft(stores, stores.rulebook.site(site_id))
    stores.rulebook.discard(draft)
    for name in draft.previews:
        request = stores.reprocessings.find(name)
        if request is not None and request.state == "open":
            stores.reprocessings.change(request, state="discarded")
    click.echo(
        f"Discarded draft {draft.version} of the rules {whose(site_id)}. Nothing that is counted has changed."
    )


@click.command()
@click.argument("site_id", metavar="SITE")
@click.argument("version", type=int)
@click.option("--why", default="", help="Why; it is kept with the version.")
@pass_context
def revert(context: CliContext, /, site_id: str, version: int, why: str) -> None:
    """Make a draft of SITE that says what VERSION said."""
    stores = open_stores(context)
    site, old = stores.rulebook.site(site_id), stores.rulebook.version(site_id, version)
    draft = stores.rulebook.edit(
        site,
        old.rules,
        by=operator(),
        why=why or f"as in version {version}",
        now_ms=time.time_ns() // 1_000_000,
    )
    click.echo(f"Draft {draft.version} of the rules {whose(site_id)} says what version {version} said:")
    for line in difference(site.rules, draft.rules) or ["nothing else than what is in force"]:
        click.echo(f"  {line}")
    click.echo(f"See what it would change: recount rules preview {quote(site_id)}")


def _draft(stores: Stores, site: Site) -> Version:
    draft = stores.rulebook.draft(site)
    if draft is None:
        whom = "what holds on all sites" if site.id == EVERY_SITE else site.id
        detail = f"{whom} has no draft of rules: make one with `recount rules add {quote(site.id)} ...` first"
        raise InvalidInput(detail, field="site")
    return draft


def _request(draft: Version, first: str | None, last: str | None, reason: str | None) -> Reprocessing:
    now_ms = time.time_ns() // 1_000_000
    running = hour_of(now_ms)
    start = hour_named(first, "T00") if first else hour_of(now_ms - DAYS_BACK * 24 * HOUR_MS)
    end = min(hour_named(last, "T23"), running) if last else running
    if start > end:
        raise InvalidInput(f"no hour between {first} and {last} is over", field="hours")
    return Reprocessing(
        id=short_id(now_ms),
        spans=[(start, end)],
        source="archive",
        reason=reason or draft.why or f"rules {draft.version} {whose(draft.site)}",
        requested_by=operator(),
        requested_ms=now_ms,
        sites=[] if draft.site == EVERY_SITE else [draft.site],
        rules={draft.site: draft.version},
        until_now=last is None,
    )


def _tell_matches(stores: Stores, request: Reprocessing, owner: Site) -> None:
    """How many events each rule fits; of all sites a slot of an hour is read at a time."""
    counts, interpreter = Counter[str](dict.fromkeys(owner.rules.lines, 0)), Interpreter()
    sites, only = stores.catalog.ruled() | {owner.id: owner}, request.sites or None
    for hour in stores.reprocessings.hours(request.id).values():
        info = stores.archive.info(hour.hour, hour.archive)
        for slot in () if info is None else sorted(info.slots):
            events = stores.archive.read_events(hour.hour, hour.archive, slot, COLUMNS, only)
            counts.update(matched(events, owner.id, sites, interpreter))
    for line, count in counts.items():
        known = (
            f"matched {count:,} events" if count else "matched 0 events in the range: is it what you mean?"
        )
        click.echo(f"{'  ' if count else '! '}{line}: {known}")
    click.echo("")
