"""`recount dead`: what is in quarantine, why, and back behind the door once it can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import click
import orjson

from cli.context import CliContext, pass_context
from cli.quarantined import Listed, Quarantine, Row, moment
from recount.dead_letters import AT_ONCE_MAX, LETTERS_MAX, Outcome, why
from recount.errors import InvalidInput

SITES_SHOWN: Final = 4
EACH_MAX: Final = 1_000


@click.group()
def dead() -> None:
    """Records in quarantine: see why they cannot be counted, and replay them after a fix.

    An id is topic/partition/offset of the record, or spool/... for what could not be shipped to Kafka.
    """


_last = click.option(
    "--last",
    default=LETTERS_MAX,
    show_default=True,
    type=click.IntRange(min=1),
    help="Look at the newest N dead letters.",
)


@dead.command("list")
@click.option("--reason", help="Only letters with this reason.")
@click.option("--each", is_flag=True, help=f"A line a letter, at most {EACH_MAX:,}.")
@click.option("--all", "with_replayed", is_flag=True, help="Also what was replayed already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_last
@pass_context
def list_letters(
    context: CliContext,
    /,
    reason: str | None,
    each: bool,
    with_replayed: bool,
    as_json: bool,
    last: int,
) -> None:
    """What is in quarantine, grouped by reason."""
    quarantine = Quarantine(context, last)
    found = [
        Row.of(listed)
        for listed in quarantine.letters("Looking through the quarantine")
        if (with_replayed or listed.fate.state != "replayed") and reason in (None, listed.reason)
    ]
    if as_json:
        shown = {"letters": found[:EACH_MAX]} if each else {}
        body = {"reasons": _grouped(found), "older_left_out": quarantine.left_out, **shown}
        click.echo(orjson.dumps(body).decode())
        return
    show_all = _print_each if each else _print_grouped
    show_all(found)
    if quarantine.left_out:
        click.echo(f"{quarantine.left_out:,} older letters were left out; --last takes more.")


@dead.command("show")
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_last
@pass_context
def show(context: CliContext, /, letter_id: str, as_json: bool, last: int) -> None:
    """The whole record ID: its reason, its place, how it fails today, and what retries made of it."""
    quarantine = Quarantine(context, last)
    listed = next((x for x in quarantine.letters("Looking for it") if x.letter.id == letter_id), None)
    if listed is None:
        raise InvalidInput(f"there is no letter {letter_id!r}; `recount dead list --each` names them")
    outcome = quarantine.retrier.judge([listed.letter])[0]
    if as_json:
        body = {**asdict(Row.of(listed)), "now": asdict(outcome), "value": _text(listed.letter.value)}
        click.echo(orjson.dumps(body).decode())
    else:
        _print_one(listed, outcome)


@dead.command("retry")
@click.option("--reason", help="Only letters with this reason.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this letter (repeatable).")
@click.option("--dry-run", is_flag=True, help="Say what would be replayed, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_last
@pass_context
def retry(
    context: CliContext,
    /,
    reason: str | None,
    ids: Sequence[str],
    dry_run: bool,
    as_json: bool,
    last: int,
) -> None:
    """Replay what can be read now, each record as it was: time, id, country and visitor stay.

    What still fails stays in quarantine with its present reason. Replayed twice is counted once.
    """
    quarantine = Quarantine(context, last)
    chosen = (
        listed
        for listed in quarantine.letters("Retrying")
        if listed.fate.state != "replayed"
        and reason in (None, listed.reason)
        and (not ids or listed.letter.id in ids)
    )
    outcomes = [o for batch in _batches(chosen) for o in quarantine.retry(batch, dry_run=dry_run)]
    _refuse_unknown(ids, outcomes, quarantine)
    failing = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    replayed = len(outcomes) - failing.total()
    if as_json:
        body = {"dry_run": dry_run, "replayed": replayed, "still_failing": failing}
        click.echo(orjson.dumps(body).decode())
    else:
        _print_retry(replayed, failing, dry_run=dry_run)


def _batches(listed: Iterator[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    for each in listed:
        batch.append(each)
        if len(batch) == AT_ONCE_MAX:
            yield batch
            batch = []
    if batch:
        yield batch


def _refuse_unknown(ids: Sequence[str], outcomes: Sequence[Outcome], quarantine: Quarantine) -> None:
    missing = {*ids} - {outcome.id for outcome in outcomes}
    if not missing:
        return
    fates = quarantine.fates.of(missing)
    for name in sorted(missing):
        if name in fates and fates[name].state == "replayed":
            click.echo(f"{name} was replayed already, {moment(fates[name].at_ms)}.", err=True)
        else:
            raise InvalidInput(f"there is no letter {name!r}; `recount dead list --each` names them")


def _grouped(found: Sequence[Row]) -> list[dict[str, Any]]:
    groups: dict[str, list[Row]] = {}
    for row in found:
        groups.setdefault(row.reason, []).append(row)
    return [
        {
            "reason": reason,
            "letters": len(group),
            "states": Counter(row.state for row in group),
            "sites": Counter(row.site or "unknown" for row in group),
            "first_ms": min(row.quarantined_ms for row in group),
            "last_ms": max(row.quarantined_ms for row in group),
            "example": group[-1].id,
        }
        for reason, group in sorted(groups.items(), key=lambda entry: -len(entry[1]))
    ]


def _print_grouped(found: Sequence[Row]) -> None:
    if not found:
        click.echo("Nothing is in quarantine.")
        return
    for group in _grouped(found):
        sites = [f"{site} {count:,}" for site, count in group["sites"].most_common(SITES_SHOWN)]
        more = len(group["sites"]) - len(sites)
        named = ", ".join(sites) + (f" and {more} more" if more else "")
        times = f"{moment(group['first_ms'])} to {moment(group['last_ms'])} UTC"
        click.echo(f"{group['reason']}: {group['letters']:,}, {times}")
        click.echo(f"  sites        {named}\n  for example  {group['example']}")
    click.echo("See one: recount dead show ID. After a fix: recount dead retry --dry-run.")


def _print_each(found: Sequence[Row]) -> None:
    for row in found[:EACH_MAX]:
        where = f"{row.site or 'unknown site'}, {row.hour or 'unknown hour'}"
        click.echo(f"{row.id}  {row.reason}  {where}  {moment(row.quarantined_ms)}  {row.state}")
    if len(found) > EACH_MAX:
        click.echo(f"and {len(found) - EACH_MAX:,} more")


def _print_one(listed: Listed, outcome: Outcome) -> None:
    letter, seen, fate = listed.letter, listed.letter.seen, listed.fate
    lines = [
        ("id", letter.id),
        ("reason", f"{letter.reason}: {why(letter.value, letter.reason)}".rstrip(": ")),
        ("quarantined", f"{moment(letter.kept_ms)} UTC"),
        ("site, hour", f"{seen.site or 'unknown'}, {seen.hour or 'unknown'}"),
        ("spool, number", f"{seen.spool or 'unknown'}, {'unknown' if seen.seq is None else seen.seq}"),
        ("today", f"{outcome.reason}: {outcome.detail}" if outcome.reason else "can be read: retry it"),
    ]
    if fate.tries:
        lines.append(("retries", f"{fate.tries}, the last {moment(fate.at_ms)} UTC: {fate.state}"))
    for name, text in lines:
        click.echo(f"{name:<15}{text}")
    click.echo(f"record, {len(letter.value):,} bytes:\n{_text(letter.value, pretty=True)}")


def _text(value: bytes, *, pretty: bool = False) -> str:
    """All of a record: JSON set out in lines, or as it is with what is no text escaped."""
    if pretty:
        try:
            return orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            pass
    return value.decode("utf-8", "backslashreplace")


def _print_retry(replayed: int, failing: Counter[str], *, dry_run: bool) -> None:
    will = "Would replay" if dry_run else "Replayed"
    click.echo(f"{will} {replayed:,}.")
    for reason, count in failing.most_common():
        click.echo(f"{count:,} still fail: {reason}")
    if replayed and not dry_run:
        click.echo("Their hours are published again by themselves, a few minutes after they are stored.")
