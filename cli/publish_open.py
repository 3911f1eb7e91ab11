"""`recount publish-open`: the running hour, now."""

from __future__ import annotations

import click
from rich.console import Console

from cli.context import CliContext, pass_context
from cli.publishing import publish_open as publish_running_hour


@click.command("publish-open")
@pass_context
def publish_open(context: CliContext, /) -> None:
    """Publish the hour that is still running, marked open until now.

    Its visits go on, so bounce rate and visit duration are incomplete until the hour is published for good.
    """
    publish_running_hour(context, reason="publish-open", console=Console(stderr=True))
    click.echo(f"Published. See {context.dashboard_url()}")
