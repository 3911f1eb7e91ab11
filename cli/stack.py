"""`recount up`, `down`, `status`, `logs`, `scale`, `env`, `clean-data`: the local stack."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.front import reading_url
from deploy.local.health import Health
from deploy.local.layout import (
    SCALABLE,
    Layout,
    Manifest,
    instances_from_env,
    load_manifest,
    settings_here,
)
from deploy.local.operator import password_file
from deploy.local.status import Status, as_json, snippet, take, urls
from deploy.local.up import Stack, refuse_other_settings, running_manifest
from edge.front import OPERATOR
from recount.errors import Conflict, InvalidInput
from recount.settings import DAGSTER_PREFIX

ALL_PARTS: Final = (
    *("kafka", "dynamodb", "dax", "cloudwatch", "consul", "nursery", "ingest", "shipper", "live"),
    *("store_batches", "publish_metrics", "dashboard", "autoscaler", "traefik", "haproxy"),
    *("dagster-code", "dagster-webserver", "dagster-daemon"),
)
LOG_LINES_SHOWN: Final = 20
LATER: Final = {
    "consul": "{why}. Until it is there, every part is reached on its own port and the front door stays"
    " closed; `./recount status` shows how far it is.",
    "haproxy": "the front door opens by itself when Consul is there.",
}


class Shown:
    """Shows a start: a line that moves while a person watches, plain lines otherwise."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn(),
            console=console, transient=True, disable=not self._live,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._said: set[str] = set()

    def __enter__(self) -> Shown:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, text: str, done: int = 0, total: int = 0) -> None:
        if self._live:
            self._move("step", text, done, total)
        elif text not in self._said:
            self._said.add(text)
            self._console.print(text)

    def waiting(self, part: str, why: str) -> None:
        if self._live:
            self._move(part, f"{part}: {why}")

    def scaling(self, part: str, how_far: str) -> None:
        if self._live:
            self._move(part, how_far)
        elif how_far not in self._said:
            self._said.add(how_far)
            self._console.print(how_far, highlight=False, soft_wrap=True)

    def healthy(self, part: str, after_s: float) -> None:
        if part in self._tasks:
            self._progress.remove_task(self._tasks.pop(part))
        self._progress.console.print(f"[green]✓[/green] {part} [dim]{after_s:.1f} s[/dim]", highlight=False)

    def joins_later(self, part: str, why: str) -> None:
        if part in self._tasks:
            self._progress.remove_task(self._tasks.pop(part))
        self._progress.console.print(f"[yellow]…[/yellow] {part}: {LATER.get(part, '{why}').format(why=why)}")

    def warn(self, text: str) -> None:
        self._progress.console.print(f"[yellow]![/yellow] {text}")

    def _move(self, key: str, text: str, done: int = 0, total: int = 0) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(text, total=None)
        self._progress.update(self._tasks[key], description=text, completed=done, total=total or None)


@click.command()
@click.option("--ingest", type=click.IntRange(1, 20), help="Instances of the ingest.")
@click.option("--live", type=click.IntRange(1, 20), help="Instances of the real-time service.")
@click.option("--dashboard", type=click.IntRange(1, 20), help="Instances of the dashboard.")
@click.option(
    "--only", multiple=True, type=click.Choice(ALL_PARTS), help="Start only these parts and what they need."
)
@click.option("--free-ports", is_flag=True, help="Take ports that are free now instead of the usual ones.")
def up(only: Sequence[str], free_ports: bool, **instances: int | None) -> None:
    """Start everything in the background, wait until it is healthy, print where it is."""
    began = time.monotonic()
    manifest = _manifest_to_start({k: v for k, v in instances.items() if v}, free_ports=free_ports)
    console = Console()
    with Shown(console) as shown:
        stack = Stack(manifest, shown)
        stack.up(only or None)
        for part, wanted in instances.items():
            if wanted and wanted != manifest.instances.get(part, 1):  # it ran already, with another number
                stack.scale(part, wanted)
    console.print(f"Up in {time.monotonic() - began:.1f} s.\n", highlight=False)
    _print_places(console, manifest, only)


@click.command()
def down() -> None:
    """Stop everything and keep the data."""
    manifest = _manifest()
    console = Console()
    with console.status("Stopping"):
        ran = Stack(manifest).down()
    console.print("Stopped; the data is kept." if ran else "Nothing was running.")


@click.command()
@click.option("--json", "as_object", is_flag=True, help="For scripts: parts and urls as one JSON object.")
def status(as_object: bool) -> None:
    """Show parts, health, ports, consumer lag and the newest published hour.

    Exit code 0 where every part is healthy, 3 where some are not or nothing runs.
    """
    seen = take(_manifest())
    if as_object:
        click.echo(json.dumps(as_json(seen)))
    else:
        _print_status(Console(), seen)
    sys.exit(0 if seen.healthy else 3)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice([*ALL_PARTS, "supervisor"]))
@click.option("-f", "--follow", is_flag=True, help="Go on as lines arrive.")
@click.option(
    "-n", "--lines", default=LOG_LINES_SHOWN, show_default=True, help="Lines of each part to begin with."
)
def logs(parts: Sequence[str], follow: bool, lines: int) -> None:
    """Show what PARTS log (all parts where none is named)."""
    layout = Layout.of(_manifest().settings)
    files = [layout.log(part) for part in parts] if parts else sorted(layout.logs.glob("*.log"))
    there = [str(path) for path in files if path.exists()]
    if not there:
        raise InvalidInput(f"there are no logs in {layout.logs} yet; `./recount up` starts the stack")
    following = ["-F"] if follow else []
    with_names = ["-v"] if len(there) > 1 else []
    try:
        subprocess.run(["tail", "-n", str(lines), *with_names, *following, *there], check=False)
    except KeyboardInterrupt:
        click.echo()


@click.command()
@click.argument("part", type=click.Choice(SCALABLE))
@click.argument("instances", type=click.IntRange(1, 20))
def scale(part: str, instances: int) -> None:
    """Run INSTANCES instances of PART, each on a port of its own, without stopping the others.

    An ingest instance is stopped when its spool is empty: while Kafka is away that waits. Whoever is
    interrupted leaves it to the autoscaler.
    """
    try:
        with Shown(Console()) as shown:
            Stack(_manifest(), shown).scale(part, instances)
    except KeyboardInterrupt:
        raise Conflict(f"not done yet; {part} goes on to {instances} while the autoscaler runs") from None
    click.echo(f"{part}: {instances} instance{'s' if instances > 1 else ''}")


@click.command()
@click.argument("part", type=click.Choice(ALL_PARTS))
def restart(part: str) -> None:
    """Start PART afresh, with the code of now.

    After a change of the definitions of Dagster: `recount restart dagster-code`.
    """
    console = Console()
    with Shown(console) as shown:
        Stack(_manifest(), shown).restart(part)


@click.command()
def env() -> None:
    """Print the settings of the stack as shell variables: eval "$(recount env)"."""
    for name, value in _manifest().env.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@click.command("clean-data")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean_data(yes: bool) -> None:
    """Stop everything and delete all data of this working copy's stack."""
    layout = Layout.of(_manifest().settings)
    if not layout.state.exists():
        click.echo("There is no data.")
        return
    if not yes:
        click.confirm(
            f"Delete everything in {layout.state}: events, archive, numbers, sites, logs?", abort=True
        )
    Stack(_manifest()).down()
    shutil.rmtree(layout.state)
    shutil.rmtree(layout.sockets, ignore_errors=True)
    click.echo("Deleted.")


def _manifest() -> Manifest:
    """Of the stack of this folder, as it was last started or would be."""
    settings = settings_here()
    return load_manifest(Layout.of(settings)) or Manifest(settings.to_env(), instances_from_env())


def _manifest_to_start(instances: dict[str, int], *, free_ports: bool) -> Manifest:
    settings = settings_here()
    running = running_manifest(Layout.of(settings))
    if running:
        refuse_other_settings(running, dict(os.environ))
        return running
    if free_ports:
        from deploy.local.ports import with_free_ports

        settings = with_free_ports(settings)
    return Manifest(settings.to_env(), instances_from_env() | instances)


def _print_places(console: Console, manifest: Manifest, only: Sequence[str]) -> None:
    settings = manifest.settings
    places = urls(settings)
    if only:
        for name in (name for name in only if name in places):
            console.print(f"{name:<16}{places[name]}", highlight=False)
        return
    console.print(f"Dashboard   {reading_url(settings)}/demo", highlight=False)
    console.print(f"Dagster     {places['dagster']}", highlight=False)
    console.print(
        f"            through the front: {DAGSTER_PREFIX}, user {OPERATOR}, password in"
        f" {password_file(settings.state)}",
        highlight=False,
        soft_wrap=True,
    )
    console.print("Put this into a page to count its visits for the site demo:", highlight=False)
    console.print(f"  {snippet(settings, 'demo')}", highlight=False, markup=False, soft_wrap=True)
    console.print("Or send believable traffic: ./recount demo", highlight=False)


def _word(part: Health) -> str:
    if part.healthy:
        return "[green]healthy[/green]"
    return "[red]down[/red]" if part.broken or not part.joining else "[yellow]joins later[/yellow]"


def _print_status(console: Console, seen: Status) -> None:
    table = Table("part", "health", "port", "detail", box=None, pad_edge=False)
    for part in seen.parts:
        table.add_row(part.name, _word(part), str(part.port or ""), part.detail)
    console.print(table)
    for group, records in seen.lag.items():
        console.print(f"lag of {group}: {records} records", highlight=False)
    console.print(f"newest published hour: {seen.published_until or 'none yet'}", highlight=False)
