"""Numbers: exact decimal text on DynamoDB's side; CBOR numbers and lexical decimals on the wire."""

from __future__ import annotations

import math
from decimal import Context, InvalidOperation
from typing import Any, Final

from dax.errors import Malformed, Refusal
from dax.wire import cbor
from dax.wire.cbor import Decimal10

_EXACT: Final = Context(prec=2_000, Emax=999_999_999, Emin=-999_999_999)
WHOLE_MAX_DIGITS: Final = 2_000
_NEAR: Final = 62  # exponents this near to zero have one byte
_GROUP: Final = 10  # bits that hold three digits
_LOWEST: Final = 12  # code of the digits 000
_HIGHEST: Final = 1011  # code of 000 in a negative number


def to_text(value: Any) -> str:
    """The text that DynamoDB takes for a decoded number."""
    if isinstance(value, Decimal10):
        return f"{value.mantissa}E{value.exponent}"
    if type(value) is int:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return repr(value)
    raise Malformed("a number was expected")


def write(out: bytearray, text: str) -> None:
    """Append a number as the client decodes it best: whole ones as integers, others as decimals."""
    exponent, mantissa = _parts(text)
    if exponent >= 0:
        cbor.integer(out, mantissa * 10**exponent)
    else:
        cbor.decimal(out, Decimal10(exponent, mantissa))


def _parts(text: str) -> Decimal10:
    """Without zeros at the end of the mantissa, unless it is zero."""
    if len(text) < 19 and text.isascii() and text.isdigit():
        return Decimal10(0, int(text))
    try:
        sign, digits, exponent = _EXACT.create_decimal(text).normalize(_EXACT).as_tuple()
    except InvalidOperation:
        raise Refusal.invalid(f"{text[:80]!r} is not a number") from None
    if not isinstance(exponent, int) or abs(exponent) > WHOLE_MAX_DIGITS:
        raise Refusal.invalid(f"{text[:80]!r} is out of the range of numbers")
    mantissa = int("".join(map(str, digits)) or "0")
    return Decimal10(exponent, -mantissa if sign else mantissa)


def sortable(text: str) -> bytes:
    """A lexical decimal: its bytes sort as the numbers do."""
    exponent, mantissa = _parts(text)
    if mantissa == 0:
        return b"\x80"
    digits = str(abs(mantissa)).rstrip("0")
    point = len(str(abs(mantissa))) + exponent
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    terminator = len(groups[-1]) - 1
    codes = [int(group.ljust(3, "0")) for group in groups]
    if mantissa > 0:
        return _point(point, negative=False) + _packed([_LOWEST + code for code in codes] + [terminator])
    return _point(point, negative=True) + _packed([_HIGHEST - code for code in codes] + [1023 - terminator])


def _point(point: int, *, negative: bool) -> bytes:
    if -_NEAR <= point < _NEAR:
        return bytes((0x3F - point if negative else 0xC0 + point,))
    if negative:
        far = bytes((0x7E if point < 0 else 0x01,))
        return far + ((point & 0xFFFF_FFFF) ^ 0x7FFF_FFFF).to_bytes(4, "big")
    far = bytes((0x81 if point < 0 else 0xFE,))
    return far + ((point & 0xFFFF_FFFF) ^ 0x8000_0000).to_bytes(4, "big")


def _packed(codes: list[int]) -> bytes:
    bits = 0
    for code in codes:
        bits = bits << _GROUP | code
    width = _GROUP * len(codes)
    padding = -width % 8
    return (bits << padding).to_bytes((width + padding) // 8, "big")


def from_sortable(data: bytes) -> str:
    """The number in a lexical decimal, as text that DynamoDB takes."""
    if data in (b"\x80", b"\x7f"):
        return "0"
    if not data or len(data) > 4 * cbor.BIG_MAX_BYTES:
        raise Malformed("a lexical decimal of no usable length")
    negative, point, significand = _header(data)
    digits = _digits(significand, negative=negative)
    sign = "-" if negative else ""
    return f"{sign}{digits}E{point - len(digits)}"


def _header(data: bytes) -> tuple[bool, int, bytes]:
    first = data[0]
    if first not in (0x01, 0x7E, 0x81, 0xFE):
        return (False, first - 0xC0, data[1:]) if first > 0x81 else (True, 0x3F - first, data[1:])
    if len(data) < 5:
        raise Malformed("a lexical decimal ends early")
    negative = first < 0x80
    raw = int.from_bytes(data[1:5], "big") ^ (0x7FFF_FFFF if negative else 0x8000_0000)
    return negative, raw - (1 << 32) if raw & 0x8000_0000 else raw, data[5:]


def _digits(data: bytes, *, negative: bool) -> str:
    bits, left = int.from_bytes(data, "big"), 8 * len(data)
    groups: list[str] = []
    while left >= _GROUP:
        left -= _GROUP
        code = bits >> left & 1023
        code = 1023 - code if negative else code
        if code < 3 and groups:
            groups[-1] = groups[-1][: code + 1]
            return "".join(groups)
        if not _LOWEST <= code <= _LOWEST + 999:
            break
        groups.append(f"{code - _LOWEST:03d}")
    raise Malformed("a lexical decimal without its end")
