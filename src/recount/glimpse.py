"""What can still be told of a record that cannot be read: site, hour, and its number in a spool.

Each field is looked at alone, so that one that is wrong hides none of the others.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from recount.columns import TIME_MAX_MS
from recount.periods import hour_of

SITE_MAX_CHARS: Final = 64
SPOOL_MAX_CHARS: Final = 64
SEQ_MAX: Final = 2**53

_T = TypeVar("_T")
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Glimpse(msgspec.Struct, frozen=True):
    """None for what cannot be told; `ts` in ms UTC."""

    site: str | None = None
    ts: int | None = None
    spool: str | None = None
    seq: int | None = None

    @property
    def hour(self) -> str | None:
        return None if self.ts is None else hour_of(self.ts)


def glimpse(value: bytes) -> Glimpse:
    """Never raises: of bytes that are no JSON object nothing can be told."""
    try:
        fields = _fields(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Glimpse()
    site, spool = _of(fields, "site", str), _of(fields, "spool", str)
    ts, seq = _of(fields, "ts", int), _of(fields, "seq", int)
    return Glimpse(
        site=site if site and len(site) <= SITE_MAX_CHARS else None,
        ts=ts if ts is not None and 0 <= ts < TIME_MAX_MS else None,
        spool=spool if spool and len(spool) <= SPOOL_MAX_CHARS else None,
        seq=seq if seq is not None and 0 <= seq < SEQ_MAX else None,
    )


def _of(fields: dict[str, msgspec.Raw], name: str, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(fields[name], type=kind)
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return None
