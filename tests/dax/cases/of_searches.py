"""Query and Scan."""

from __future__ import annotations

from typing import Any

from tests.dax.cases.common import case, pk, shelf
from tests.dax.sides import Side


@case
def key_conditions(do: Side) -> None:
    where = shelf(do, "key-conditions")
    texts = (
        "",
        " AND sk = :a",
        " AND sk < :a",
        " AND sk <= :a",
        " AND sk > :a",
        " AND sk >= :a",
        " AND sk BETWEEN :a AND :b",
        " AND begins_with(sk, :z)",
    )
    constants = {":a": {"S": "03"}, ":b": {"S": "06"}, ":z": {"S": "0"}}
    for text in texts:
        for forward in (True, False):
            used = {short: value for short, value in constants.items() if short in text}
            do(
                "query",
                TableName=do["ss"],
                KeyConditionExpression="pk = :p" + text,
                ScanIndexForward=forward,
                ExpressionAttributeValues={":p": {"S": where}} | used,
            )


@case
def pages(do: Side) -> None:
    where = shelf(do, "pages")
    for asked in (
        {"KeyConditionExpression": "pk = :p"},
        {"KeyConditionExpression": "pk = :p", "ScanIndexForward": False},
        {"KeyConditionExpression": "pk = :p", "FilterExpression": "even = :yes"},
        {"KeyConditionExpression": "pk = :p", "IndexName": "by_size"},
        {"KeyConditionExpression": "pk = :p", "ProjectionExpression": "sk, l[0]"},
        {"KeyConditionExpression": "pk = :p", "Select": "COUNT"},
        {"KeyConditionExpression": "colour = :c", "IndexName": "by_colour"},
    ):
        constants: dict[str, Any] = {":p": {"S": where}, ":c": {"S": f"{where}-1"}, ":yes": {"BOOL": True}}
        used = {short: v for short, v in constants.items() if short in " ".join(map(str, asked.values()))}
        start: dict[str, Any] = {}
        for _ in range(8):
            page = do("query", TableName=do["ss"], Limit=3, ExpressionAttributeValues=used, **asked, **start)
            if page is None or "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@case
def what_is_selected(do: Side) -> None:
    where = shelf(do, "selected")
    for index in ("", "by_size", "by_colour"):
        for select in ("ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT", "SPECIFIC_ATTRIBUTES"):
            by = "colour = :p" if index == "by_colour" else "pk = :p"
            value = f"{where}-0" if index == "by_colour" else where
            more = {"IndexName": index} if index else {}
            do(
                "query",
                TableName=do["ss"],
                KeyConditionExpression=by,
                Select=select,
                Limit=4,
                ExpressionAttributeValues={":p": {"S": value}},
                **more,
            )
    do(
        "query",
        TableName=do["ss"],
        IndexName="by_size",
        KeyConditionExpression="pk = :p",
        Limit=4,
        ProjectionExpression="colour, sk",
        ExpressionAttributeValues={":p": {"S": where}},
    )


@case
def a_query_that_finds_nothing(do: Side) -> None:
    for consistent in (False, True, False):
        do(
            "query",
            TableName=do["ss"],
            KeyConditionExpression="pk = :p",
            ConsistentRead=consistent,
            ExpressionAttributeValues={":p": {"S": pk("nowhere")}},
        )


@case
def queries_that_dynamodb_refuses(do: Side) -> None:
    where = {":p": {"S": pk("bad-query")}}
    for asked in (
        {"KeyConditionExpression": "sk = :p", "ExpressionAttributeValues": where},
        {"KeyConditionExpression": "pk > :p", "ExpressionAttributeValues": where},
        {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"N": "1"}}},
        {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": where, "IndexName": "absent"},
        {"KeyConditionExpression": "pk = :p OR pk = :p", "ExpressionAttributeValues": where},
        {
            "KeyConditionExpression": "colour = :p",
            "ExpressionAttributeValues": where,
            "IndexName": "by_colour",
            "ConsistentRead": True,
        },
        {
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": where,
            "FilterExpression": "pk = :p",
        },
        {
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": where,
            "Select": "COUNT",
            "ProjectionExpression": "a",
        },
    ):
        do("query", TableName=do["ss"], **asked)


@case
def scans(do: Side) -> None:
    where = shelf(do, "scanned")
    mine: dict[str, Any] = {
        "FilterExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": where}},
    }
    do("scan", TableName=do["ss"], **mine)
    do("scan", TableName=do["ss"], ConsistentRead=True, ProjectionExpression="sk, l[0]", **mine)
    do("scan", TableName=do["ss"], IndexName="by_colour", **mine)
    do("scan", TableName=do["ss"], Segment=2, TotalSegments=2)
    counted = 0
    for segment in range(3):
        page = do.client.scan(TableName=do["ss"], Segment=segment, TotalSegments=3, **mine)
        counted += page["Count"]
    do.outcomes.append(("segments", counted))


@case
def scanning_a_table_of_numbers_page_by_page(do: Side) -> None:
    for n in range(5):
        do("put_item", TableName=do["n"], Item={"pk": {"N": f"{n}.5"}, "v": {"N": str(n)}})
    seen: list[Any] = []
    start: dict[str, Any] = {}
    for _ in range(10):
        page = do.client.scan(TableName=do["n"], Limit=2, **start)
        seen += [item["v"]["N"] for item in page["Items"] if "v" in item]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    do.outcomes.append(("seen", sorted(seen)))
