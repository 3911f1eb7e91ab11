"""BatchGetItem and BatchWriteItem."""

from __future__ import annotations

from typing import Any

from tests.dax.cases.common import EVERY_TYPE, case, key, pk, shelf
from tests.dax.sides import Side


def batch(do: Side, items: dict[str, Any]) -> None:
    """A batch of reads, whose rows come in any order."""
    result = do.client.batch_get_item(RequestItems=items)
    for kind, name in do.tables.items():
        rows = [sorted(row.items()) for row in result["Responses"].get(name, ())]
        do.outcomes.append((kind, sorted(rows, key=str)))
    do.outcomes.append(("unprocessed", result["UnprocessedKeys"]))


@case
def batches_of_reads(do: Side) -> None:
    where = shelf(do, "batch")
    keys = [key(where, f"{n:02d}") for n in range(0, 14, 2)]
    do("get_item", TableName=do["ss"], Key=keys[0])
    for _ in range(2):
        batch(do, {do["ss"]: {"Keys": keys}})
        batch(do, {do["ss"]: {"Keys": keys, "ConsistentRead": True}})
        batch(do, {do["ss"]: {"Keys": keys, "ProjectionExpression": "sk, l[0]"}})
        batch(do, {do["ss"]: {"Keys": keys}, do["s"]: {"Keys": [{"pk": {"S": pk("none")}}]}})


@case
def batches_that_dynamodb_refuses(do: Side) -> None:
    do("batch_get_item", RequestItems={do["ss"]: {"Keys": [key(pk("x"), str(n)) for n in range(101)]}})
    do("batch_get_item", RequestItems={do["ss"]: {"Keys": [key(pk("x")), key(pk("x"))]}})
    puts = [{"PutRequest": {"Item": key(pk("x"), str(n))}} for n in range(26)]
    do("batch_write_item", RequestItems={do["ss"]: puts})
    do("batch_write_item", RequestItems={do["ss"]: [puts[0], puts[0]]})
    large = {"PutRequest": {"Item": key(pk("x")) | {"d": {"B": bytes(420_000)}}}}
    do("batch_write_item", RequestItems={do["ss"]: [puts[1], large]})
    do("get_item", TableName=do["ss"], Key=key(pk("x"), "1"))


@case
def batches_of_writes(do: Side) -> None:
    where = shelf(do, "batch-write")
    do(
        "batch_write_item",
        RequestItems={
            do["ss"]: [
                {"DeleteRequest": {"Key": key(where, "00")}},
                {"PutRequest": {"Item": key(where, "01") | EVERY_TYPE}},
                {"PutRequest": {"Item": key(where, "new")}},
            ],
            do["s"]: [{"PutRequest": {"Item": {"pk": {"S": where}, "v": {"N": "1"}}}}],
        },
    )
    for sk in ("00", "01", "new"):
        do("get_item", TableName=do["ss"], Key=key(where, sk))
    do("get_item", TableName=do["s"], Key={"pk": {"S": where}})
