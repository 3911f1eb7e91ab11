"""The report of an erasure: for each store what was done, what was there, and what is left until when."""

from __future__ import annotations

from dataclasses import dataclass

from recount.erasing.tombstone import DAY_MS
from recount.settings import Settings
from recount.store.erasures import Erasure, Line

HIDDEN = "hidden by the tombstone wherever it is read"


@dataclass(frozen=True)
class Counts:
    """What was counted: rows left by an independent look, and what was deleted on the way. `letters`: dead
    letters that are taken, None where Kafka could not be read; `forgotten` says what DAX did."""

    raw_left: int
    archive_left: int
    rollups_left: int
    stripped_rows: int
    segments: int
    segments_left: int
    emptied: int
    publications: int
    candidates: int
    letters: int | None
    salts: int
    forgotten: str


def lines(erasure: Erasure, found: Counts, settings: Settings) -> list[Line]:
    """All of it. The moments are those at which each store's own retention ends."""
    return [*_taken_out(erasure, found), *_hidden(erasure, found, settings), *_let_go(erasure, found)]


def _taken_out(erasure: Erasure, found: Counts) -> list[Line]:
    """What was rewritten or deleted, and counted before and after."""
    figures = erasure.figures
    events = "erased" if erasure.what != "property" else "rid of the property"
    return [
        Line(
            store="raw items",
            done=f"rewritten, events {events}",
            before=figures["raw_events"] + figures["raw_events_edited"],
            after=found.raw_left,
        ),
        Line(
            store="archive",
            done=f"{len(erasure.hours)} hours rewritten, {found.emptied} older generations emptied",
            before=figures["archive_events"] + figures["archive_events_edited"],
            after=found.archive_left,
        ),
        Line(
            store="rollups",
            done=f"hours folded again; {found.stripped_rows} rows of the site deleted from older generations",
            before=figures["rollup_rows"],
            after=found.rollups_left,
        ),
        Line(
            store="segments",
            done="older ones of the site deleted",
            before=found.segments,
            after=found.segments_left,
        ),
        Line(store="history", done=f"publications that can no longer be undone: {found.publications}"),
        Line(store="reprocessings", done=f"open ones discarded: {found.candidates}"),
    ]


def _hidden(erasure: Erasure, found: Counts, settings: Settings) -> list[Line]:
    """What cannot be rewritten and waits for its end."""
    asked_ms = erasure.requested_ms
    return [
        Line(store="kafka", done=HIDDEN, until_ms=asked_ms + settings.kafka_retention_ms),
        Line(
            store="dead letters",
            done=f"{HIDDEN}; never replayed",
            before=found.letters,
            until_ms=asked_ms + settings.dead_retention_days * DAY_MS,
        ),
        Line(store="spools", done=f"{HIDDEN} once shipped", until_ms=erasure.expires_ms),
    ]


def _let_go(erasure: Erasure, found: Counts) -> list[Line]:
    """What only remembers: memories, caches, keys, backups."""
    return [
        Line(store="dax", done=found.forgotten),
        Line(store="dashboards", done="let go of all segments in their memory within seconds"),
        Line(store="shared caches", done="ask again, by tag; purge answers kept under an old name (g=...)"),
        Line(store="salts and keys", done=_keys(erasure, found.salts)),
        Line(
            store="backups",
            done="not reached: after restoring one, run `recount erase resume` again",
            until_ms=erasure.expires_ms,
        ),
    ]


def _keys(erasure: Erasure, salts: int) -> str:
    if erasure.what == "site":
        return f"{salts} salts destroyed; the site's entry, tokens, rules and correction log are gone"
    return "the id itself was never stored" if erasure.what == "visitor" else "nothing of it is in them"
