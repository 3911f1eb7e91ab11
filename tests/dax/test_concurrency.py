"""Many clients at once, and a DynamoDB that leaves parts of batches undone."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dax.operations import get, write
from tests.dax import tables
from tests.dax.running import RunningNode

Own = Callable[..., RunningNode]
THREADS = 6
STEPS = 150


@pytest.fixture(scope="module")
def table(direct: Any) -> str:
    return tables.make(direct, "ss")


@pytest.fixture
def own(own_node: Own) -> RunningNode:
    return own_node()


@pytest.fixture
def client(own: RunningNode) -> Iterator[Any]:
    with own.client() as connected:
        yield connected


def step(client: Any, table: str, key: dict[str, Any], choice: random.Random) -> None:
    """One random read or write of one item."""
    item = key | {"v": {"N": str(choice.randrange(10**9))}}
    action = choice.randrange(8)
    if action == 0:
        client.put_item(TableName=table, Item=item)
    elif action == 1:
        returned = choice.choice(["NONE", "UPDATED_NEW", "ALL_NEW"])
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="ADD v :v",
            ExpressionAttributeValues={":v": {"N": "1"}},
            ReturnValues=returned,
        )
    elif action == 2:
        client.delete_item(TableName=table, Key=key)
    elif action == 3:
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}}]})
    elif action == 4:
        client.batch_get_item(RequestItems={table: {"Keys": [key]}})
    else:
        client.get_item(TableName=table, Key=key)


def test_whatever_happens_at_once_the_cache_ends_with_what_dynamodb_has(
    own: RunningNode, client: Any, direct: Any, table: str
) -> None:
    keys = [{"pk": {"S": uuid.uuid4().hex}, "sk": {"S": str(n)}} for n in range(3)]

    def work(seed: int) -> None:
        choice = random.Random(seed)
        for _ in range(STEPS):
            step(client, table, choice.choice(keys), choice)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    before = own.server.node.items.counts.hits
    for key in keys:
        found = [side.get_item(TableName=table, Key=key).get("Item") for side in (client, direct)]
        assert found[0] == found[1]
    assert before > 0
    assert own.server.node.items._tracks == {}
    assert own.server.node.fills == {}


class Sparing:
    """Passes only the first part of each batch on, as a DynamoDB short of capacity does."""

    def __init__(self, own: RunningNode, *, rounds: int) -> None:
        backend = own.server.node.backend
        self.rounds = rounds
        self._original = backend.call
        setattr(backend, "call", self.call)  # noqa: B010 - mypy takes no other method in its place

    async def call(self, operation: str, parameters: Any) -> Any:
        if not operation.startswith("Batch") or not self.rounds:
            return await self._original(operation, parameters)
        self.rounds -= 1
        ((table, asked),) = parameters["RequestItems"].items()
        if operation == "BatchWriteItem":
            result = await self._original(operation, parameters | {"RequestItems": {table: asked[:1]}})
            return result | {"UnprocessedItems": {table: asked[1:]} if asked[1:] else {}}
        some = {table: asked | {"Keys": asked["Keys"][:1]}}
        result = await self._original(operation, parameters | {"RequestItems": some})
        left = asked["Keys"][1:]
        return result | {"UnprocessedKeys": {table: {"Keys": left}} if left else {}}


def batch(table: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    pk = uuid.uuid4().hex
    items = [{"pk": {"S": pk}, "sk": {"S": str(n)}, "v": {"N": str(n)}} for n in range(3)]
    return items, {table: [{"PutRequest": {"Item": item}} for item in items]}


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


def test_what_is_left_of_a_batch_is_written_in_the_end(
    own: RunningNode, client: Any, direct: Any, table: str
) -> None:
    Sparing(own, rounds=2)
    items, asked = batch(table)
    assert client.batch_write_item(RequestItems=asked)["UnprocessedItems"] == {}
    for item in items:
        assert direct.get_item(TableName=table, Key=key_of(item), ConsistentRead=True)["Item"] == item
        assert client.get_item(TableName=table, Key=key_of(item))["Item"] == item
    assert own.calls("GetItem") == 0


def test_a_batch_that_stays_unwritten_is_an_error(
    own: RunningNode, client: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ROUNDS_AFTER_S", (0.0,))
    Sparing(own, rounds=100)
    items, asked = batch(table)
    client.get_item(TableName=table, Key=key_of(items[2]))
    with pytest.raises(ClientError, match="left 2 writes of a batch undone") as failed:
        client.batch_write_item(RequestItems=asked)
    assert failed.value.response["Error"]["Code"] == "ProvisionedThroughputExceededException"
    written = [client.get_item(TableName=table, Key=key_of(item)).get("Item") for item in items]
    assert written == [items[0], None, None]


def test_what_is_left_of_a_batch_is_read_in_the_end(own: RunningNode, client: Any, table: str) -> None:
    items, asked = batch(table)
    client.batch_write_item(RequestItems=asked)
    own.server.node.flush(None)
    Sparing(own, rounds=2)
    read = client.batch_get_item(
        RequestItems={table: {"Keys": [key_of(item) for item in items]}}, ReturnConsumedCapacity="TOTAL"
    )
    assert read["Responses"][table] == items
    assert read["UnprocessedKeys"] == {}
    assert read["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 1.5}]


def test_keys_that_stay_unread_are_named(
    own: RunningNode, client: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, asked = batch(table)
    client.batch_write_item(RequestItems=asked)
    own.server.node.flush(None)
    monkeypatch.setattr(get, "ROUNDS_AFTER_S", (0.0,))
    Sparing(own, rounds=100)
    keys = [key_of(item) for item in items]
    read = client.batch_get_item(RequestItems={table: {"Keys": keys}})
    assert read["Responses"][table] == items[:1]
    assert read["UnprocessedKeys"] == {table: {"Keys": keys[1:]}}
