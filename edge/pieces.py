"""Pieces of spools that could not be shipped: kept in files, listed, and looked into again.

A file's name says what is in it: spool, first and last sequence number that it stands for (a last one below
the first: nothing is known of an end), cause, and a digest that keeps pieces of the same numbers apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import xxhash

from edge.spool_format import QUARANTINE, shippable
from edge.spool_reader import whole_frames
from recount.dead_letters import Kept
from recount.glimpse import glimpse
from recount.kafka import EVENTS
from recount.keys import kafka_partition
from recount.store.catalog import Site

PIECES_MAX: Final = 1_000  # told to others
DAMAGED: Final = "damaged"
SPOOL_ID: Final = re.compile(r"[0-9a-f-]{36}")
_NAME: Final = re.compile(
    r"(?P<spool>[0-9a-f-]{36})_(?P<first>\d+)-(?P<last>\d+)_(?P<cause>[\w-]+)_[0-9a-f]{8}\.bin"
)


class Lost(msgspec.Struct, frozen=True):
    """Sequence numbers of a spool that lie in quarantine instead of Kafka."""

    spool: str
    first: int
    last: int
    cause: str


class _Address(msgspec.Struct):
    site: str
    visitor: str


@dataclass(frozen=True)
class Piece:
    """A quarantined file. `lost` is None for a file whose name tells nothing."""

    path: Path
    lost: Lost | None

    @property
    def cause(self) -> str:
        return self.lost.cause if self.lost is not None else "unknown"

    def read(self) -> bytes:
        return self.path.read_bytes()

    def values(self) -> list[bytes]:
        """The events in it as Kafka values; none where no whole event can be found."""
        data = self.read()
        if self.cause != DAMAGED or self.lost is None:
            return [data] if data.startswith(b"{") else []
        spool = self.lost.spool
        return [shippable(spool, frame.seq, frame.payload) for frame in whole_frames(data)]


def letters(root: Path, sites: Mapping[str, Site], partitions: int) -> Iterator[Kept]:
    """Every event in the pieces below a spool root as a letter, `spool/<spool>/<seq>`; a piece without any
    whole event is one letter that goes nowhere, `spool/<file>`."""
    for piece in kept(root):
        reason = f"spool_{piece.cause}"
        kept_ms = int(piece.path.stat().st_mtime * 1000)
        values = piece.values()
        if not values:
            yield Kept(f"spool/{piece.path.name}", reason, kept_ms, piece.read(), None)
        for value in values:
            seen = glimpse(value)
            source = (EVENTS, _partition(value, sites, partitions))
            yield Kept(f"spool/{seen.spool}/{seen.seq}", reason, kept_ms, value, source)


def _partition(value: bytes, sites: Mapping[str, Site], partitions: int) -> int:
    """Where the door would put an event; 0 for what is no event, which is not replayed anyway."""
    try:
        event = msgspec.json.decode(value, type=_Address)
        visitor = int(event.visitor, 16)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return 0
    site = sites.get(event.site)
    spread = site.spread if site is not None else 1
    return kafka_partition(event.site, visitor, spread=spread, partitions=partitions)


def keep(root: Path, cause: str, spool: str, first: int, last: int, data: bytes) -> str:
    """Write a piece whole or not at all; returns the file's name, the same for the same piece."""
    folder = root / QUARANTINE
    folder.mkdir(exist_ok=True)
    known = spool if SPOOL_ID.fullmatch(spool) else "0" * 36
    digest = xxhash.xxh32_hexdigest(data)
    name = f"{known}_{first}-{max(last, 0)}_{cause}_{digest}.bin"
    fresh = folder / f".{name}.new"
    fresh.write_bytes(data)
    fresh.replace(folder / name)
    return name


def newest(root: Path, limit: int = PIECES_MAX) -> list[Piece]:
    """The pieces written last."""
    return sorted(kept(root), key=lambda piece: piece.path.stat().st_mtime, reverse=True)[:limit]


def kept(root: Path) -> Iterator[Piece]:
    """Every piece below a spool root, by name."""
    folder = root / QUARANTINE
    for path in sorted(folder.glob("*.bin")) if folder.is_dir() else ():
        found = _NAME.fullmatch(path.name)
        lost = None
        if found is not None:
            first, last = int(found["first"]), int(found["last"])
            lost = Lost(found["spool"], first, last, found["cause"])
        yield Piece(path, lost)
