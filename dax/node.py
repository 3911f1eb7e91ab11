"""What the operations of one node share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dax.attribute_lists import AttributeLists
from dax.backend import Backend
from dax.cache import Clock, ItemCache, Limits, QueryCache, Ticket
from dax.errors import Malformed, Reason
from dax.metrics import Stats
from dax.schemas import Schemas
from dax.settings import Settings
from dax.wire import answers, cbor, keys, methods, values
from dax.wire.cbor import Reader
from dax.wire.keys import Schema
from dax.wire.values import Item

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One item that a request names. `key_bytes` and `slot` are the same for equal keys."""

    table: str
    schema: Schema
    key: Item
    key_bytes: bytes
    slot: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of a read of one item: the answer to a plain GetItem, and what the read consumed."""

    answer: bytes
    capacity: answers.Json | None

    @property
    def absent(self) -> bool:
        return self.answer == answers.EMPTY


class Node:
    """Caches, attribute lists and DynamoDB."""

    def __init__(
        self, settings: Settings, backend: Backend, lists: AttributeLists, stats: Stats, clock: Clock
    ) -> None:
        half = settings.memory_max_bytes // 2

        def limits(ttl_s: float) -> Limits:
            return Limits(bytes_max=half, ttl_s=ttl_s, absent_ttl_s=settings.absent_ttl_s)

        self.settings = settings
        self.backend = backend
        self.lists = lists
        self.stats = stats
        self.items = ItemCache(limits(settings.item_ttl_s), clock)
        self.queries = QueryCache(limits(settings.query_ttl_s), clock)
        self.schemas = Schemas(backend, clock)
        self.fills: dict[bytes, tuple[Ticket, asyncio.Task[Found]]] = {}

    async def target(self, table: object, key: object) -> Target:
        """The item that a table and a key name, both as they came."""
        name = methods.text(table)
        schema = await self.schemas.of(name)
        return self.target_of(name, schema, keys.read(methods.data(key), schema))

    def target_of(self, table: str, schema: Schema, item: Item) -> Target:
        key = {attribute.name: item[attribute.name] for attribute in schema.attributes}
        key_bytes = keys.encoded(key, schema)
        return Target(table, schema, key, key_bytes, keys.slot(table, key_bytes))

    def encoded_item(self, item: Mapping[str, values.Value], schema: Schema) -> bytes:
        """The number of the attribute list, then the values of all attributes but the key's."""
        names = sorted(item.keys() - schema.names)
        out = bytearray()
        cbor.integer(out, self.lists.number(names))
        for name in names:
            values.write(out, item[name])
        return bytes(out)

    def decoded_item(self, data: bytes) -> Item:
        """The attributes but the key's."""
        reader = Reader(data)
        names = self.lists.names(reader.integer("the number of an attribute list"))
        item = {name: values.read(reader) for name in names}
        if not reader.ended:
            raise Malformed("an item has more values than its attribute list has names")
        return item

    def answer_of(self, item: Mapping[str, values.Value] | None, schema: Schema) -> bytes:
        """The answer to a plain GetItem that found this."""
        if item is None:
            return answers.EMPTY
        return answers.ITEM_START + answers.as_data(self.encoded_item(item, schema))

    def item_of(self, answer: bytes, key: Item) -> Item | None:
        """The whole item in an answer to a plain GetItem."""
        if answer == answers.EMPTY:
            return None
        return key | self.decoded_item(Reader(answer, len(answers.ITEM_START)).data())

    def reason_item(self, reason: Reason) -> bytes | None:
        """The item in a reason for which a transaction was cancelled."""
        schema = self.schemas.known(reason.table)
        if reason.item is None or schema is None:
            return None
        return self.encoded_item(reason.item, schema)

    def flush(self, table: str | None) -> int:
        """Forget the caches and schemas, of one table or of all; how many entries that were."""
        self.stats.flushes += 1
        self.schemas.flush()
        if table is None:
            return self.items.flush() + self.queries.flush()
        prefix = answers.as_data(table.encode())
        return self.items.flush(prefix) + self.queries.flush(table)
