"""The `recount` command. Its subcommands live in modules that are imported only when they are run."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final, NamedTuple

import click

from recount.errors import RecountError, SetupError, Unavailable


class Entry(NamedTuple):
    """Where a subcommand is, and its line in the help (so that help imports nothing)."""

    target: str
    help: str


COMMANDS: Final[dict[str, Entry]] = {
    "up": Entry("cli.stack:up", "Start everything in the background and print where it is."),
    "down": Entry("cli.stack:down", "Stop everything and keep the data."),
    "status": Entry("cli.stack:status", "Show parts, health, ports, consumer lag, newest published hour."),
    "logs": Entry("cli.stack:logs", "Show what the parts log."),
    "scale": Entry("cli.stack:scale", "Set how many instances of a part run."),
    "restart": Entry("cli.stack:restart", "Start a part afresh, with the code of now."),
    "env": Entry("cli.stack:env", "Print the settings of the stack as shell variables."),
    "clean-data": Entry("cli.stack:clean_data", "Stop everything and delete all data (asks first)."),
    "sites": Entry("cli.sites:sites", "Add and list sites."),
    "tokens": Entry("cli.tokens:tokens", "Make, list and revoke tokens of the Stats API."),
    "rules": Entry("cli.rules:rules", "What is left out, who is a bot, what a source is; drafts, previews."),
    "goals": Entry("cli.goals:goals", "Add and list the goals of a site."),
    "demo": Entry("cli.demo:demo", "Send believable traffic to the site demo."),
    "import": Entry("cli.import_log:import_group", "Import history, such as a web server's access log."),
    "publish-open": Entry("cli.publish_open:publish_open", "Publish the hours that are still running, now."),
    "reprocess": Entry("cli.reprocess:reprocess", "Compute hours again, beside what is published."),
    "diff": Entry("cli.diff:diff", "Show what publishing a reprocessing would change."),
    "publish": Entry("cli.corrections:publish", "Publish a reprocessing, in one step."),
    "history": Entry("cli.corrections:history", "List what was published, when and why."),
    "rollback": Entry("cli.corrections:rollback", "Undo a publication."),
    "corrections": Entry(
        "cli.correction_log:corrections", "List which numbers of a site were changed, and why."
    ),
    "gc": Entry("cli.corrections:gc", "Delete generations that nothing names any more."),
    "impact": Entry("cli.impact:impact", "List what rests on a version of the logic, a run, or rules."),
    "query": Entry("cli.query:query", "Ask for numbers on the command line."),
    "funnel": Entry("cli.funnel:funnel", "Count who gets from step to step."),
    "export": Entry("cli.export:export", "Write events or numbers to a CSV or Parquet file."),
    "dead": Entry("cli.dead:dead", "See what is in quarantine, and replay it after a fix."),
    "erase": Entry("cli.erase:erase", "Take a visitor, a site, pages or a property out of everything."),
    "ledger": Entry("cli.ledger:ledger", "Show what became of every event of an hour."),
    "tail": Entry("cli.tail:tail", "Follow the events as they arrive."),
}


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
def recount() -> None:
    """Recount: web analytics that can recount.

    Start with `./recount up`, then `./recount demo`, and open the dashboard that `./recount up` names.
    """


def main() -> None:
    """Run the command line; an error raised on purpose becomes a message and exit code 1."""
    try:
        recount(prog_name="recount")
    except SetupError as error:
        _fail(error.part, error.cause, error.remedy)
    except Unavailable as error:
        _fail("", str(error), "`./recount status` shows which parts run; `make up` starts those that do not")
    except RecountError as error:
        _fail("", str(error), "")


def _fail(part: str, cause: str, remedy: str) -> None:
    click.secho(f"{part}: {cause}" if part else cause, fg="red", err=True)
    if remedy:
        click.echo(f"What to do: {remedy}", err=True)
    sys.exit(1)
