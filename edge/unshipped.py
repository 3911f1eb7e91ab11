"""Events that were taken at the door and are not in Kafka: by hour and site, each by its number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from edge import pieces
from edge.spool_format import oldest_unshipped_ms, spool_folders
from edge.spool_reader import Frame, Reader
from recount.glimpse import Glimpse, glimpse

EVENTS_MAX: Final = 200_000  # named by their numbers; of those beyond only the count is told
READ_BYTES: Final = 4 * 1024 * 1024


class Place(msgspec.Struct, frozen=True):
    """Numbers of one spool's events in one hour of one site."""

    spool: str
    hour: str
    site: str
    seqs: list[int]


class Unshipped(msgspec.Struct, frozen=True):
    """`waiting`: still to be shipped, with `unnamed` more; `set_aside`: in quarantine."""

    waiting: list[Place]
    unnamed: int
    set_aside: list[Place]


def unshipped(root: Path, before_ms: int) -> Unshipped:
    """Of all spools below a root, what the ingest received before a moment (ms UTC)."""
    waiting: dict[tuple[str, str, str], list[int]] = {}
    named = unnamed = 0
    for folder in spool_folders(root):
        oldest = oldest_unshipped_ms(folder)
        if oldest is None or oldest >= before_ms:
            continue
        for frame in _frames(folder):
            if frame.received >= before_ms:
                continue
            seen = Glimpse() if named == EVENTS_MAX else glimpse(frame.payload)
            if seen.hour is None or seen.site is None:
                unnamed += 1
                continue
            named += 1
            waiting.setdefault((folder.name, seen.hour, seen.site), []).append(frame.seq)
    places = [Place(*place, seqs) for place, seqs in sorted(waiting.items())]
    return Unshipped(places, unnamed, list(_set_aside(root)))


def _frames(folder: Path) -> Iterator[Frame]:
    """From where shipping has got to until nothing more is whole; what is shipped meanwhile may lack."""
    reader = Reader(folder)
    try:
        end = reader.committed
        while True:
            batch = reader.read(READ_BYTES, writer_lives=True)
            yield from batch.frames
            if batch.end == end:
                return
            end = batch.end
    except FileNotFoundError:  # shipped and deleted while we looked
        return
    finally:
        reader.close()


def _set_aside(root: Path) -> Iterator[Place]:
    for piece in pieces.kept(root):
        for value in piece.values():
            seen = glimpse(value)
            if seen.spool and seen.seq is not None and seen.hour and seen.site:
                yield Place(seen.spool, seen.hour, seen.site, [seen.seq])
