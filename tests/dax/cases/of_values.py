"""What goes in comes out, in attributes and in keys."""

from __future__ import annotations

from typing import Any

from tests.dax.cases.common import case, key, pk, placed
from tests.dax.sides import Side

NUMBERS = (
    "0", "-0", "1", "-1", "23", "24", "255", "256", "65536", "4294967296", "18446744073709551615",
    "18446744073709551616", "-18446744073709551616", "-18446744073709551617", "1.0", "1.50", "-0.001", "1E+3",
    "1E-7", "12345678901234567890123456789012345678", "0.12345678901234567890123456789012345678",
    "9.9999999999999999999999999999999999999E+125", "1E-130", "-1E-130", "-1E+125", "100", "1000000000000",
)  # fmt: skip


@case
def every_type_comes_back(do: Side) -> None:
    where = placed(do, "types")
    for _ in range(2):
        do("get_item", TableName=do["ss"], Key=where)
    do("get_item", TableName=do["ss"], Key=where, ConsistentRead=True)


@case
def numbers_come_back(do: Side) -> None:
    for number in NUMBERS:
        where = key(pk("numbers"), number)
        do("put_item", TableName=do["ss"], Item=where | {"n": {"N": number}})
        do("get_item", TableName=do["ss"], Key=where)
        do("get_item", TableName=do["ss"], Key=where, ConsistentRead=True)


@case
def numbers_that_are_none(do: Side) -> None:
    for number in ("1E+126", "1E-131", "123456789012345678901234567890123456789"):
        do("put_item", TableName=do["ss"], Item=key(pk("bad-numbers")) | {"n": {"N": number}})


@case
def keys_of_every_type(do: Side) -> None:
    keys: dict[str, list[dict[str, Any]]] = {
        "s": [{"pk": {"S": pk("ä")}}],
        "n": [{"pk": {"N": n}} for n in ("0", "-1.5", "1E+3", "123456789012345678901234567890", "0.001")],
        "b": [{"pk": {"B": b"\x00\xff"}}, {"pk": {"B": b"plain"}}],
        "sn": [{"pk": {"S": pk("x")}, "sk": {"N": n}} for n in NUMBERS],
        "nb": [{"pk": {"N": "7.5"}, "sk": {"B": b"\x00"}}],
        "bn": [{"pk": {"B": b"\xff"}, "sk": {"N": "-12.25"}}],
    }
    for kind, found in keys.items():
        for where in found:
            do("put_item", TableName=do[kind], Item=where | {"v": {"S": kind}})
            do("get_item", TableName=do[kind], Key=where)
            do("get_item", TableName=do[kind], Key=where, ConsistentRead=True)
            do(
                "update_item",
                TableName=do[kind],
                Key=where,
                UpdateExpression="SET v = :v",
                ExpressionAttributeValues={":v": {"S": "new"}},
                ReturnValues="ALL_NEW",
            )
            do("batch_get_item", RequestItems={do[kind]: {"Keys": [where]}})
            do("delete_item", TableName=do[kind], Key=where, ReturnValues="ALL_OLD")


@case
def number_keys_sort_and_page(do: Side) -> None:
    for number in ("-100", "-1.5", "-0.25", "0", "0.25", "3", "20", "1E+50"):
        do("put_item", TableName=do["sn"], Item={"pk": {"S": pk("sorted")}, "sk": {"N": number}})
    start: dict[str, Any] = {}
    for _ in range(4):
        page = do(
            "query",
            TableName=do["sn"],
            KeyConditionExpression="pk = :p AND sk > :n",
            Limit=3,
            ExpressionAttributeValues={":p": {"S": pk("sorted")}, ":n": {"N": "-50"}},
            **start,
        )
        if page is None or "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@case
def an_item_of_nearly_400_kilobytes(do: Side) -> None:
    where = key(pk("large"))
    do("put_item", TableName=do["ss"], Item=where | {"d": {"B": bytes(390_000)}})
    do("get_item", TableName=do["ss"], Key=where)
    do("put_item", TableName=do["ss"], Item=where | {"d": {"B": bytes(420_000)}})


@case
def values_nested_to_the_limit_and_past_it(do: Side) -> None:
    for depth in (30, 33, 50):
        value: dict[str, Any] = {"S": "core"}
        for level in range(depth):
            value = {"L": [value]} if level % 2 else {"M": {"m": value}}
        do("put_item", TableName=do["ss"], Item=key(pk("nested")) | {"v": value})
        do("get_item", TableName=do["ss"], Key=key(pk("nested")))


@case
def an_item_of_its_key_alone(do: Side) -> None:
    do("put_item", TableName=do["ss"], Item=key(pk("bare")))
    do("get_item", TableName=do["ss"], Key=key(pk("bare")))
    do("put_item", TableName=do["ss"], Item=key(pk("bare")), ReturnValues="ALL_OLD")
    do("delete_item", TableName=do["ss"], Key=key(pk("bare")), ReturnValues="ALL_OLD")


@case
def many_attributes(do: Side) -> None:
    many = {f"attribute-{n:04d}": {"N": str(n)} for n in range(1_000)}
    do("put_item", TableName=do["ss"], Item=key(pk("many")) | many)
    do("get_item", TableName=do["ss"], Key=key(pk("many")))
