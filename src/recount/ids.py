"""Ids that sort by the moment they were made (UUID version 7, RFC 9562)."""

from __future__ import annotations

import time
import uuid
from random import getrandbits


def new_id() -> str:
    """36 characters; later ids sort after earlier ones (to the millisecond). Unique, not secret."""
    moment, chance = time.time_ns() // 1_000_000, getrandbits(74)
    variant, tail = 0x8000 | chance >> 48 & 0x3FFF, chance & 0xFFFF_FFFF_FFFF
    return f"{moment >> 16:08x}-{moment & 0xFFFF:04x}-7{chance >> 62:03x}-{variant:04x}-{tail:012x}"


def made_ms_of(name: str) -> int | None:
    """The moment (ms UTC) that an id was made; None for one that `new_id` did not make."""
    try:
        return uuid.UUID(name).int >> 80 if uuid.UUID(name).version == 7 else None
    except ValueError:
        return None
