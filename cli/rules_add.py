"""`recount rules add`: a rule of each kind, added to the draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import click

from cli.context import CliContext
from cli.rules_editing import WHY, added
from recount.rules import (
    EXCLUSION_KINDS,
    BotRule,
    Exclusion,
    Goal,
    Judged,
    LinkFact,
    Rules,
    SourceRule,
)


@click.group()
@click.argument("site_id", metavar="SITE")
@click.pass_context
def add(context: click.Context, /, site_id: str) -> None:
    """Add a rule to the draft of SITE. In patterns `*` stands for any text."""
    context.ensure_object(CliContext)
    context.meta["site"] = site_id


@add.command()
@click.option("--page", help="Events of pages: a path such as /admin/*. Their visits stay visits.")
@click.option("--hostname", help="Visits that began on a hostname, such as staging.example.com.")
@click.option("--country", help="Visits from a country: DE.")
@click.option("--referrer", help="Visits from a referrer: a host, or host and path.")
@click.option("--source", help="Visits of a source, as the numbers show it.")
@click.option("--network", help="Visits from a kind of network: business, hosting, ...")
@click.option("--verdict", help="Bots of one verdict: they are then not even shown as bots.")
@WHY
@click.pass_context
def exclude(context: click.Context, /, why: str, **patterns: str | None) -> None:
    """Leave events of pages, or whole visits, out of every number."""
    given = [Exclusion(kind=kind, pattern=patterns[kind] or "") for kind in EXCLUSION_KINDS if patterns[kind]]
    _one(given, "--" + ", --".join(EXCLUSION_KINDS))
    _add(context, Rules(exclusions=tuple(given)), why)


@add.command()
@click.option("--user-agent", help="A user agent: *AcmeProbe*, in any case.")
@click.option("--network", help="A kind of network.")
@WHY
@click.pass_context
def bot(context: click.Context, /, why: str, **patterns: str | None) -> None:
    """Count visits as bots."""
    given = _judging("bot", patterns)
    _one(given, "--user-agent, --network")
    _add(context, Rules(bots=given), why)


@add.command()
@click.option("--user-agent", help="A user agent: *OurApp/*, in any case.")
@click.option("--verdict", help="A verdict of the built-in list that is no verdict here.")
@click.option("--network", help="A kind of network that is no verdict here: hosting.")
@WHY
@click.pass_context
def human(context: click.Context, /, why: str, **patterns: str | None) -> None:
    """Count visits as human that the built-in list calls bots."""
    given = _judging("human", patterns)
    _one(given, "--user-agent, --verdict, --network")
    _add(context, Rules(bots=given), why)


@add.command()
@click.option("--referrer", help="A host, or host and path.")
@click.option("--utm-source", help="What a link says of itself.")
@click.option("--as", "name", required=True, help="What the source is called.")
@click.option("--channel", help="Its channel, unless what it would be is right.")
@WHY
@click.pass_context
def source(
    context: click.Context, /, name: str, channel: str | None, why: str, **patterns: str | None
) -> None:
    """Call the source of visits something else."""
    given = tuple(
        SourceRule(by=cast("LinkFact", by), pattern=pattern, source=name, channel=channel)
        for by, pattern in patterns.items()
        if pattern
    )
    _one(given, "--referrer, --utm-source")
    _add(context, Rules(sources=given), why)


@add.command()
@click.argument("name")
@click.option("--event", help="Reached by custom events of this name.")
@click.option("--page", help="Reached by views of such pages.")
@WHY
@click.pass_context
def goal(context: click.Context, /, name: str, event: str | None, page: str | None, why: str) -> None:
    """Count how often NAME is reached."""
    _add(context, Rules(goals=(Goal(name=name, event=event, page=page),)), why)


@add.command()
@click.argument("name")
@WHY
@click.pass_context
def hostname(context: click.Context, /, name: str, why: str) -> None:
    """NAME is the site's own: links from it are no referrers."""
    _add(context, Rules(hostnames=(name,)), why)


def _judging(counts_as: Literal["bot", "human"], patterns: dict[str, str | None]) -> tuple[BotRule, ...]:
    return tuple(
        BotRule(counts_as=counts_as, by=cast("Judged", by), pattern=pattern)
        for by, pattern in patterns.items()
        if pattern
    )


def _one(given: Sequence[object], options: str) -> None:
    if len(given) != 1:
        raise click.UsageError(f"give one of {options}")


def _add(context: click.Context, more: Rules, why: str) -> None:
    added(context.ensure_object(CliContext), context.meta["site"], more, why)
