"""Sets of sequence numbers: packed in a receipt, and as ranges to see what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import zstandard

Range = tuple[int, int]  # first and last number, both included
LEVEL: Final = 3


def pack(seqs: Any) -> bytes:
    """Numbers from 0 to 2**53 (a numpy array or a list, not empty), in any order: half a byte each or so."""
    ordered = np.unique(np.asarray(seqs, dtype="<u8"))
    steps = np.diff(ordered)
    small = bool((steps < 256).all())
    data = steps.astype("<u1" if small else "<u8").tobytes()
    head = bytes([small]) + int(ordered[0]).to_bytes(8, "little")
    return zstandard.ZstdCompressor(level=LEVEL).compress(head + data)


def unpack(data: bytes) -> list[Range]:
    """The numbers of a packed set, as ranges in order."""
    raw = zstandard.ZstdDecompressor().decompress(data)
    steps = np.frombuffer(raw[9:], dtype="<u1" if raw[0] else "<u8").astype("<u8")
    first = np.array([int.from_bytes(raw[1:9], "little")], dtype="<u8")
    ordered = np.concatenate([first, first + np.cumsum(steps, dtype="<u8")])
    breaks = np.flatnonzero(np.diff(ordered) != 1)
    starts = ordered[np.concatenate([[0], breaks + 1]).astype(np.intp)]
    ends = ordered[np.concatenate([breaks, [len(ordered) - 1]]).astype(np.intp)]
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def union(ranges: Iterable[Range]) -> list[Range]:
    """Ranges that neither overlap nor touch, in order."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def missing(ranges: Iterable[Range], first: int, last: int) -> list[Range]:
    """What is left of the numbers from `first` to `last`."""
    found: list[Range] = []
    at = first
    for start, end in union(ranges):
        if start > last:
            break
        if start > at:
            found.append((at, start - 1))
        at = max(at, end + 1)
    if at <= last:
        found.append((at, last))
    return found
