"""The part of CBOR that the protocol uses.

Not a general decoder on purpose. Attribute values go straight to and from DynamoDB's JSON form, in one walk
and with numbers as exact text (see `dax.wire.values`), and a server must not follow what a general decoder
offers a stranger: shared references, dates, regular expressions, powers of two.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from dax.errors import Malformed

UINT: Final = 0
NEGATIVE: Final = 1
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4
MAP: Final = 5
TAG: Final = 6
SIMPLE: Final = 7

NULL: Final = 0xF6
BREAK: Final = 0xFF
INDEFINITE: Final = -1

TAG_POSITIVE_BIG: Final = 2
TAG_NEGATIVE_BIG: Final = 3
TAG_DECIMAL: Final = 4
TAG_LIST_INDEX: Final = 3324

DEPTH_MAX: Final = 64
BIG_MAX_BYTES: Final = 256

_FOLLOWING: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS: Final = {0xF9: ">e", 0xFA: ">f", 0xFB: ">d"}
_CONSTANTS: Final[dict[int, bool | None]] = {0xF4: False, 0xF5: True, NULL: None, 0xF7: None}


class Tagged(NamedTuple):
    """A tag that is no number, and what it is on."""

    tag: int
    content: Any


class Decimal10(NamedTuple):
    """mantissa * 10 ** exponent, as it was sent."""

    exponent: int
    mantissa: int


class Reader:
    """Reads items one after another from whole bytes; raises Malformed where they end early."""

    __slots__ = ("_data", "at", "depth_max")

    def __init__(self, data: bytes, at: int = 0, *, depth_max: int = DEPTH_MAX) -> None:
        self._data = data
        self.at = at
        self.depth_max = depth_max

    @property
    def ended(self) -> bool:
        return self.at >= len(self._data)

    def peek(self) -> int:
        try:
            return self._data[self.at]
        except IndexError:
            raise Malformed("the message ends in the middle of an item") from None

    def head(self) -> tuple[int, int]:
        """The major type and the number with it; INDEFINITE where the length is left open."""
        initial = self.peek()
        self.at += 1
        major, low = initial >> 5, initial & 31
        if low < 24:
            return major, low
        if low in _FOLLOWING:
            return major, int.from_bytes(self.take(_FOLLOWING[low]), "big")
        if low == 31 and major in (BYTES, TEXT, ARRAY, MAP):
            return major, INDEFINITE
        raise Malformed(f"0x{initial:02x} starts no item")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._data):
            raise Malformed("the message ends in the middle of an item")
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data) - self.at)

    def expect(self, major: int, what: str) -> int:
        """The length of a definite or indefinite item of this type."""
        found, length = self.head()
        if found != major:
            raise Malformed(f"{what} was expected, major type {found} came")
        return length

    def data(self, what: str = "a byte string") -> bytes:
        return self._string(BYTES, self.expect(BYTES, what))

    def text(self, what: str = "a text") -> str:
        return _utf8(self._string(TEXT, self.expect(TEXT, what)))

    def integer(self, what: str = "a whole number") -> int:
        value = self.item()
        if type(value) is not int:
            raise Malformed(f"{what} was expected")
        return value

    def elements(self, length: int) -> Iterator[int]:
        """Turns once for every element of an array or map of this length, which the caller then reads."""
        if length != INDEFINITE:
            yield from range(length)
            return
        while self.peek() != BREAK:
            yield INDEFINITE
        self.at += 1

    def item(self, depth: int = 0) -> Any:
        """Any item: int, float, Decimal10, bytes, str, list, dict, bool, None or Tagged."""
        if depth > self.depth_max:
            raise Malformed(f"items are nested deeper than {self.depth_max}")
        initial = self.peek()
        if initial >= 0xE0:
            return self._simple(initial)
        major, value = self.head()
        if major == UINT:
            return value
        if major == NEGATIVE:
            return -1 - value
        if major == BYTES:
            return self._string(major, value)
        if major == TEXT:
            return _utf8(self._string(major, value))
        if major == ARRAY:
            items: list[Any] = []
            for _ in self.elements(value):
                items.append(self.item(depth + 1))
            return items
        return self._map(value, depth) if major == MAP else self._tagged(value, depth)

    def _map(self, length: int, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in self.elements(length):
            key = self.item(depth + 1)
            if type(key) not in (int, str):
                raise Malformed("a map has a key that is neither a number nor a text")
            found[key] = self.item(depth + 1)  # the client may send a key twice: the last counts
        return found

    def _simple(self, initial: int) -> bool | float | None:
        self.at += 1
        if initial in _CONSTANTS:
            return _CONSTANTS[initial]
        if initial in _FLOATS:
            form = _FLOATS[initial]
            value: float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
            return value
        raise Malformed(f"0x{initial:02x} starts no item")

    def _tagged(self, tag: int, depth: int) -> Any:
        content = self.item(depth + 1)
        if tag in (TAG_POSITIVE_BIG, TAG_NEGATIVE_BIG):
            if not isinstance(content, bytes) or len(content) > BIG_MAX_BYTES:
                raise Malformed(f"a big number is a byte string of at most {BIG_MAX_BYTES} bytes")
            value = int.from_bytes(content, "big")
            return value if tag == TAG_POSITIVE_BIG else -1 - value
        if tag == TAG_DECIMAL:
            if not isinstance(content, list) or [type(part) for part in content] != [int, int]:
                raise Malformed("a decimal number is an array of two whole numbers")
            return Decimal10(*content)
        return Tagged(tag, content)

    def _string(self, major: int, length: int) -> bytes:
        if length != INDEFINITE:
            return self.take(length)
        parts: list[bytes] = []
        for _ in self.elements(INDEFINITE):
            found, size = self.head()
            if found != major or size == INDEFINITE:
                raise Malformed("a string in parts has a part of another kind")
            parts.append(self.take(size))
        return b"".join(parts)


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


def head(out: bytearray, major: int, value: int) -> None:
    """Append the shortest head."""
    initial = major << 5
    if value < 24:
        out.append(initial | value)
    elif value < 0x100:
        out += bytes((initial | 24, value))
    elif value < 0x1_0000:
        out.append(initial | 25)
        out += value.to_bytes(2, "big")
    elif value < 0x1_0000_0000:
        out.append(initial | 26)
        out += value.to_bytes(4, "big")
    else:
        out.append(initial | 27)
        out += value.to_bytes(8, "big")


def integer(out: bytearray, value: int) -> None:
    size = value if value >= 0 else -1 - value
    if size < 1 << 64:
        head(out, UINT if value >= 0 else NEGATIVE, size)
        return
    head(out, TAG, TAG_POSITIVE_BIG if value >= 0 else TAG_NEGATIVE_BIG)
    data(out, size.to_bytes((size.bit_length() + 7) // 8, "big"))


def decimal(out: bytearray, value: Decimal10) -> None:
    head(out, TAG, TAG_DECIMAL)
    head(out, ARRAY, 2)
    integer(out, value.exponent)
    integer(out, value.mantissa)


def data(out: bytearray, value: bytes | bytearray) -> None:
    head(out, BYTES, len(value))
    out += value


def text(out: bytearray, value: str) -> None:
    encoded = value.encode()
    head(out, TEXT, len(encoded))
    out += encoded


def boolean(out: bytearray, value: bool) -> None:
    out.append(0xF5 if value else 0xF4)


def null(out: bytearray) -> None:
    out.append(NULL)


def double(out: bytearray, value: float) -> None:
    out.append(0xFB)
    out += struct.pack(">d", value)
