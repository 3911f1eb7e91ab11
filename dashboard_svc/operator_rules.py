"""Rules in words for operators: what is in force, and what a version changes."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Final

from dashboard_svc.desk import Desk
from recount.rules import Rules, difference, whose
from recount.store.catalog import Site

RULED_SITES_MAX: Final = 200


@dataclass(frozen=True)
class InForce:
    """What counts a site, or all, in words; `history`: the command that prints all versions."""

    title: str
    since: str
    says: list[str]
    history: str


@dataclass(frozen=True)
class RulesPage:
    """`left_out`: how many more sites have rules."""

    in_force: list[InForce]
    left_out: int


def changed(desk: Desk, owner: str, number: int) -> tuple[str, list[str]]:
    """`Rules 3 of demo`, and how they differ from those that they were made from."""
    title, found = f"Rules {number} {whose(owner)}", desk.rulebook.find(owner, number)
    if found is None:
        return f"{title} are not known any more", []
    before = desk.rulebook.find(owner, found.made_from)
    return f"{title}, against {found.made_from}", difference(
        Rules() if before is None else before.rules, found.rules
    )


def rules(desk: Desk) -> RulesPage:
    """What is in force now, for all sites and for each that has rules of its own."""
    common = desk.rulebook.common()
    own = [site for _, site in sorted(desk.sites().items()) if site.rules.lines]
    shown = [_in_force(site) for site in (common, *own[:RULED_SITES_MAX])]
    return RulesPage(shown, max(0, len(own) - RULED_SITES_MAX))


def _in_force(site: Site) -> InForce:
    """A version counts from the hour that the timeline says last; of one that always did it says nothing."""
    since = site.timeline[-1].hour if site.timeline else ""
    return InForce(
        f"Rules {site.rules_version} {whose(site.id)}",
        f"from {since} (UTC) on" if since else "from the beginning",
        site.rules.lines or ["nothing"],
        f"recount rules history {quote(site.id)}",
    )
