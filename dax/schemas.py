"""Key schemas of tables, asked of DynamoDB and remembered for a minute."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from dax.backend import Backend
from dax.cache import Clock
from dax.wire.keys import KeyAttribute, Schema

LIFETIME_S: Final = 60.0
TABLES_MAX: Final = 10_000


class Schemas:
    """One question at a time for each table, however many ask."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Schema]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Schema]] = {}

    async def of(self, table: str) -> Schema:
        """Raises Refusal where there is no such table."""
        known = self._known.get(table)
        if known is not None and known[0] > self._clock():
            return known[1]
        asking = self._asking.get(table)
        if asking is None:
            asking = self._asking[table] = asyncio.create_task(self._ask(table))
            asking.add_done_callback(lambda _: self._asking.pop(table, None))
        return await asyncio.shield(asking)

    def known(self, table: str) -> Schema | None:
        """What was last known, however old."""
        known = self._known.get(table)
        return None if known is None else known[1]

    def flush(self) -> None:
        self._known.clear()

    async def _ask(self, table: str) -> Schema:
        description = (await self._backend.call("DescribeTable", {"TableName": table}))["Table"]
        kinds = {a["AttributeName"]: a["AttributeType"] for a in description["AttributeDefinitions"]}
        roles = sorted(description["KeySchema"], key=lambda part: part["KeyType"] != "HASH")
        schema = Schema(tuple(KeyAttribute(p["AttributeName"], kinds[p["AttributeName"]]) for p in roles))
        self._known[table] = (self._clock() + LIFETIME_S, schema)
        self._known.move_to_end(table)
        if len(self._known) > TABLES_MAX:
            self._known.popitem(last=False)
        return schema
