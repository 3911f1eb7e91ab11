"""PutItem, UpdateItem and DeleteItem, with conditions."""

from __future__ import annotations

from typing import Any

from tests.dax.cases.common import case, key, pk, placed
from tests.dax.sides import Side


@case
def conditions(do: Side) -> None:
    where = placed(do, "conditions", n={"N": "5"}, s={"S": "hello"})
    texts = (
        "attribute_exists(pk)", "attribute_not_exists(pk)", "attribute_not_exists(absent)", "n = :five",
        "n <> :five", "n < :ten", "n <= :five", "n > :ten", "n >= :five", "n BETWEEN :one AND :ten",
        "n IN (:one, :five)", "n IN (:one)", "begins_with(s, :he)", "contains(s, :ell)",
        "contains(a_texts, :b)",
        "size(s) = :five", "size(s) > :five", "attribute_type(s, :type)", "NOT n = :five", "NOT n = :one",
        "n = :five AND s = :he", "n = :five OR s = :he", "n = :one OR n = :five AND NOT s = :he",
        "(n = :one OR n = :five) AND s = :he", "NOT (n = :one OR s = :he)", "NOT (NOT n = :five)",
        "(n = :one AND s = :he) OR (n = :five AND attribute_exists(s))", "#l[0] = :one", "#l[4].deep[0] = :b",
        "n = :one OR (n = :ten OR (n = :five AND (s <> :he AND (n < :ten OR n = :one))))",
        "n = s", "#m.b.c = :one",
    )  # fmt: skip
    names = {"#l": "a_list", "#m": "a_map"}
    constants = {
        ":one": {"N": "1"},
        ":five": {"N": "5"},
        ":ten": {"N": "10"},
        ":he": {"S": "he"},
        ":ell": {"S": "ell"},
        ":b": {"S": "b"},
        ":type": {"S": "S"},
    }
    for text in texts:
        words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").replace("[", " ").split())
        used = {":" + w.split(":")[1] for w in words if w.startswith(":")}
        asked: dict[str, Any] = {"ConditionExpression": text}
        if used:
            asked["ExpressionAttributeValues"] = {name: constants[name] for name in used}
        short = {name: full for name, full in names.items() if name in text}
        if short:
            asked["ExpressionAttributeNames"] = short
        do(
            "update_item",
            TableName=do["ss"],
            Key=where,
            UpdateExpression="REMOVE never",
            ReturnValues="NONE",
            **asked,
        )
        asked["FilterExpression"] = asked.pop("ConditionExpression")
        found = asked.setdefault("ExpressionAttributeValues", {})
        found[":pk"] = where["pk"]
        do("query", TableName=do["ss"], KeyConditionExpression="pk = :pk", **asked)


@case
def conditions_that_dynamodb_refuses(do: Side) -> None:
    where = placed(do, "bad-conditions")
    for text, constants in (
        ("n = :a", {":a": {"S": "x"}, ":unused": {"S": "y"}}),
        ("begins_with(n, :a)", {":a": {"N": "1"}}),
        ("n BETWEEN :a AND :b", {":a": {"N": "2"}, ":b": {"N": "1"}}),
        ("n BETWEEN :a AND :b", {":a": {"N": "2"}, ":b": {"S": "1"}}),
        ("attribute_type(n, :a)", {":a": {"S": "NOPE"}}),
        ("n =", {}),
        ("n = :missing", {":a": {"S": "x"}}),
        ("size(n)", {}),
    ):
        more = {"ExpressionAttributeValues": constants} if constants else {}
        do("delete_item", TableName=do["ss"], Key=where, ConditionExpression=text, **more)


@case
def putting_with_conditions_and_old_values(do: Side) -> None:
    where = key(pk("put"))
    item = where | {"n": {"N": "1"}}
    for condition in ("attribute_not_exists(pk)", "attribute_not_exists(pk)", "attribute_exists(pk)"):
        do("put_item", TableName=do["ss"], Item=item, ConditionExpression=condition, ReturnValues="ALL_OLD")
    do("put_item", TableName=do["ss"], Item=where | {"m": {"N": "2"}}, ReturnValues="ALL_OLD")
    do("put_item", TableName=do["ss"], Item=item, ReturnValues="NONE")
    do("put_item", TableName=do["ss"], Item=item, ReturnValues="ALL_NEW")
    do("get_item", TableName=do["ss"], Key=where)


@case
def updates(do: Side) -> None:
    start = {"n": {"N": "1"}, "l": {"L": [{"S": "a"}, {"S": "b"}]}, "m": {"M": {"x": {"N": "1"}}}}
    expressions: tuple[tuple[str, dict[str, Any]], ...] = (
        ("SET n = n + :v", {":v": {"N": "2.5"}}),
        ("SET n = :v - n", {":v": {"N": "2.5"}}),
        ("SET q = if_not_exists(q, :v)", {":v": {"S": "first"}}),
        ("SET n = if_not_exists(absent, n) + :v", {":v": {"N": "1"}}),
        ("SET l = list_append(l, :v)", {":v": {"L": [{"S": "c"}]}}),
        ("SET l = list_append(:v, l)", {":v": {"L": [{"S": "z"}]}}),
        ("SET l[0] = :v, m.x = :v, m.y = :v", {":v": {"S": "new"}}),
        ("SET n = m.x", {}),
        ("REMOVE n, l[1], m.x", {}),
        ("ADD n :v, tags :t", {":v": {"N": "5"}, ":t": {"SS": ["a"]}}),
        ("DELETE a_texts :t", {":t": {"SS": ["a", "nope"]}}),
        ("SET a = :v REMOVE n ADD c :n DELETE a_texts :t",
         {":v": {"S": "x"}, ":n": {"N": "1"}, ":t": {"SS": ["b"]}}),
    )  # fmt: skip
    for returned in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"):
        for expression, constants in expressions:
            where = placed(do, "updates", **start)
            more = {"ExpressionAttributeValues": constants} if constants else {}
            do(
                "update_item",
                TableName=do["ss"],
                Key=where,
                UpdateExpression=expression,
                ReturnValues=returned,
                **more,
            )
            do("get_item", TableName=do["ss"], Key=where)


@case
def updates_that_make_an_item(do: Side) -> None:
    for returned in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"):
        where = key(pk("upsert"), returned)
        do(
            "update_item",
            TableName=do["ss"],
            Key=where,
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues=returned,
        )
        do("get_item", TableName=do["ss"], Key=where)
    do("update_item", TableName=do["ss"], Key=key(pk("upsert"), "bare"), ReturnValues="ALL_NEW")


@case
def updates_that_dynamodb_refuses(do: Side) -> None:
    where = placed(do, "bad-updates", n={"N": "1"})
    for expression, constants in (
        ("SET pk = :v", {":v": {"S": "x"}}),
        ("SET a_text = a_text + :v", {":v": {"N": "1"}}),
        ("SET a.b.c = :v", {":v": {"S": "x"}}),
        ("SET n = absent", {}),
        ("SET n = :v, n = :v", {":v": {"S": "x"}}),
        ("ADD a_text :v", {":v": {"N": "1"}}),
        ("DELETE n :v", {":v": {"SS": ["x"]}}),
        ("SET", {}),
    ):
        more = {"ExpressionAttributeValues": constants} if constants else {}
        do("update_item", TableName=do["ss"], Key=where, UpdateExpression=expression, **more)
    do("get_item", TableName=do["ss"], Key=where)


@case
def deleting(do: Side) -> None:
    where = placed(do, "deleted")
    do("delete_item", TableName=do["ss"], Key=where, ConditionExpression="attribute_exists(absent)")
    do("get_item", TableName=do["ss"], Key=where)
    do("delete_item", TableName=do["ss"], Key=where, ReturnValues="ALL_OLD")
    do("delete_item", TableName=do["ss"], Key=where, ReturnValues="ALL_OLD")
    do("get_item", TableName=do["ss"], Key=where)


@case
def legacy_parameters(do: Side) -> None:
    where = placed(do, "legacy", n={"N": "5"})
    do("get_item", TableName=do["ss"], Key=where, AttributesToGet=["n", "a_text"])
    do("batch_get_item", RequestItems={do["ss"]: {"Keys": [where], "AttributesToGet": ["n"]}})
    do("put_item", TableName=do["ss"], Item=where, Expected={"n": {"Value": {"N": "6"}}})
    do(
        "update_item",
        TableName=do["ss"],
        Key=where,
        ReturnValues="ALL_NEW",
        AttributeUpdates={"n": {"Action": "ADD", "Value": {"N": "1"}}},
    )
    do(
        "query",
        TableName=do["ss"],
        KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [where["pk"]]}},
        QueryFilter={"n": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "5"}]}},
    )
    do(
        "scan",
        TableName=do["ss"],
        ScanFilter={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [where["pk"]]}},
    )
    do("delete_item", TableName=do["ss"], Key=where, Expected={"n": {"Value": {"N": "6"}}})
