"""TransactGetItems and TransactWriteItems: passed through; the item cache learns what was written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from dax.cache import Ticket
from dax.errors import Malformed
from dax.node import Json, Node, Target
from dax.operations.asking import conditional, projected, reporting
from dax.wire import answers, cbor, methods
from dax.wire.methods import Options, read_options
from dax.wire.paths import Projection, doubtful, read_projection, write_projected

ALL_OLD: Final = 2
_ACTIONS: Final = {2: "Put", 7: "Delete", 9: "Update", 12: "ConditionCheck"}


async def transact_get_items(node: Node, arguments: Sequence[Any]) -> bytes:
    tables, found, projections, kwargs = arguments
    options = read_options(kwargs)
    targets = await _targets(node, tables, found)
    paths = [None if data is None else read_projection(data) for data in _column(projections, len(targets))]
    if any(projection is not None and doubtful(projection) for projection in paths):
        await node.backend.call("TransactGetItems", _gets(targets, paths))  # for its error
    asked = _gets(targets, [None] * len(targets)) | reporting(options)
    result = await node.backend.call("TransactGetItems", asked)
    out = bytearray(answers.SUCCESS)
    cbor.head(out, cbor.ARRAY, 2)
    read = zip(targets, paths, result["Responses"], strict=True)
    answers.array(out, [_item(node, target, path, response.get("Item")) for target, path, response in read])
    _write_capacity(out, result)
    return bytes(out)


def _gets(targets: Sequence[Target], paths: Sequence[Projection | None]) -> Json:
    asked = [
        {"Get": {"TableName": target.table, "Key": target.key} | ({} if path is None else projected(path))}
        for target, path in zip(targets, paths, strict=True)
    ]
    return {"TransactItems": asked}


def _item(node: Node, target: Target, projection: Projection | None, item: Json | None) -> bytes:
    if item is None:
        return bytes((cbor.NULL,))
    if projection is None:
        return answers.as_data(node.encoded_item(item, target.schema))
    out = bytearray()
    write_projected(out, item, projection)
    return bytes(out)


def _write_capacity(out: bytearray, result: Json) -> None:
    found = result.get("ConsumedCapacity", ())
    cbor.head(out, cbor.ARRAY, len(found))
    for capacity in found:
        answers.transaction_capacity(out, capacity)


async def transact_write_items(node: Node, arguments: Sequence[Any]) -> bytes:
    operations, tables, found, items, _, on_failure, conditions, updates, kwargs = arguments
    options = read_options(kwargs)
    targets = await _targets(node, tables, found)
    count = len(targets)
    columns = (operations, items, on_failure, conditions, updates)
    rows = zip(targets, *(_column(column, count) for column in columns), strict=True)
    actions = [_action(node, *row) for row in rows]
    asked: Json = {"TransactItems": [{kind: parameters} for kind, _, parameters in actions]}
    asked |= reporting(options) | ({} if options.token is None else {"ClientRequestToken": options.token})
    with ExitStack() as stack:
        written = [(k, t, p) for k, t, p in actions if k != "ConditionCheck"]
        tickets = {t.slot: stack.enter_context(node.items.writing(t.slot)) for _, t, _ in _once(written)}
        result = await node.backend.call("TransactWriteItems", asked)
        _keep(node, written, tickets)
    out = bytearray(answers.SUCCESS)
    cbor.head(out, cbor.ARRAY, 3)
    cbor.null(out)
    _write_capacity(out, result)
    answers.metrics_by_table(out, result.get("ItemCollectionMetrics"))
    return bytes(out)


_Action = tuple[str, Target, Json]
"""Its kind, the item it is about, and its parameters."""


def _once(actions: Sequence[_Action]) -> list[_Action]:
    """A transaction that names an item twice is refused by DynamoDB: one ticket will do."""
    return list({action[1].slot: action for action in actions}.values())


def _keep(node: Node, written: Sequence[_Action], tickets: dict[bytes, Ticket]) -> None:
    """What an update made of an item is not known: its entry goes when the ticket ends."""
    for kind, target, parameters in written:
        if kind != "Update":
            item = parameters.get("Item")
            answer = node.answer_of(item, target.schema)
            node.items.keep(tickets[target.slot], answer, absent=item is None)


def _action(
    node: Node,
    target: Target,
    operation: object,
    item: object,
    on_failure: object,
    condition: object,
    update: object,
) -> _Action:
    kind = _ACTIONS.get(methods.whole(operation))
    if kind is None:
        raise Malformed(f"a transaction has the unknown action {operation}")
    named: Json = {"Key": target.key}
    if kind == "Put":
        named = {"Item": target.key | node.decoded_item(methods.data(item))}
    expressions = conditional(
        Options(
            condition=None if condition is None else methods.data(condition),
            update=None if update is None else methods.data(update),
        )
    )
    wanted = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if on_failure == ALL_OLD else {}
    return kind, target, {"TableName": target.table} | named | expressions | wanted


async def _targets(node: Node, tables: object, found: object) -> list[Target]:
    names = methods.array(tables, methods.text)
    keys = methods.array(found, methods.data)
    if len(names) != len(keys):
        raise Malformed("a transaction has not as many keys as tables")
    return [await node.target(name, key) for name, key in zip(names, keys, strict=True)]


def _column(found: object, count: int) -> list[Any]:
    """One value for each item; null stands for nulls."""
    if found is None:
        return [None] * count
    column = methods.array(found, lambda value: value)
    if len(column) != count:
        raise Malformed("a transaction has a column of another length")
    return column
