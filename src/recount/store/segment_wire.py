"""What the bytes of a segment hold: one site's rows of one period, columnar, zstd.

Three parts, so that a page of numbers never fetches visitor sets, and totals never the values of dimensions:

    numbers   every count, visitors as a number
    head      of large segments: the numbers of HEAD_DIMENSIONS once more
    sets      a dictionary of visitors and, for each row, the indexes of its visitors in it

Rows are sorted by dimension, value and moment, each column in the narrowest integer that holds it, columns of
zeros left out. The same rows give the same payload, hence the same digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

CODEC_VERSION: Final = 1
AT_UNIT_MS: Final = 60_000

# Append only: stored segments name a dimension by its place here.
KNOWN_DIMENSIONS: Final = (
    *("total", "series", "page", "entry_page", "exit_page", "hostname", "source", "referrer", "channel"),
    *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "country", "region", "device"),
    *("browser", "browser_version", "os", "os_version", "language", "screen", "event", "goal", "outbound"),
    *("download", "verdict", "hours"),
)
HEAD_DIMENSIONS: Final = frozenset({"total", "series", "hours", "verdict"})
HEAD_FROM_BYTES: Final = 16_384  # numbers smaller than this are read as a whole
# Append only too: columns are stored by their place.
COLUMNS: Final = (
    *(
        "visitor_count",
        "visits",
        "ended_visits",
        "bounces",
        "duration_ms",
        "pageviews",
        "events",
        "engaged_ms",
    ),
    *("scroll_sum", "scroll_count", "exits", "accepted", "folded_max"),
)
DIMENSION_CODES: Final = {name: code for code, name in enumerate(KNOWN_DIMENSIONS)}
TYPES: Final = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"), np.dtype("<i8"))

Ints = NDArray[np.int64]
Packed = tuple[int, bytes]  # (index into TYPES, little-endian numbers)


class RevenuePart(msgspec.Struct, array_like=True):
    """One amount each: the row it belongs to, its currency (index), micros."""

    rows: Packed
    currencies: list[str]
    codes: Packed
    micros: Packed


class NumbersPart(msgspec.Struct, array_like=True):
    version: int
    at: int
    unit_ms: int
    dimensions: list[tuple[int | str, int]]
    text: bytes
    lengths: Packed
    moments: Packed | None
    columns: list[Packed | None]
    revenue: RevenuePart | None


class SetsPart(msgspec.Struct, array_like=True):
    version: int
    dictionary: bytes
    lengths: Packed
    steps: Packed


@dataclass(frozen=True)
class Segment:
    """One site's rows of one period; `sets` is empty where no visitor sets are kept, `head` where the numbers
    are few."""

    numbers: bytes
    sets: bytes
    digest: str
    head: bytes = b""

    def to_bytes(self) -> bytes:
        """For sending both parts over HTTP."""
        return msgspec.msgpack.encode((self.numbers, self.sets, self.digest))

    @classmethod
    def from_bytes(cls, data: bytes) -> Segment:
        return cls(*msgspec.msgpack.decode(data, type=tuple[bytes, bytes, str]))


def code_of(low: Ints, high: Ints) -> NDArray[np.int64]:
    """Index of the narrowest type that holds [low, high]; negative numbers only fit the widest."""
    code = np.searchsorted(np.array([1 << 8, 1 << 16, 1 << 32]), high, side="right")
    return np.where(low < 0, len(TYPES) - 1, code)


def unpack(packed: Packed) -> NDArray[Any]:
    return np.frombuffer(packed[1], TYPES[packed[0]])
