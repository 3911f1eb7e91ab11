"""Primary keys as bytes, by the schema of their table."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass

from dax.errors import Malformed
from dax.wire import cbor, numbers, values
from dax.wire.cbor import Reader
from dax.wire.values import Item, Value


@dataclass(frozen=True)
class KeyAttribute:
    """`kind` is S, N or B."""

    name: str
    kind: str


@dataclass(frozen=True)
class Schema:
    """The key of a table: the hash attribute, and the sort attribute where there is one."""

    attributes: tuple[KeyAttribute, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(attribute.name for attribute in self.attributes)


def read(data: bytes, schema: Schema) -> Item:
    """The key attributes in JSON form; Malformed where the bytes do not fit the schema."""
    hashed = schema.attributes[0]
    if len(schema.attributes) == 1:
        return {hashed.name: _read_lone(data, hashed.kind)}
    reader = Reader(data)
    value = values.read(reader)
    if hashed.kind not in value:
        raise Malformed(f"the key attribute {hashed.name!r} is not of type {hashed.kind}")
    sort = schema.attributes[1]
    return {hashed.name: value, sort.name: _read_sort(reader.rest(), sort.kind)}


def _read_lone(data: bytes, kind: str) -> Value:
    if kind != "N":
        return _read_raw(data, kind)
    reader = Reader(data)
    value = values.read(reader)
    if "N" not in value or not reader.ended:
        raise Malformed("a key of type N is not one number")
    return value


def _read_sort(data: bytes, kind: str) -> Value:
    return {"N": numbers.from_sortable(data)} if kind == "N" else _read_raw(data, kind)


def _read_raw(data: bytes, kind: str) -> Value:
    if kind == "B":
        return {"B": values.to_base64(data)}
    try:
        return {"S": data.decode()}
    except UnicodeDecodeError:
        raise Malformed("a key of type S is not UTF-8") from None


def encoded(item: Mapping[str, Value], schema: Schema) -> bytes:
    """The one byte form of the key in this item: equal keys give equal bytes."""
    hashed = schema.attributes[0]
    out = bytearray()
    if len(schema.attributes) == 1:
        value = item[hashed.name]
        return values.encoded(value) if hashed.kind == "N" else _raw(value, hashed.kind)
    values.write(out, item[hashed.name])
    sort = schema.attributes[1]
    value = item[sort.name]
    out += numbers.sortable(value["N"]) if sort.kind == "N" else _raw(value, sort.kind)
    return bytes(out)


def _raw(value: Value, kind: str) -> bytes:
    content: str = value[kind]
    return content.encode() if kind == "S" else a2b_base64(content)


def read_compound(data: bytes) -> Item:
    """The start key of an index: all its attributes by name."""
    value = values.read(Reader(data))
    if "M" not in value:
        raise Malformed("the start key of an index is not a map")
    found: Item = value["M"]
    return found


def encoded_compound(key: Mapping[str, Value]) -> bytes:
    return values.encoded({"M": key})


def slot(table: str, key: bytes) -> bytes:
    """What the item cache is keyed by: just the bytes that stand in a request for this table and key."""
    out = bytearray()
    cbor.data(out, table.encode())
    cbor.data(out, key)
    return bytes(out)
