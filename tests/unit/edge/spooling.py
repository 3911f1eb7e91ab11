"""Numbers written to a spool and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edge.spool import Spool
from edge.spool_format import segment_path, segments
from edge.spool_reader import Reader

SPOOL_MAX_BYTES: Final = 1 << 20


def payload(number: int) -> bytes:
    return b'{"id":"%d"}' % number


def fill(spool: Spool, first: int, last: int) -> None:
    for number in range(first, last + 1):
        spool.append(number % 3, 1000 + number, payload(number))


def drain(reader: Reader, *, writer_lives: bool = True, max_bytes: int = 4096) -> list[int]:
    """Every number that can be read now, committed as it goes."""
    read: list[int] = []
    while True:
        batch = reader.read(max_bytes, writer_lives=writer_lives)
        assert [f.payload for f in batch.frames] == [payload(f.seq) for f in batch.frames]
        if batch.end == reader.committed:
            return read
        read += [f.seq for f in batch.frames]
        reader.commit(batch.end)


def only_segment(folder: Path) -> Path:
    return segment_path(folder, segments(folder)[-1])
