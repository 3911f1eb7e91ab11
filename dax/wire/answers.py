"""Answers: what the client reads back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from dax.errors import Malformed, Reason, Refusal, Unreachable
from dax.wire import cbor, values
from dax.wire.keys import Schema

Json = Mapping[str, Any]
Fields = list[tuple[int, bytes]]
"""Numbered parts of an answer, each encoded."""

SUCCESS: Final = b"\x80"
EMPTY: Final = SUCCESS + bytes((cbor.NULL,))
ITEM_START: Final = SUCCESS + b"\xa1\x00"
"""In front of the bytes of an item that is alone in its answer."""

ITEM, CAPACITY, ATTRIBUTES, METRICS = 0, 1, 2, 3
ITEMS, COUNT, LAST_KEY, SCANNED = 7, 8, 9, 10

_FINAL, _REPEATABLE = 3, 4
_DYNAMODB: Final = (37, 38, 39)
_NUMBERS: Final = {
    "ProvisionedThroughputExceededException": 40,
    "ResourceNotFoundException": 41,
    "ConditionalCheckFailedException": 43,
    "ResourceInUseException": 45,
    "ValidationException": 46,
    "InternalServerError": 47,
    "ItemCollectionSizeLimitExceededException": 48,
    "LimitExceededException": 49,
    "ThrottlingException": 50,
    "TransactionConflictException": 57,
    "TransactionCanceledException": 58,
    "TransactionInProgressException": 59,
    "IdempotentParameterMismatchException": 60,
    "RequestLimitExceeded": 61,
}
_PASSING: Final = frozenset({40, 47, 50, 57, 58, 59, 61})
"""What may go well when tried again."""


def array(out: bytearray, members: Sequence[bytes]) -> None:
    """Append an array of encoded members."""
    cbor.head(out, cbor.ARRAY, len(members))
    for member in members:
        out += member


def fields(found: Fields) -> bytes:
    """An answer that is a map of numbered parts."""
    if not found:
        return EMPTY
    out = bytearray(SUCCESS)
    cbor.head(out, cbor.MAP, len(found))
    for number, encoded in found:
        cbor.integer(out, number)
        out += encoded
    return bytes(out)


def as_data(content: bytes | bytearray) -> bytes:
    out = bytearray()
    cbor.data(out, content)
    return bytes(out)


def number(value: int) -> bytes:
    out = bytearray()
    cbor.integer(out, value)
    return bytes(out)


def capacity(found: Json) -> bytes:
    """ConsumedCapacity of anything but a transaction."""
    out = bytearray()
    cbor.text(out, found["TableName"])
    cbor.double(out, found["CapacityUnits"])
    _units(out, found.get("Table"))
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        _index_units(out, found.get(kind), _units)
    return as_data(out)


def _units(out: bytearray, found: Json | None) -> None:
    if found is None:
        cbor.null(out)
    else:
        cbor.double(out, found["CapacityUnits"])


def _index_units(out: bytearray, indexes: Json | None, write: Callable[[bytearray, Json], None]) -> None:
    if indexes is None:
        cbor.null(out)
        return
    cbor.head(out, cbor.MAP, len(indexes))
    for name, units in indexes.items():
        cbor.text(out, name)
        write(out, units)


def no_capacity(table: str, mode: str) -> Json:
    """What a read from the cache consumes."""
    none: dict[str, Any] = {"TableName": table, "CapacityUnits": 0.0}
    return none | {"Table": {"CapacityUnits": 0.0}} if mode == "INDEXES" else none


_TRANSACTION_UNITS: Final = {"CapacityUnits": 1, "ReadCapacityUnits": 2, "WriteCapacityUnits": 3}
_TRANSACTION_INDEXES: Final = {"GlobalSecondaryIndexes": 6, "LocalSecondaryIndexes": 7}


def transaction_capacity(out: bytearray, found: Json) -> None:
    """ConsumedCapacity of one table in a transaction, and of each part of it."""
    cbor.head(out, cbor.MAP, sum(name in found for name in _TRANSACTION_NAMES))
    for name, place in _TRANSACTION_UNITS.items():
        if name in found:
            cbor.integer(out, place)
            cbor.double(out, found[name])
    if "TableName" in found:
        cbor.integer(out, 4)
        cbor.text(out, found["TableName"])
    if "Table" in found:
        cbor.integer(out, 5)
        transaction_capacity(out, found["Table"])
    for name, place in _TRANSACTION_INDEXES.items():
        if name in found:
            cbor.integer(out, place)
            _index_units(out, found[name], transaction_capacity)


_TRANSACTION_NAMES: Final = (*_TRANSACTION_UNITS, "TableName", "Table", *_TRANSACTION_INDEXES)


def collection_metrics(found: Json) -> bytes:
    """ItemCollectionMetrics of one item collection."""
    out = bytearray()
    (key,) = found["ItemCollectionKey"].values()
    values.write(out, key)
    low, high = found["SizeEstimateRangeGB"]
    cbor.double(out, low)
    cbor.double(out, high)
    return as_data(out)


def by_table(out: bytearray, tables: Mapping[str, Sequence[bytes]]) -> None:
    """Append a map from names of tables to arrays of encoded members."""
    cbor.head(out, cbor.MAP, len(tables))
    for table, members in tables.items():
        cbor.text(out, table)
        array(out, members)


def metrics_by_table(out: bytearray, found: Mapping[str, Iterable[Json]] | None) -> None:
    tables = found or {}
    by_table(out, {table: [collection_metrics(one) for one in all_] for table, all_ in tables.items()})


def key_schema(schema: Schema) -> bytes:
    out = bytearray(SUCCESS)
    cbor.head(out, cbor.MAP, len(schema.attributes))
    for attribute in schema.attributes:
        cbor.text(out, attribute.name)
        cbor.text(out, attribute.kind)
    return bytes(out)


def error(
    cause: Refusal | Unreachable | Malformed,
    encoded_item: Callable[[Reason], bytes | None],
    *,
    repeatable: bool,
) -> bytes:
    """`encoded_item` gives the bytes of an item that a failed transaction returns.

    With `repeatable` false the client is kept from sending the request again, whatever the error.
    """
    if isinstance(cause, Malformed):
        cause = Refusal.invalid(f"not a request of the DAX protocol: {cause}")
    elif isinstance(cause, Unreachable):
        cause = Refusal("InternalServerError", str(cause), status=500)
    out = bytearray()
    array(out, [number(code) for code in _code_path(cause, repeatable)])
    cbor.text(out, cause.message)
    cbor.head(out, cbor.ARRAY, 4 if cause.reasons else 3)
    _text_or_null(out, cause.request_id)
    cbor.text(out, cause.code)
    if repeatable or cause.status < 500:
        cbor.integer(out, cause.status)
    else:
        cbor.null(out)
    if cause.reasons:
        _reasons(out, cause.reasons, encoded_item)
    return bytes(out)


def _code_path(cause: Refusal, repeatable: bool) -> tuple[int, ...]:
    """Starts with what to do: anything but a 3 is sent twice again, which is of no use to a refusal."""
    if cause.code == "AccessDeniedException":
        return (_FINAL, 37, 38, 42)
    last = _NUMBERS.get(cause.code)
    passing = cause.status >= 500 or last in _PASSING
    start = _REPEATABLE if passing and repeatable else _FINAL
    if last is None:
        last = _NUMBERS["InternalServerError"] if cause.status >= 500 else _NUMBERS["ValidationException"]
    return (start, *_DYNAMODB, last)


def _reasons(
    out: bytearray, reasons: Sequence[Reason], encoded_item: Callable[[Reason], bytes | None]
) -> None:
    cbor.head(out, cbor.ARRAY, 3 * len(reasons))
    for reason in reasons:
        cbor.text(out, reason.code)
        _text_or_null(out, reason.message)
        item = encoded_item(reason)
        if item is None:
            cbor.null(out)
        else:
            cbor.data(out, item)


def _text_or_null(out: bytearray, found: str | None) -> None:
    if found is None:
        cbor.null(out)
    else:
        cbor.text(out, found)
