"""`recount rules` and `recount goals`: rules are changed in a draft, which is looked at before it counts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from shlex import quote
from typing import Final, Literal, TextIO, cast

import click
import msgspec

from cli.context import CliContext, pass_context
from cli.publishing import operator
from cli.rules_draft import activate, discard, preview, revert
from recount.errors import InvalidInput
from recount.periods import moment_in_words
from recount.rule_checks import checked
from recount.rules import (
    EVERY_SITE,
    EXCLUSION_KINDS,
    BotRule,
    Exclusion,
    Goal,
    Judged,
    LinkFact,
    Rules,
    SourceRule,
    difference,
    goals_of,
    whose,
    without,
)
from recount.store.catalog import Site
from recount.store.rule_versions import Version
from recount.store.rulebook import Rulebook

WHY: Final = click.option("--why", default="", help="Why; it is kept with the version.")


@click.group()
def rules() -> None:
    """What is left out, who is a bot, what a source is called: versioned, site by site.

    \b
    recount rules add SITE exclude --page "/admin/*"     changes a draft; nothing is counted by it yet
    recount rules preview SITE                           counts the last 30 days by it, beside what is shown
    recount publish ID                                   shows that, and counts by it from now on

    With '*' (in quotes) as SITE the rules are those for all sites, also for the ones to come.
    """


for command in (preview, activate, discard, revert):
    rules.add_command(command)


@rules.command()
@click.argument("site_id", metavar="SITE")
@click.argument("version", type=int, required=False)
@pass_context
def show(context: CliContext, /, site_id: str, version: int | None) -> None:
    """The rules that count SITE (the common ones: '*'), and the draft; or one VERSION."""
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    if version is not None:
        _print_version(book, book.version(site_id, version))
        return
    click.echo(f"Rules {site.rules_version} {whose(site.id)} are in force:")
    _print_lines(site.rules.lines)
    common = book.common()
    if site.id != EVERY_SITE and common.rules.lines:
        click.echo(f"And rules {common.rules_version} {whose(EVERY_SITE)}:")
        _print_lines(common.rules.lines)
    if len(site.timeline) > 1:
        click.echo("By hour:")
        for since in site.timeline:
            click.echo(
                f"  {'from ' + since.hour if since.hour else 'from the beginning':<22}  rules {since.version}"
            )
    draft = book.draft(site)
    if draft is not None:
        click.echo(f"Draft {draft.version}{_made(draft)}:")
        _print_lines(difference(site.rules, draft.rules))
        for name in draft.previews[-1:]:
            click.echo(f"  previewed: recount diff {name}, recount publish {name}")
        if not draft.previews:
            click.echo(f"  next: recount rules preview {quote(site.id)}")


@rules.command("history")
@click.argument("site_id", metavar="SITE")
@pass_context
def history_(context: CliContext, /, site_id: str) -> None:
    """Every version with what it changed, newest first."""
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    for version in reversed(book.versions(site_id)):
        click.echo(f"{version.version:>4}  {_state(book, site, version)}{_made(version)}")
        if version.made_from:
            _print_lines(difference(book.version(site_id, version.made_from).rules, version.rules))


@rules.group()
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


@rules.command()
@click.argument("site_id", metavar="SITE")
@click.argument("rule")
@WHY
@pass_context
def remove(context: CliContext, /, site_id: str, rule: str, why: str) -> None:
    """Take RULE out of the draft of SITE: its words, as `recount rules show` prints them."""
    before = _worked_on(context, site_id)
    after = without(before, " ".join(rule.split()))
    if after is None:
        known = "\n  ".join(before.lines) or "none"
        raise InvalidInput(f"there is no rule {rule!r}; there are:\n  {known}", field="rule")
    _save(context, site_id, after, why)


@rules.command()
@click.argument("site_id", metavar="SITE")
@click.option("--file", type=click.File("r"), help="Take the rules from a JSON file; - is standard input.")
@WHY
@pass_context
def edit(context: CliContext, /, site_id: str, file: TextIO | None, why: str) -> None:
    """Write the rules of SITE as JSON, in your editor or from a file; the result is the draft."""
    before = _worked_on(context, site_id)
    if file is not None:
        text: str | None = file.read()
    else:
        text = click.edit(msgspec.json.format(msgspec.json.encode(before)).decode(), extension=".json")
    if text is None:
        click.echo("Nothing was saved; the rules stay as they are.")
        return
    _save(context, site_id, _read(text), why)


@click.group()
def goals() -> None:
    """The goals of a site. They are rules: a change is a draft until it is published."""


@goals.command("list")
@click.argument("site_id", metavar="SITE")
@pass_context
def list_goals(context: CliContext, /, site_id: str) -> None:
    """The goals that SITE is counted by, those for all sites among them."""
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    common = () if site_id == EVERY_SITE else book.common().goals
    _print_lines([str(goal) for goal in goals_of(site.goals, common)])


@goals.command("add")
@click.argument("site_id", metavar="SITE")
@click.argument("name")
@click.option("--event", help="Reached by custom events of this name.")
@click.option("--page", help="Reached by views of such pages: /thanks, /docs/*.")
@WHY
@pass_context
def add_goal(
    context: CliContext, /, site_id: str, name: str, event: str | None, page: str | None, why: str
) -> None:
    """Count how often NAME is reached on SITE."""
    _added(context, site_id, Rules(goals=(Goal(name=name, event=event, page=page),)), why)


@goals.command("remove")
@click.argument("site_id", metavar="SITE")
@click.argument("name")
@WHY
@pass_context
def remove_goal(context: CliContext, /, site_id: str, name: str, why: str) -> None:
    """Count the goal NAME of SITE no more."""
    before = _worked_on(context, site_id)
    kept = tuple(goal for goal in before.goals if goal.name != name)
    if kept == before.goals:
        known = ", ".join(sorted({goal.name for goal in kept})) or "none"
        raise InvalidInput(f"there is no goal {name!r} (known: {known})", field="goal")
    _save(context, site_id, replace(before, goals=kept), why)


def _read(text: str) -> Rules:
    known = [field.name for field in fields(Rules)]
    try:
        for name in msgspec.json.decode(text, type=dict[str, object]):
            if name not in known:
                detail = f"there are no rules {name!r} (known: {', '.join(known)})"
                raise InvalidInput(detail, field="rules")
        return msgspec.json.decode(text, type=Rules)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"these are no rules: {error}", field="rules") from None


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
    _added(context.ensure_object(CliContext), context.meta["site"], more, why)


def _added(context: CliContext, site_id: str, more: Rules, why: str) -> None:
    before = _worked_on(context, site_id)
    after = Rules(
        hostnames=before.hostnames + more.hostnames,
        goals=before.goals + more.goals,
        exclusions=before.exclusions + more.exclusions,
        bots=before.bots + more.bots,
        sources=before.sources + more.sources,
    )
    _save(context, site_id, after, why)


def _worked_on(context: CliContext, site_id: str) -> Rules:
    """The draft, or what is in force."""
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    draft = book.draft(site)
    return site.rules if draft is None else draft.rules


def _save(context: CliContext, site_id: str, rules: Rules, why: str) -> None:
    book = Rulebook(context.tables().catalog)
    site = book.site(site_id)
    now_ms = time.time_ns() // 1_000_000
    draft = book.edit(site, checked(rules), by=operator(), why=why, now_ms=now_ms)
    click.echo(f"Draft {draft.version} of the rules {whose(site_id)}, against {site.rules_version} in force:")
    _print_lines(difference(site.rules, draft.rules))
    click.echo(
        f"Nothing is counted by it yet. See what it would change: recount rules preview {quote(site_id)}"
    )


def _print_version(book: Rulebook, version: Version) -> None:
    site = book.site(version.site)
    click.echo(f"Rules {version.version} {whose(site.id)}, {_state(book, site, version)}{_made(version)}:")
    _print_lines(version.rules.lines)


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines or ["none"]:
        click.echo(f"  {line}")


def _state(book: Rulebook, site: Site, version: Version) -> str:
    if version.version == site.rules_version:
        return "in force"
    draft = book.draft(site)
    if draft is not None and draft.version == version.version:
        return "draft"
    if version.version in {since.version for since in site.timeline}:
        return "counts older hours"
    return "discarded" if version.discarded else "withdrawn" if version.in_force_ms else "never in force"


def _made(version: Version) -> str:
    moment = moment_in_words(version.made_ms)
    by = f" by {version.by}" if version.by else ""
    return f", {moment}{by}" + (f": {version.why}" if version.why else "")
