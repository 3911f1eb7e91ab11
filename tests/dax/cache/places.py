"""Items read and written through a node or past it, and what makes moments meet."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

from tests.dax.running import RunningNode

Own = Callable[..., RunningNode]
REPORT: Final = {"ReturnConsumedCapacity": "TOTAL"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Place:
    """One item of a table, read and written through the node or past it."""

    def __init__(self, direct: Any, table: str, client: Any) -> None:
        self.direct, self.table, self.client = direct, table, client
        self.key = {"pk": {"S": uuid.uuid4().hex}, "sk": {"S": "k"}}

    def put(self, value: str, *, past: bool = False, **more: Any) -> Any:
        item = self.key | {"v": {"S": value}}
        return (self.direct if past else self.client).put_item(TableName=self.table, Item=item, **more)

    def get(self, **more: Any) -> str | None:
        result = self.client.get_item(TableName=self.table, Key=self.key, **more)
        return result["Item"]["v"]["S"] if "Item" in result else None

    def query(self, **more: Any) -> list[str]:
        result = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": self.key["pk"]},
            **more,
        )
        return [item["v"]["S"] for item in result["Items"]]

    def update(self, value: str, **more: Any) -> Any:
        return self.client.update_item(
            TableName=self.table,
            Key=self.key,
            UpdateExpression="SET v = :v",
            ExpressionAttributeValues={":v": {"S": value}},
            **more,
        )


class Gate:
    """Holds the answers of one operation back until it is opened."""

    def __init__(self, own: RunningNode, operation: str) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        backend = own.server.node.backend
        original = backend.call

        async def call(asked: str, parameters: Any) -> Any:
            result = await original(asked, parameters)
            if asked == operation and not self.opened.is_set():
                self.reached.set()
                await asyncio.to_thread(self.opened.wait, 30)
            return result

        setattr(backend, "call", call)  # noqa: B010 - mypy takes no other method in its place
