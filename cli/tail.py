"""`recount tail`: events as they reach the topic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import click
import orjson
from confluent_kafka import Consumer, Message, TopicPartition

from cli.context import CliContext, pass_context
from recount.ids import new_id
from recount.kafka import DEAD, EVENTS, IMPORTS, consumer, offset_ranges, source_partitions

POLL_S: Final = 0.5


@click.command()
@click.argument("site_id", metavar="SITE", required=False)
@click.option(
    "--topic",
    type=click.Choice([EVENTS, IMPORTS, DEAD]),
    default=EVENTS,
    show_default=True,
    help="What to watch.",
)
@click.option(
    "--last", default=10, show_default=True, type=click.IntRange(0, 10_000), help="Start N records back."
)
@click.option("--no-follow", is_flag=True, help="Stop at the present end.")
@click.option("--json", "as_json", is_flag=True, help="Print each event whole, one JSON object a line.")
@pass_context
def tail(
    context: CliContext, /, site_id: str | None, topic: str, last: int, no_follow: bool, as_json: bool
) -> None:
    """Print events as they arrive, of one SITE or of all. Ctrl-C ends."""
    client = consumer(context.settings, f"tail-{new_id()}")
    try:
        with suppress(KeyboardInterrupt):
            for message in _messages(context, client, topic, last, follow=not no_follow):
                line = _line(message.value() or b"", site_id, as_json)
                if line is not None:
                    click.echo(line)
    finally:
        client.close()


def _messages(
    context: CliContext, client: Consumer, topic: str, last: int, *, follow: bool
) -> Iterator[Message]:
    ranges = offset_ranges(context.settings, source_partitions(context.settings, (topic,)))
    client.assign([TopicPartition(topic, p, max(low, end - last)) for (_, p), (low, end) in ranges.items()])
    behind = {p for (_, p), (low, end) in ranges.items() if max(low, end - last) < end}
    while follow or behind:
        message = client.poll(POLL_S)
        if message is None:
            continue
        if message.error():
            raise click.ClickException(str(message.error()))
        yield message
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        if offset + 1 >= ranges[(topic, partition)][1]:
            behind.discard(partition)


def _line(value: bytes, site_id: str | None, as_json: bool) -> str | None:
    try:
        event: dict[str, Any] = orjson.loads(value)
        site = event.get("site")
    except (orjson.JSONDecodeError, AttributeError):
        return value.decode("utf-8", "backslashreplace") if site_id is None else None
    if site_id is not None and site != site_id:
        return None
    if as_json:
        return value.decode()
    moment = datetime.fromtimestamp(event.get("ts", 0) / 1000, UTC)
    what = event.get("name") or event.get("kind", "?")
    return (
        f"{moment:%H:%M:%S}  {site:<16}  {what:<12}  {event.get('country') or '--'}  {event.get('url') or ''}"
    )
