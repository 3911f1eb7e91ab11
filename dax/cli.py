"""`python -m dax serve` and `python -m dax flush`; each option can come from a variable too."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import structlog
import uvloop

from dax.errors import SetupError
from dax.server import Server
from dax.settings import Settings

_F = TypeVar("_F", bound=Callable[..., Any])

_DEFAULT = Settings()
_PORT = click.IntRange(0, 65_535)
_SECONDS = click.FloatRange(0)


def _option(name: str, kind: Any, default: object, text: str, variable: str = "") -> Callable[[_F], _F]:
    """An option that the variable DAX_... of the same name gives as well."""
    envvar = variable or "DAX_" + name.upper().replace("-", "_")
    return click.option(
        f"--{name}", type=kind, default=default, help=text, envvar=envvar, show_default=True, show_envvar=True
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """A DAX node in front of any DynamoDB endpoint."""


@main.command()
@_option("host", str, _DEFAULT.host, "Where to listen for clients.")
@_option("port", _PORT, _DEFAULT.port, "0 takes a free one.")
@_option("http-host", str, _DEFAULT.http_host, "Where to serve health, metrics and flush.")
@_option("http-port", _PORT, _DEFAULT.http_port, "0 takes a free one.")
@_option("endpoint", str, "", "URL of DynamoDB; without it, that of the region.")
@_option("region", str, _DEFAULT.region, "AWS region, which signatures name.", "AWS_REGION")
@_option("state", click.Path(path_type=Path), _DEFAULT.state, "Folder of the attribute lists; keep it.")
@_option("advertise", str, "", "host:port to give to clients, if not what they connected to.")
@_option("item-ttl", _SECONDS, _DEFAULT.item_ttl_s, "Seconds an item is kept; 0: until space is needed.")
@_option("query-ttl", _SECONDS, _DEFAULT.query_ttl_s, "Seconds a result set is kept; 0: not at all.")
@_option("absent-ttl", _SECONDS, _DEFAULT.absent_ttl_s, "Seconds it is remembered that nothing was there.")
@_option("memory-mb", click.IntRange(1), _DEFAULT.memory_max_bytes >> 20, "For both caches, half each.")
@_option("tls-certificate", click.Path(path_type=Path), None, "PEM file; with it, only TLS is spoken.")
@_option("tls-key", click.Path(path_type=Path), None, "PEM file, if not in that of the certificate.")
@_option("connections-max", click.IntRange(1), _DEFAULT.connections_max, "Connections at once.")
@_option("calls-max", click.IntRange(1), _DEFAULT.calls_max, "Calls of DynamoDB at once.")
@_option("log-level", click.Choice(["debug", "info", "warning", "error"]), "info", "From which level to log.")
def serve(
    item_ttl: float, query_ttl: float, absent_ttl: float, memory_mb: int, log_level: str, **options: Any
) -> None:
    """Serve until SIGTERM or SIGINT."""
    _log_from(log_level)
    settings = Settings(
        item_ttl_s=item_ttl,
        query_ttl_s=query_ttl,
        absent_ttl_s=absent_ttl,
        memory_max_bytes=memory_mb << 20,
        **options,
    )
    try:
        uvloop.run(_serve(settings))
    except SetupError as error:
        raise click.ClickException(str(error)) from None


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(settings)
    await server.start()
    await stop.wait()
    await server.stop()


@main.command()
@_option("http", str, f"{_DEFAULT.http_host}:{_DEFAULT.http_port}", "host:port of the node's HTTP side.")
@click.option("--table", help="Only what is of this table.")
def flush(http: str, table: str | None) -> None:
    """Make a running node forget what it has cached, as after a table was deleted or restored."""
    try:
        answer = httpx.post(f"http://{http}/flush", params={"table": table} if table else None, timeout=10)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise click.ClickException(f"the node at {http} was not flushed: {error}") from None
    click.echo(answer.text.strip())


def _log_from(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
