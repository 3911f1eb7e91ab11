"""GetItem and BatchGetItem: through the item cache, unless the read is consistent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from dax.errors import Malformed, Refusal
from dax.node import Found, Json, Node, Target
from dax.operations.asking import projected, projection_of, reporting
from dax.wire import answers, cbor, keys, methods
from dax.wire.keys import Schema
from dax.wire.methods import Options, read_options
from dax.wire.paths import Projection, doubtful, read_projection, write_projected

BATCH_MAX: Final = 100
ROUNDS_AFTER_S: Final = (0.05, 0.1, 0.2, 0.4)
"""Pauses before what DynamoDB left undone of a batch is asked for again."""
BATCH_ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024


async def get_item(node: Node, arguments: Sequence[Any]) -> bytes:
    table, key, kwargs = arguments
    options = read_options(kwargs)
    target = await node.target(table, key)
    projection = projection_of(options)
    if projection is not None and doubtful(projection):
        await node.backend.call("GetItem", _named(target) | projected(projection))  # for its error
    if options.consistent:
        found = await _fetch(node, target, options)
    else:
        found = await _through_cache(node, target, options)
    return _answer(node, target, projection, found)


async def _through_cache(node: Node, target: Target, options: Options) -> Found:
    entry = node.items.get(target.slot)
    nothing = answers.no_capacity(target.table, options.capacity) if options.wants_capacity else None
    if entry is not None:
        return Found(entry.answer, nothing)
    ticket, under_way = node.fills.get(target.slot, (None, None))
    if ticket is not None and under_way is not None and node.items.is_current(ticket):
        return Found((await asyncio.shield(under_way)).answer, nothing)
    return await _fill(node, target, options)


async def _fill(node: Node, target: Target, options: Options) -> Found:
    """Read from DynamoDB, once for all who ask meanwhile."""
    with node.items.reading(target.slot) as ticket:
        reading = asyncio.ensure_future(_fetch(node, target, options))
        fill = node.fills[target.slot] = (ticket, reading)
        try:
            found = await reading
            node.items.keep(ticket, found.answer, absent=found.absent)
        finally:
            if node.fills.get(target.slot) is fill:
                del node.fills[target.slot]
    return found


async def _fetch(node: Node, target: Target, options: Options) -> Found:
    """The whole item: a projection is taken from it here."""
    asked = _named(target) | {"ConsistentRead": options.consistent} | reporting(options)
    result = await node.backend.call("GetItem", asked)
    answer = node.answer_of(result.get("Item"), target.schema)
    return Found(answer, result.get("ConsumedCapacity"))


def _named(target: Target) -> Json:
    return {"TableName": target.table, "Key": target.key}


def _answer(node: Node, target: Target, projection: Projection | None, found: Found) -> bytes:
    if projection is None and found.capacity is None:
        return found.answer
    parts: answers.Fields = []
    if not found.absent:
        parts.append((answers.ITEM, _item(node, target, projection, found.answer)))
    if found.capacity is not None:
        parts.append((answers.CAPACITY, answers.capacity(found.capacity)))
    return answers.fields(parts)


def _item(node: Node, target: Target, projection: Projection | None, answer: bytes) -> bytes:
    item = None if projection is None else node.item_of(answer, target.key)
    if projection is None or item is None:
        return answer[len(answers.ITEM_START) :]
    out = bytearray()
    write_projected(out, item, projection)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class _Group:
    """What a batch asks of one table."""

    table: str
    schema: Schema
    consistent: bool
    projection: Projection | None
    targets: tuple[Target, ...]


async def batch_get_item(node: Node, arguments: Sequence[Any]) -> bytes:
    asked, kwargs = arguments
    options = read_options(kwargs)
    if not isinstance(asked, dict):
        raise Malformed("a batch is not a map")
    groups = [await _group(node, table, part) for table, part in asked.items()]
    if _suspect(groups):
        await node.backend.call("BatchGetItem", _as_asked(groups))  # for its error
    batch = _Batch(node, groups, options)
    await batch.run()
    return batch.answer()


async def _group(node: Node, table: str, part: object) -> _Group:
    if not isinstance(part, list) or len(part) != 3:
        raise Malformed("a table of a batch is not an array of three")
    consistent, projection, found = part
    schema = await node.schemas.of(methods.text(table))
    wanted = [keys.read(key, schema) for key in methods.array(found, methods.data)]
    targets = tuple(node.target_of(table, schema, key) for key in wanted)
    paths = None if projection is None else read_projection(methods.data(projection))
    return _Group(table, schema, methods.flag(consistent), paths, targets)


def _suspect(groups: Sequence[_Group]) -> bool:
    """Whether DynamoDB may refuse the batch as it stands, which its parts would no longer show."""
    slots = [target.slot for group in groups for target in group.targets]
    return (
        not 0 < len(slots) <= BATCH_MAX
        or len(set(slots)) < len(slots)
        or any(not group.targets for group in groups)
        or any(group.projection is not None and doubtful(group.projection) for group in groups)
    )


def _as_asked(groups: Sequence[_Group]) -> Json:
    items = {}
    for group in groups:
        part: Json = {"Keys": [target.key for target in group.targets], "ConsistentRead": group.consistent}
        items[group.table] = part | ({} if group.projection is None else projected(group.projection))
    return {"RequestItems": items}


class _Batch:
    """One BatchGetItem: from the cache what is there, the rest from DynamoDB in as few calls as it takes."""

    def __init__(self, node: Node, groups: Sequence[_Group], options: Options) -> None:
        self._node = node
        self._groups = groups
        self._options = options
        self._found: dict[bytes, bytes] = {}
        self._missing: dict[str, dict[bytes, Target]] = {}
        self._capacity: dict[str, Json] = {}
        self._room_bytes = BATCH_ANSWER_MAX_BYTES

    async def run(self) -> None:
        for group in self._groups:
            for target in group.targets:
                entry = None if group.consistent else self._node.items.get(target.slot)
                if entry is not None:
                    self._take(target, entry.answer)
                else:
                    self._missing.setdefault(group.table, {})[target.key_bytes] = target
        for pause_s in ROUNDS_AFTER_S:
            if not self._missing:
                return
            before = self._left()
            await self._round()
            if self._room_bytes <= 0:
                return
            if self._left() == before:
                await asyncio.sleep(pause_s)

    def _left(self) -> int:
        return sum(len(targets) for targets in self._missing.values())

    def _take(self, target: Target, answer: bytes) -> None:
        self._found[target.slot] = answer
        self._room_bytes -= len(answer)

    async def _round(self) -> None:
        with ExitStack() as stack:
            tickets = {
                target.slot: stack.enter_context(self._node.items.reading(target.slot))
                for group in self._groups
                if not group.consistent
                for target in self._missing.get(group.table, {}).values()
            }
            result = await self._node.backend.call("BatchGetItem", self._asked())
            for target, item in self._outcomes(result):
                answer = self._node.answer_of(item, target.schema)
                self._take(target, answer)
                if target.slot in tickets:
                    self._node.items.keep(tickets[target.slot], answer, absent=item is None)
        for capacity in result.get("ConsumedCapacity", ()):
            _add(self._capacity, capacity)

    def _asked(self) -> Json:
        items = {
            group.table: {
                "Keys": [target.key for target in self._missing[group.table].values()],
                "ConsistentRead": group.consistent,
            }
            for group in self._groups
            if group.table in self._missing
        }
        return {"RequestItems": items} | reporting(self._options)

    def _outcomes(self, result: Json) -> list[tuple[Target, Json | None]]:
        """Every item that DynamoDB has decided on; what it has not stays missing."""
        decided: list[tuple[Target, Json | None]] = []
        left = result.get("UnprocessedKeys", {})
        for group in self._groups:
            missing = self._missing.pop(group.table, {})
            for item in result.get("Responses", {}).get(group.table, ()):
                decided.append((missing.pop(keys.encoded(item, group.schema)), item))
            undone = {keys.encoded(key, group.schema) for key in left.get(group.table, {}).get("Keys", ())}
            decided += [(target, None) for key, target in missing.items() if key not in undone]
            if undone:
                self._missing[group.table] = {key: target for key, target in missing.items() if key in undone}
        return decided

    def answer(self) -> bytes:
        if self._missing and not self._found:
            raise Refusal(
                "ProvisionedThroughputExceededException", "DynamoDB left all keys of a batch unprocessed"
            )
        out = bytearray(answers.SUCCESS)
        cbor.head(out, cbor.ARRAY, 2)
        answers.by_table(out, {group.table: self._rows(group) for group in self._groups})
        answers.by_table(out, {t: [answers.as_data(k) for k in left] for t, left in self._missing.items()})
        answers.array(out, [answers.capacity(capacity) for capacity in self._capacity.values()])
        return bytes(out)

    def _rows(self, group: _Group) -> list[bytes]:
        rows: list[bytes] = []
        for target in group.targets:
            answer = self._found.get(target.slot, answers.EMPTY)
            if answer == answers.EMPTY:
                continue
            if group.projection is None:
                rows.append(answers.as_data(target.key_bytes))
            rows.append(_item(self._node, target, group.projection, answer))
        return rows


def _add(total: dict[str, Json], more: Mapping[str, Any]) -> None:
    """Add up the capacity that the calls for one batch consumed; keys do not come from indexes."""
    table = more["TableName"]
    if table not in total:
        total[table] = dict(more)
        return
    total[table]["CapacityUnits"] += more["CapacityUnits"]
    if "Table" in more:
        units = total[table]["Table"]["CapacityUnits"] + more["Table"]["CapacityUnits"]
        total[table]["Table"] = {"CapacityUnits": units}
