"""`recount goals`: the rules that say what counts as reached."""

from __future__ import annotations

from dataclasses import replace

import click

from cli.context import CliContext, pass_context
from cli.rules_editing import WHY, added, print_lines, save, worked_on
from recount.errors import InvalidInput
from recount.rules import EVERY_SITE, Goal, Rules, goals_of
from recount.store.rulebook import Rulebook


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
    print_lines([str(goal) for goal in goals_of(site.goals, common)])


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
    added(context, site_id, Rules(goals=(Goal(name=name, event=event, page=page),)), why)


@goals.command("remove")
@click.argument("site_id", metavar="SITE")
@click.argument("name")
@WHY
@pass_context
def remove_goal(context: CliContext, /, site_id: str, name: str, why: str) -> None:
    """Count the goal NAME of SITE no more."""
    before = worked_on(context, site_id)
    kept = tuple(goal for goal in before.goals if goal.name != name)
    if kept == before.goals:
        known = ", ".join(sorted({goal.name for goal in kept})) or "none"
        raise InvalidInput(f"there is no goal {name!r} (known: {known})", field="goal")
    save(context, site_id, replace(before, goals=kept), why)
