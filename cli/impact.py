"""`recount impact`: what rests on a version that turned out to be wrong."""

from __future__ import annotations

import click
import orjson
from rich.console import Console
from rich.table import Table

from cli.context import CliContext, pass_context
from cli.corrections import open_stores
from cli.hours import hour_named
from recount.publishing.impact import Impact, Impacts, of_logic, of_rules, of_run
from recount.rules import difference, whose
from recount.store.rule_versions import Version
from recount.store.rulebook import Rulebook

NAMED_MAX = 20
FIRST = 1  # the version that a site begins with


@click.command()
@click.option("--logic", type=int, help="A version of the logic (LOGIC_VERSION).")
@click.option("--run", help="A Dagster run, by its id or the beginning of it.")
@click.option("--rule", help="Rules of a site, or of all ('*'): SITE or SITE:VERSION.")
@click.option("--from", "first", help="First day or UTC hour; unless given, all.")
@click.option("--to", "last", help="Last day or UTC hour, included.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def impact(
    context: CliContext,
    /,
    logic: int | None,
    run: str | None,
    rule: str | None,
    first: str | None,
    last: str | None,
    as_json: bool,
) -> None:
    """List the published hours, sites and numbers that rest on a version of the logic, a run, or rules.

    \b
    recount impact --logic 7
    recount impact --rule demo:3 --from 2026-11-01
    recount impact --rule '*:2'
    """
    given = [of_logic(logic)] if logic is not None else []
    given += [of_run(run)] if run is not None else []
    given += [of_rules(rule)] if rule is not None else []
    if len(given) != 1:
        raise click.UsageError("give one of --logic, --run and --rule")
    stores = open_stores(context)
    span = (hour_named(first, "T00") if first else "0", hour_named(last, "T23") if last else "9999-12")
    if rule is not None and not as_json:
        _print_rules(stores.rulebook, rule)
    found = Impacts(stores.manifests, stores.segments, stores.candidates).of(given[0], span)
    if as_json:
        numbers = {"sites": found.sites, "totals": found.totals, "dimensions": found.dimensions}
        said = {} if rule is None else {"rules": [_as_json(v) for v in _asked(stores.rulebook, rule)]}
        click.echo(orjson.dumps(numbers | said).decode())
    else:
        _print(found)


def _asked(book: Rulebook, rule: str) -> list[Version]:
    """The version that is asked for, or all that were ever in force."""
    owner, _, version = rule.partition(":")
    if version:
        return [book.version(owner, int(version))]
    current = book.site(owner).rules_version
    return [v for v in book.versions(owner) if v.in_force_ms or v.version in (FIRST, current)]


def _as_json(version: Version) -> dict[str, object]:
    return {"of": version.site, "version": version.version, "why": version.why, "says": version.rules.lines}


def _print_rules(book: Rulebook, rule: str) -> None:
    """What the versions said, and what the one that followed made different."""
    for found in _asked(book, rule):
        why = f" ({found.why})" if found.why else ""
        click.echo(f"Rules {found.version} {whose(found.site)} say{why}:")
        for line in found.rules.lines or ["nothing"]:
            click.echo(f"  {line}")
    if not rule.partition(":")[2]:
        return
    later = next((v for v in book.versions(found.site) if v.version > found.version and v.in_force_ms), None)
    if later is not None:
        click.echo(f"Rules {later.version}, which followed, differ:")
        for line in difference(found.rules, later.rules):
            click.echo(f"  {line}")


def _print(found: Impact) -> None:
    if not found.sites:
        click.echo("Nothing that is published rests on it.")
        return
    counts = (len(found.hours), "hour"), (len(found.sites), "site")
    click.echo(" of ".join(f"{n:,} {name}{'' if n == 1 else 's'}" for n, name in counts) + ":")
    for first, last in found.spans[:NAMED_MAX]:
        click.echo(f"  {first}" + (f" to {last}" if first != last else ""))
    if len(found.spans) > NAMED_MAX:
        click.echo(f"  and {len(found.spans) - NAMED_MAX} ranges more")
    table = Table(box=None)
    for name in ("site", "hours", "numbers in them"):
        table.add_column(name, justify="right" if name == "hours" else "left", overflow="fold")
    for site, hours in list(found.sites.items())[:NAMED_MAX]:
        totals = found.totals.get(site, {})
        table.add_row(site, f"{len(hours):,}", ", ".join(f"{m} {n:,}" for m, n in totals.items()))
    Console().print(table)
    if len(found.sites) > NAMED_MAX:
        click.echo(f"and {len(found.sites) - NAMED_MAX} sites more (all with --json)")
    click.echo(f"dimensions: {', '.join(found.dimensions)}")
    hours = found.hours
    click.echo(f'Compute again: recount reprocess --from {hours[0]} --to {hours[-1]} --reason "..."')
