"""PutItem, UpdateItem, DeleteItem and BatchWriteItem: to DynamoDB first, then into the item cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from dax.cache import Ticket
from dax.errors import Malformed, Refusal
from dax.node import Json, Node, Target
from dax.operations.asking import conditional, reporting
from dax.wire import answers, cbor, keys, methods, values
from dax.wire.keys import Schema
from dax.wire.methods import Options, read_options

ROUNDS_AFTER_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses before what DynamoDB left undone of a batch is written again."""


async def put_item(node: Node, arguments: Sequence[Any]) -> bytes:
    table, key, found, kwargs = arguments
    options = read_options(kwargs)
    target = await node.target(table, key)
    item = target.key | node.decoded_item(methods.data(found))
    asked = {"TableName": target.table, "Item": item} | _asked(options)
    with node.items.writing(target.slot) as ticket:
        result = await node.backend.call("PutItem", asked)
        _keep(node, target, ticket, item)
    return _answer(node, target, options, result)


async def delete_item(node: Node, arguments: Sequence[Any]) -> bytes:
    table, key, kwargs = arguments
    options = read_options(kwargs)
    target = await node.target(table, key)
    asked = {"TableName": target.table, "Key": target.key} | _asked(options)
    with node.items.writing(target.slot) as ticket:
        result = await node.backend.call("DeleteItem", asked)
        _keep(node, target, ticket, None)
    return _answer(node, target, options, result)


async def update_item(node: Node, arguments: Sequence[Any]) -> bytes:
    """Where the caller leaves it open, DynamoDB is asked for the new item, for the cache."""
    table, key, kwargs = arguments
    options = read_options(kwargs)
    target = await node.target(table, key)
    asked = {"TableName": target.table, "Key": target.key} | _asked(options)
    whole = options.return_values in ("NONE", "ALL_NEW")
    if whole:
        asked["ReturnValues"] = "ALL_NEW"
    with node.items.writing(target.slot) as ticket:
        result = await node.backend.call("UpdateItem", asked)
        if whole:
            _keep(node, target, ticket, result["Attributes"])
    if options.return_values == "NONE":
        del result["Attributes"]
    return _answer(node, target, options, result)


def _asked(options: Options) -> Json:
    return {"ReturnValues": options.return_values} | conditional(options) | reporting(options)


def _keep(node: Node, target: Target, ticket: Ticket, item: Json | None) -> None:
    node.items.keep(ticket, node.answer_of(item, target.schema), absent=item is None)


def _answer(node: Node, target: Target, options: Options, result: Json) -> bytes:
    parts: answers.Fields = []
    if "ConsumedCapacity" in result:
        parts.append((answers.CAPACITY, answers.capacity(result["ConsumedCapacity"])))
    if "Attributes" in result:
        changed = options.return_values.startswith("UPDATED_")
        encode = _changed if changed else Node.encoded_item
        parts.append((answers.ATTRIBUTES, answers.as_data(encode(node, result["Attributes"], target.schema))))
    if result.get("ItemCollectionMetrics"):
        parts.append((answers.METRICS, answers.collection_metrics(result["ItemCollectionMetrics"])))
    return answers.fields(parts)


def _changed(node: Node, attributes: Json, _schema: Schema) -> bytes:
    """The number of their list, then a map from place in the list to value."""
    names = sorted(attributes)
    out = bytearray()
    cbor.integer(out, node.lists.number(names))
    cbor.head(out, cbor.MAP, len(names))
    for place, name in enumerate(names):
        cbor.integer(out, place)
        values.write(out, attributes[name])
    return bytes(out)


async def batch_write_item(node: Node, arguments: Sequence[Any]) -> bytes:
    asked, kwargs = arguments
    options = read_options(kwargs)
    if not isinstance(asked, dict):
        raise Malformed("a batch is not a map")
    writes = [write for table, parts in asked.items() for write in await _writes(node, table, parts)]
    batch = _Batch(node, writes, options)
    with ExitStack() as stack:
        await batch.run(stack)
    return batch.answer()


_Write = tuple[Target, Json | None]
"""What to write, and the item to put; None to delete."""


async def _writes(node: Node, table: object, parts: object) -> list[_Write]:
    """From key, values, key, values ...; null in place of values deletes."""
    name = methods.text(table)
    schema = await node.schemas.of(name)
    flat = methods.array(parts, lambda part: part)
    if len(flat) % 2:
        raise Malformed("a table of a batch has a key without values")
    found: list[_Write] = []
    for key, item in zip(flat[::2], flat[1::2], strict=True):
        target = node.target_of(name, schema, keys.read(methods.data(key), schema))
        put = None if item is None else target.key | node.decoded_item(methods.data(item))
        found.append((target, put))
    return found


class _Batch:
    """One BatchWriteItem. The client cannot read what is left undone, so the node tries until nothing is."""

    def __init__(self, node: Node, writes: Sequence[_Write], options: Options) -> None:
        self._node = node
        self._options = options
        self._writes = list(writes)
        self._capacity: list[Json] = []
        self._metrics: dict[str, list[Json]] = {}

    async def run(self, stack: ExitStack) -> None:
        """Raises Refusal where DynamoDB leaves some undone to the end; the rest is written all the same."""
        writing = self._node.items.writing
        # A batch that names a key twice is refused by DynamoDB: one ticket will do.
        slots = dict.fromkeys(target.slot for target, _ in self._writes)
        tickets = {slot: stack.enter_context(writing(slot)) for slot in slots}
        for pause_s in ROUNDS_AFTER_S:
            await self._round(tickets)
            if not self._writes:
                return
            await asyncio.sleep(pause_s)
        raise Refusal(
            "ProvisionedThroughputExceededException",
            f"DynamoDB left {len(self._writes)} writes of a batch undone, the rest is written: send it again",
        )

    async def _round(self, tickets: dict[bytes, Ticket]) -> None:
        requests: dict[str, list[Json]] = {}
        for target, item in self._writes:
            request = (
                {"DeleteRequest": {"Key": target.key}} if item is None else {"PutRequest": {"Item": item}}
            )
            requests.setdefault(target.table, []).append(request)
        asked = {"RequestItems": requests} | reporting(self._options)
        result = await self._node.backend.call("BatchWriteItem", asked)
        undone = self._undone(result.get("UnprocessedItems", {}))
        for target, item in self._writes:
            if target.slot not in undone:
                _keep(self._node, target, tickets[target.slot], item)
        self._writes = [write for write in self._writes if write[0].slot in undone]
        self._capacity += result.get("ConsumedCapacity", ())
        for table, metrics in result.get("ItemCollectionMetrics", {}).items():
            self._metrics.setdefault(table, []).extend(metrics)

    def _undone(self, left: Json) -> set[bytes]:
        schemas = {target.table: target.schema for target, _ in self._writes}
        return {
            self._node.target_of(table, schemas[table], _keyed(request)).slot
            for table, requests in left.items()
            for request in requests
        }

    def answer(self) -> bytes:
        out = bytearray(answers.SUCCESS)
        answers.by_table(out, {})
        answers.array(out, [answers.capacity(capacity) for capacity in self._capacity])
        answers.metrics_by_table(out, self._metrics)
        return bytes(out)


def _keyed(request: Json) -> Json:
    found: Json = (
        request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
    )
    return found
