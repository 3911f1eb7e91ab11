"""Waiting for what happens elsewhere: no longer than it takes, and never without an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

WITHIN_S: Final = 240.0
ASK_EVERY_S: Final = 0.1


def eventually(is_so: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Returns once it is so; fails, saying what is missing, where it does not become so in time."""
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, f"still waiting after {within_s:g} s: {what}"
        time.sleep(ASK_EVERY_S)
