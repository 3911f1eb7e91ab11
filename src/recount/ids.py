"""Ids that sort by the moment they were made."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime
from random import getrandbits
from typing import Final

_VERSION_7: Final = 0x7000_8000_0000_0000_0000  # with the variant of RFC 9562
_CHANCE: Final = 0x0FFF_3FFF_FFFF_FFFF_FFFF


def new_id(moment_ms: int | None = None) -> str:
    """UUID version 7 (RFC 9562), 36 characters; later ones sort after earlier ones, to the ms. Unique,
    not secret."""
    moment = time.time_ns() // 1_000_000 if moment_ms is None else moment_ms
    digits = (moment << 80 | _VERSION_7 | getrandbits(80) & _CHANCE).to_bytes(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def made_ms_of(name: str) -> int | None:
    """The moment (ms UTC) that an id was made; None for one that `new_id` did not make."""
    try:
        return uuid.UUID(name).int >> 80 if uuid.UUID(name).version == 7 else None
    except ValueError:
        return None


def short_id(now_ms: int) -> str:
    """Short enough to be typed, in the order of time: `20261125-1301-3fa9`. For what people order by hand."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}"
