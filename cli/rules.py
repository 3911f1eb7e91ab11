"""`recount rules`: rules are changed in a draft, which is looked at before it counts."""

from __future__ import annotations

from dataclasses import fields
from shlex import quote
from typing import TextIO

import click
import msgspec

from cli.context import CliContext, pass_context
from cli.rules_add import add
from cli.rules_draft import activate, discard, preview, revert
from cli.rules_editing import WHY, print_lines, save, worked_on
from recount.errors import InvalidInput
from recount.periods import moment_in_words
from recount.rules import EVERY_SITE, Rules, difference, whose, without
from recount.store.catalog import Site
from recount.store.rule_versions import Version
from recount.store.rulebook import Rulebook


@click.group()
def rules() -> None:
    """What is left out, who is a bot, what a source is called: versioned, site by site.

    \b
    recount rules add SITE exclude --page "/admin/*"     changes a draft; nothing is counted by it yet
    recount rules preview SITE                           counts the last 30 days by it, beside what is shown
    recount publish ID                                   shows that, and counts by it from now on

    With '*' (in quotes) as SITE the rules are those for all sites, also for the ones to come.
    """


for command in (add, preview, activate, discard, revert):
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
    print_lines(site.rules.lines)
    common = book.common()
    if site.id != EVERY_SITE and common.rules.lines:
        click.echo(f"And rules {common.rules_version} {whose(EVERY_SITE)}:")
        print_lines(common.rules.lines)
    if len(site.timeline) > 1:
        click.echo("By hour:")
        for since in site.timeline:
            click.echo(
                f"  {'from ' + since.hour if since.hour else 'from the beginning':<22}  rules {since.version}"
            )
    draft = book.draft(site)
    if draft is not None:
        click.echo(f"Draft {draft.version}{_made(draft)}:")
        print_lines(difference(site.rules, draft.rules))
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
            print_lines(difference(book.version(site_id, version.made_from).rules, version.rules))


@rules.command()
@click.argument("site_id", metavar="SITE")
@click.argument("rule")
@WHY
@pass_context
def remove(context: CliContext, /, site_id: str, rule: str, why: str) -> None:
    """Take RULE out of the draft of SITE: its words, as `recount rules show` prints them."""
    before = worked_on(context, site_id)
    after = without(before, " ".join(rule.split()))
    if after is None:
        known = "\n  ".join(before.lines) or "none"
        raise InvalidInput(f"there is no rule {rule!r}; there are:\n  {known}", field="rule")
    save(context, site_id, after, why)


@rules.command()
@click.argument("site_id", metavar="SITE")
@click.option("--file", type=click.File("r"), help="Take the rules from a JSON file; - is standard input.")
@WHY
@pass_context
def edit(context: CliContext, /, site_id: str, file: TextIO | None, why: str) -> None:
    """Write the rules of SITE as JSON, in your editor or from a file; the result is the draft."""
    before = worked_on(context, site_id)
    if file is not None:
        text: str | None = file.read()
    else:
        text = click.edit(msgspec.json.format(msgspec.json.encode(before)).decode(), extension=".json")
    if text is None:
        click.echo("Nothing was saved; the rules stay as they are.")
        return
    save(context, site_id, _read(text), why)


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


def _print_version(book: Rulebook, version: Version) -> None:
    site = book.site(version.site)
    click.echo(f"Rules {version.version} {whose(site.id)}, {_state(book, site, version)}{_made(version)}:")
    print_lines(version.rules.lines)


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
