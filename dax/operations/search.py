"""Query and Scan: result sets through the query cache, unless the read is consistent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dax.cache import QueryKey
from dax.node import Json, Node
from dax.operations.asking import paging, projection_of, reporting, searching
from dax.wire import answers, cbor, keys, methods
from dax.wire.keys import Schema
from dax.wire.methods import Options, read_options
from dax.wire.paths import Projection, doubtful, top_level, write_projected


async def query(node: Node, arguments: Sequence[Any]) -> bytes:
    table, key_condition, kwargs = arguments
    condition = None if key_condition is None else methods.data(key_condition)
    return await _search(node, "Query", methods.text(table), condition, read_options(kwargs))


async def scan(node: Node, arguments: Sequence[Any]) -> bytes:
    table, kwargs = arguments
    return await _search(node, "Scan", methods.text(table), None, read_options(kwargs))


async def _search(node: Node, operation: str, table: str, condition: bytes | None, options: Options) -> bytes:
    if options.consistent:
        result, parts = await _ask(node, operation, table, condition, options)
        return _answer(parts, result.get("ConsumedCapacity"))
    key: QueryKey = (operation, table, condition, replace(options, capacity="NONE"))
    entry = node.queries.get(key)
    if entry is not None and not options.wants_capacity:
        return entry.answer
    if entry is not None:
        return _with_capacity(entry.answer, answers.no_capacity(table, options.capacity))
    epoch = node.queries.epoch
    result, parts = await _ask(node, operation, table, condition, options)
    nothing = not result["Count"] and "LastEvaluatedKey" not in result
    parts_asked = (condition, options.filter, options.projection, options.start_key)
    asked_bytes = sum(len(part) for part in parts_asked if part)
    node.queries.keep(key, epoch, answers.fields(parts), absent=nothing, key_bytes=asked_bytes)
    return _answer(parts, result.get("ConsumedCapacity"))


async def _ask(
    node: Node, operation: str, table: str, condition: bytes | None, options: Options
) -> tuple[Json, answers.Fields]:
    """The result of DynamoDB, and its parts for the answer but the capacity."""
    schema = await node.schemas.of(table)
    projection = projection_of(options)
    common = {"TableName": table, "ConsistentRead": options.consistent}
    common |= paging(options) | reporting(options) | _start(options, schema)
    if projection is not None and doubtful(projection):
        await node.backend.call(operation, common | searching(condition, options, projection))  # its error
    tops = None if projection is None else top_level(projection)
    result = await node.backend.call(operation, common | searching(condition, options, tops))
    return result, _parts(node, result, options, schema, projection)


def _start(options: Options, schema: Schema) -> Json:
    if options.start_key is None:
        return {}
    if options.index is None:
        return {"ExclusiveStartKey": keys.read(options.start_key, schema)}
    return {"ExclusiveStartKey": keys.read_compound(options.start_key)}


def _parts(
    node: Node, result: Json, options: Options, schema: Schema, projection: Projection | None
) -> answers.Fields:
    parts: answers.Fields = []
    if "Items" in result:
        out = bytearray()
        encode = _row(node, schema, projection)
        answers.array(out, [encode(item) for item in result["Items"]])
        parts.append((answers.ITEMS, bytes(out)))
    parts.append((answers.COUNT, answers.number(result["Count"])))
    parts.append((answers.SCANNED, answers.number(result["ScannedCount"])))
    last = result.get("LastEvaluatedKey")
    if last is not None:
        encoded = keys.encoded(last, schema) if options.index is None else keys.encoded_compound(last)
        parts.append((answers.LAST_KEY, answers.as_data(encoded)))
    return parts


def _row(node: Node, schema: Schema, projection: Projection | None) -> Callable[[Json], bytes]:
    def whole(item: Json) -> bytes:
        out = bytearray()
        key, rest = answers.as_data(keys.encoded(item, schema)), node.encoded_item(item, schema)
        answers.array(out, [key, answers.as_data(rest)])
        return bytes(out)

    def part(item: Json) -> bytes:
        out = bytearray()
        write_projected(out, item, projection or ())
        return bytes(out)

    return whole if projection is None else part


def _answer(parts: answers.Fields, capacity: Json | None) -> bytes:
    if capacity is None:
        return answers.fields(parts)
    return answers.fields([*parts, (answers.CAPACITY, answers.capacity(capacity))])


def _with_capacity(answer: bytes, capacity: answers.Json) -> bytes:
    """A kept answer with one more part; it has fewer than 23, so their number is in one byte."""
    start = len(answers.SUCCESS)
    assert answer[start] >> 5 == cbor.MAP
    added = answers.number(answers.CAPACITY) + answers.capacity(capacity)
    return answer[:start] + bytes((answer[start] + 1,)) + answer[start + 1 :] + added
