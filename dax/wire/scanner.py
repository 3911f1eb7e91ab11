"""Finds where a message ends while it still arrives, without building anything from it.

A message has no length in front: its end is known only by walking its items. Each byte is walked once,
however the message is cut into packets.
"""

from __future__ import annotations

from typing import Final

from dax.errors import Malformed
from dax.wire.cbor import ARRAY, BYTES, DEPTH_MAX, MAP, SIMPLE, TAG, TEXT

OPEN: Final = -1  # items up to a break byte
_FOLLOWING: Final = {24: 1, 25: 2, 26: 4, 27: 8}


class Scanner:
    """Walks `bytearray`s that only grow; `at` is the position after the last whole head or string."""

    __slots__ = ("_bytes_max", "_items_left", "_items_max", "_open", "at")

    def __init__(self, *, bytes_max: int, items_max: int) -> None:
        self._bytes_max = bytes_max
        self._items_max = items_max
        self._open: list[int] = []
        self._items_left = items_max
        self.at = 0

    def begin(self) -> None:
        """A new message starts at the start of the buffer."""
        self.at = 0
        self._items_left = self._items_max

    def ask(self, items: int) -> None:
        """`advance` shall pass so many more items."""
        if items:
            self._open = [items]

    def advance(self, buffer: bytearray) -> bool:
        """Walk on; True once the items asked for have passed. Raises Malformed past a limit."""
        opened = self._open
        while opened:
            if opened[-1] == 0:
                opened.pop()
            elif not self._step(buffer):
                return False
        return True

    def _step(self, buffer: bytearray) -> bool:
        at = self.at
        if at >= len(buffer):
            return False
        initial = buffer[at]
        low = initial & 31
        size = _FOLLOWING.get(low, 0)
        start = at + 1 + size
        if start > len(buffer):
            return False
        if low == 31:
            self._left_open(initial)
        elif low > 27:
            raise Malformed(f"0x{initial:02x} starts no item")
        else:
            value = int.from_bytes(buffer[at + 1 : start], "big") if size else low
            major = initial >> 5
            if major in (BYTES, TEXT):
                if start + value > self._bytes_max:
                    raise Malformed(f"a request is larger than {self._bytes_max} bytes")
                start += value
                if start > len(buffer):
                    return False
            self._passed()
            self._contents(major, value)
        self.at = start
        if start > self._bytes_max:
            raise Malformed(f"a request is larger than {self._bytes_max} bytes")
        return True

    def _contents(self, major: int, value: int) -> None:
        if major == ARRAY:
            self._enter(value)
        elif major == MAP:
            self._enter(2 * value)
        elif major == TAG:
            self._enter(1)

    def _left_open(self, initial: int) -> None:
        major = initial >> 5
        if major == SIMPLE:
            if self._open[-1] != OPEN:
                raise Malformed("a break where nothing is open")
            self._open.pop()
        elif major in (BYTES, TEXT, ARRAY, MAP):
            self._passed()
            self._enter(OPEN)
        else:
            raise Malformed(f"0x{initial:02x} starts no item")

    def _passed(self) -> None:
        if self._open[-1] != OPEN:
            self._open[-1] -= 1
        self._items_left -= 1
        if self._items_left < 0:
            raise Malformed(f"a request has more than {self._items_max} items")

    def _enter(self, items: int) -> None:
        if len(self._open) > DEPTH_MAX:
            raise Malformed(f"items are nested deeper than {DEPTH_MAX}")
        if items > self._items_left:
            raise Malformed(f"a request has more than {self._items_max} items")
        self._open.append(items)
