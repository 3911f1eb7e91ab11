"""Changes of the draft of rules: whatever is changed, what it says then is said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from shlex import quote
from typing import Final

import click

from cli.context import CliContext
from cli.publishing import operator
from recount.rule_checks import checked
from recount.rules import Rules, difference, whose
from recount.store.rulebook import Rulebook

WHY: Final = click.option("--why", default="", help="Why; it is kept with the version.")


def added(context: CliContext, site_id: str, more: Rules, why: str) -> None:
    before = worked_on(context, site_id)
    after = Rules(
        hostnames=before.hostnames + more.hostnames,
        goals=before.goals + more.goals,
        exclusions=before.exclusions + more.exclusions,
        bots=before.bots + more.bots,
        sources=before.sources + more.sources,
    )
    save(context, site_id, after, why)


def worked_on(context: CliContext, site_id: str) -> Rules:
    """The draft, or what is in force."""
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    draft = book.draft(site)
    return site.rules if draft is None else draft.rules


def save(context: CliContext, site_id: str, rules: Rules, why: str) -> None:
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    now_ms = time.time_ns() // 1_000_000
    draft = book.edit(site, checked(rules), by=operator(), why=why, now_ms=now_ms)
    click.echo(f"Draft {draft.version} of the rules {whose(site_id)}, against {site.rules_version} in force:")
    print_lines(difference(site.rules, draft.rules))
    click.echo(
        f"Nothing is counted by it yet. See what it would change: recount rules preview {quote(site_id)}"
    )


def print_lines(lines: Sequence[str]) -> None:
    for line in lines or ["none"]:
        click.echo(f"  {line}")
