"""TransactGetItems and TransactWriteItems."""

from __future__ import annotations

import uuid
from typing import Any

from tests.dax.cases.common import EVERY_TYPE, case, key, pk, placed
from tests.dax.sides import Side


@case
def reading_in_transactions(do: Side) -> None:
    where = placed(do, "transact-get")
    gets = [{"Get": {"TableName": do["ss"], "Key": k}} for k in (where, key(pk("transact-none")))]
    do("transact_get_items", TransactItems=gets)
    do("transact_get_items", TransactItems=gets[:1])
    do("transact_get_items", TransactItems=[gets[0], gets[0]])


@case
def writing_in_transactions(do: Side) -> None:
    where = pk("transact")
    old = key(where, "old")
    do("put_item", TableName=do["ss"], Item=old | {"n": {"N": "1"}})
    do("put_item", TableName=do["ss"], Item=key(where, "gone"))
    actions: list[dict[str, Any]] = [
        {"Put": {"TableName": do["ss"], "Item": key(where, "new") | EVERY_TYPE}},
        {
            "Update": {
                "TableName": do["ss"],
                "Key": old,
                "UpdateExpression": "SET n = n + :n",
                "ExpressionAttributeValues": {":n": {"N": "1"}},
            }
        },
        {"Delete": {"TableName": do["ss"], "Key": key(where, "gone")}},
        {
            "ConditionCheck": {
                "TableName": do["s"],
                "Key": {"pk": {"S": where}},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
    ]
    do("transact_write_items", TransactItems=actions)
    for sk in ("new", "old", "gone"):
        do("get_item", TableName=do["ss"], Key=key(where, sk))


@case
def transactions_that_are_cancelled(do: Side) -> None:
    where = placed(do, "cancelled", n={"N": "1"})
    other = {"Put": {"TableName": do["ss"], "Item": key(pk("cancelled"), "other")}}
    for condition in ("attribute_not_exists(pk)", "n = :n"):
        for returned in ("NONE", "ALL_OLD"):
            action: dict[str, Any] = {
                "TableName": do["ss"],
                "Key": where,
                "ConditionExpression": condition,
                "ReturnValuesOnConditionCheckFailure": returned,
            }
            if ":n" in condition:
                action["ExpressionAttributeValues"] = {":n": {"N": "2"}}
            do("transact_write_items", TransactItems=[other, {"Delete": action}])
            do("transact_write_items", TransactItems=[{"ConditionCheck": action}, other])
    update = {
        "TableName": do["ss"],
        "Key": where,
        "UpdateExpression": "SET #t = #t + :n",
        "ExpressionAttributeNames": {"#t": "a_text"},
        "ExpressionAttributeValues": {":n": {"N": "1"}},
    }
    do("transact_write_items", TransactItems=[other, {"Update": update}])
    do("get_item", TableName=do["ss"], Key=key(pk("cancelled"), "other"))


@case
def transactions_with_a_token(do: Side) -> None:
    where = key(pk("token"))
    add = {
        "Update": {
            "TableName": do["ss"],
            "Key": where,
            "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": {"N": "1"}},
        }
    }
    put = {"Put": {"TableName": do["ss"], "Item": where}}
    token = str(uuid.uuid5(uuid.NAMESPACE_OID, pk("token") + do["ss"]))
    for _ in range(2):
        do("transact_write_items", TransactItems=[add], ClientRequestToken=token)
    do("transact_write_items", TransactItems=[put], ClientRequestToken=token)
    do("get_item", TableName=do["ss"], Key=where)


@case
def transactions_that_dynamodb_refuses(do: Side) -> None:
    put = {"Put": {"TableName": do["ss"], "Item": key(pk("twice"))}}
    do("transact_write_items", TransactItems=[put, put])
    many = [{"Put": {"TableName": do["ss"], "Item": key(pk("many"), str(n))}} for n in range(101)]
    do("transact_write_items", TransactItems=many)
    do(
        "transact_get_items",
        TransactItems=[{"Get": {"TableName": do["ss"], "Key": key("x", str(n))}} for n in range(101)],
    )
