"""A table of DynamoDB, through any client with its low-level methods: the DAX client fits in unchanged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from recount.errors import Conflict, Unavailable
from recount.store.table import Item, Key, Value, key_of

BATCH_GET_MAX_KEYS: Final = 100
BATCH_WRITE_MAX_ITEMS: Final = 25
BATCH_WRITE_MAX_BYTES: Final = 15_000_000
BATCH_ATTEMPTS_MAX: Final = 10


class DynamoTable:
    """A DynamoDB table through a low-level client (boto3's or DAX's)."""

    def __init__(self, client: Any, name: str, *, part: str = "dynamodb") -> None:
        """`part` is who errors say is unavailable."""
        self._client = client
        self._name = name
        self._part = part
        self._encode = TypeSerializer().serialize
        self._decode = TypeDeserializer().deserialize

    def get(self, key: Key, *, consistent: bool = False) -> Item | None:
        answer = self._call("get_item", Key=_marshal_key(key), ConsistentRead=consistent)
        return self._unmarshal(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        distinct = list(dict.fromkeys(keys))
        for at in range(0, len(distinct), BATCH_GET_MAX_KEYS):
            wanted = [_marshal_key(k) for k in distinct[at : at + BATCH_GET_MAX_KEYS]]
            for item in self._get_batch(wanted):
                found[key_of(item)] = item
        return found

    def query(
        self,
        pk: str,
        *,
        start: str | None = None,
        end: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Iterator[Item]:
        request = _key_condition(pk, start, end) | {
            "ScanIndexForward": not descending,
            "ConsistentRead": consistent,
        }
        while limit is None or limit > 0:
            page = self._call("query", **request, **({} if limit is None else {"Limit": limit}))
            for raw in page["Items"]:
                yield self._unmarshal(raw)
            limit = None if limit is None else limit - len(page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def scan(self) -> Iterator[Item]:
        request: dict[str, Any] = {}
        while True:
            page = self._call("scan", **request)
            for raw in page["Items"]:
                yield self._unmarshal(raw)
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(
        self, item: Item, *, if_absent: bool = False, if_equals: Mapping[str, Value] | None = None
    ) -> None:
        condition: dict[str, Any] = {}
        if if_absent:
            condition = {"ConditionExpression": "attribute_not_exists(pk)"}
        elif if_equals:
            names = list(if_equals)
            condition = {
                "ConditionExpression": " AND ".join(f"#n{i} = :v{i}" for i in range(len(names))),
                "ExpressionAttributeNames": {f"#n{i}": n for i, n in enumerate(names)},
                "ExpressionAttributeValues": {
                    f":v{i}": self._encode(if_equals[n]) for i, n in enumerate(names)
                },
            }
        self._call("put_item", Item=self._marshal(item), **condition)

    def put_many(self, items: Iterable[Item]) -> None:
        for batch in _batches(items):
            self._write_batch([{"PutRequest": {"Item": self._marshal(item)}} for item in batch])

    def delete(self, key: Key) -> None:
        self._call("delete_item", Key=_marshal_key(key))

    def delete_many(self, keys: Sequence[Key]) -> None:
        for at in range(0, len(keys), BATCH_WRITE_MAX_ITEMS):
            batch = keys[at : at + BATCH_WRITE_MAX_ITEMS]
            self._write_batch([{"DeleteRequest": {"Key": _marshal_key(key)}} for key in batch])

    def _write_batch(self, requests: list[dict[str, Any]]) -> None:
        pending = {self._name: requests}
        for attempt in range(BATCH_ATTEMPTS_MAX):
            answer = self._call_raw("batch_write_item", RequestItems=pending)
            pending = answer.get("UnprocessedItems") or {}
            if not pending:
                return
            time.sleep(min(0.05 * 2**attempt, 2.0))
        raise Unavailable(self._part, f"{self._name} keeps throttling writes")

    def _get_batch(self, wanted: list[dict[str, Any]]) -> Iterator[Item]:
        pending = {self._name: {"Keys": wanted}}
        for attempt in range(BATCH_ATTEMPTS_MAX):
            answer = self._call_raw("batch_get_item", RequestItems=pending)
            for raw in answer["Responses"].get(self._name, []):
                yield self._unmarshal(raw)
            pending = answer.get("UnprocessedKeys") or {}
            if not pending:
                return
            time.sleep(min(0.05 * 2**attempt, 2.0))
        raise Unavailable(self._part, f"{self._name} keeps throttling reads")

    def _call(self, method: str, **request: Any) -> dict[str, Any]:
        return self._call_raw(method, TableName=self._name, **request)

    def _call_raw(self, method: str, **request: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, method)(**request)
            return answer
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "ConditionalCheckFailedException":
                raise Conflict(f"{self._name}: {error}") from error
            if code in {"ValidationException", "AccessDeniedException"}:
                raise
            raise Unavailable(self._part, f"{self._name} {method}: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(self._part, f"{self._name} {method}: {error}") from error

    def _marshal(self, item: Item) -> dict[str, Any]:
        return {name: self._encode(value) for name, value in item.items()}

    def _unmarshal(self, raw: Mapping[str, Any]) -> Item:
        return {name: _plain(self._decode(value)) for name, value in raw.items()}


def _plain(value: Value) -> Value:
    """DynamoDB's numbers come as Decimal and its bytes wrapped; ours are int and bytes."""
    if isinstance(value, Binary):
        return bytes(cast("Any", value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | bool | bytes):
        return value
    return int(value)


def _marshal_key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _key_condition(pk: str, start: str | None, end: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {":pk": {"S": pk}}
    condition = "pk = :pk"
    if start is not None and end is not None:
        condition += " AND sk BETWEEN :start AND :end"
    elif start is not None:
        condition += " AND sk >= :start"
    elif end is not None:
        condition += " AND sk <= :end"
    if start is not None:
        values[":start"] = {"S": start}
    if end is not None:
        values[":end"] = {"S": end}
    return {"KeyConditionExpression": condition, "ExpressionAttributeValues": values}


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        item_bytes = sum(len(v) for v in item.values() if isinstance(v, bytes | str)) + 1024
        if batch and (len(batch) == BATCH_WRITE_MAX_ITEMS or size + item_bytes > BATCH_WRITE_MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item_bytes
    if batch:
        yield batch
