"""Attribute values: DynamoDB's JSON form, with binary as base64, to and from CBOR in one walk."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dax.errors import Malformed, Refusal
from dax.wire import cbor, numbers
from dax.wire.cbor import Reader

Value = dict[str, Any]
"""One attribute value in JSON form."""
Item = dict[str, Value]

TAG_SETS: Final = {"SS": 3321, "NS": 3322, "BS": 3323}
_SET_TYPES: Final = {tag: kind for kind, tag in TAG_SETS.items()}


def to_base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def read(reader: Reader, depth: int = 0) -> Value:
    """The next attribute value; Malformed where it is none."""
    if depth > reader.depth_max:
        raise Malformed(f"values are nested deeper than {reader.depth_max}")
    major = reader.peek() >> 5
    if major == cbor.TEXT:
        return {"S": reader.text()}
    if major == cbor.BYTES:
        return {"B": to_base64(reader.data())}
    if major == cbor.ARRAY:
        return {"L": _read_list(reader, depth)}
    if major == cbor.MAP:
        return {"M": _read_map(reader, depth)}
    return _read_other(reader)


def _read_list(reader: Reader, depth: int) -> list[Value]:
    _, length = reader.head()
    return [read(reader, depth + 1) for _ in reader.elements(length)]


def _read_map(reader: Reader, depth: int) -> Item:
    _, length = reader.head()
    return {reader.text("the name of an attribute"): read(reader, depth + 1) for _ in reader.elements(length)}


def _read_other(reader: Reader) -> Value:
    value = reader.item()
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, cbor.Tagged):
        return _read_set(value)
    return {"N": numbers.to_text(value)}


def _read_set(tagged: cbor.Tagged) -> Value:
    kind = _SET_TYPES.get(tagged.tag)
    if kind is None or not isinstance(tagged.content, list):
        raise Malformed(f"tag {tagged.tag} is no attribute value")
    if kind == "NS":
        return {kind: [numbers.to_text(member) for member in tagged.content]}
    expected = str if kind == "SS" else bytes
    if any(type(member) is not expected for member in tagged.content):
        raise Malformed(f"a set of type {kind} has a member of another type")
    return {kind: tagged.content if kind == "SS" else [to_base64(member) for member in tagged.content]}


def write(out: bytearray, value: Mapping[str, Any]) -> None:
    """Append one attribute value in JSON form."""
    ((kind, content),) = value.items()
    try:
        writer = _WRITERS[kind]
    except KeyError:
        raise Refusal.invalid(f"there is no attribute type {kind!r}") from None
    writer(out, content)


def _write_binary(out: bytearray, content: str) -> None:
    cbor.data(out, a2b_base64(content))


def _write_list(out: bytearray, content: Sequence[Value]) -> None:
    cbor.head(out, cbor.ARRAY, len(content))
    for value in content:
        write(out, value)


def _write_map(out: bytearray, content: Mapping[str, Value]) -> None:
    cbor.head(out, cbor.MAP, len(content))
    for name, value in content.items():
        cbor.text(out, name)
        write(out, value)


def _write_null(out: bytearray, _content: object) -> None:
    cbor.null(out)


def _set_writer(kind: str, member_writer: Callable[[bytearray, str], None]) -> Callable[..., None]:
    def write_set(out: bytearray, content: Sequence[str]) -> None:
        cbor.head(out, cbor.TAG, TAG_SETS[kind])
        cbor.head(out, cbor.ARRAY, len(content))
        for member in content:
            member_writer(out, member)

    return write_set


_WRITERS: Final[dict[str, Callable[[bytearray, Any], None]]] = {
    "S": cbor.text,
    "N": numbers.write,
    "B": _write_binary,
    "BOOL": cbor.boolean,
    "NULL": _write_null,
    "L": _write_list,
    "M": _write_map,
    "SS": _set_writer("SS", cbor.text),
    "NS": _set_writer("NS", numbers.write),
    "BS": _set_writer("BS", _write_binary),
}


def encoded(value: Mapping[str, Any]) -> bytes:
    out = bytearray()
    write(out, value)
    return bytes(out)
