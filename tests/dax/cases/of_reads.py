"""GetItem, projections, and what reads consume."""

from __future__ import annotations

from tests.dax.cases.common import case, key, pk, placed
from tests.dax.sides import Side


@case
def an_item_that_is_not_there(do: Side) -> None:
    for options in ({}, {"ConsistentRead": True}, {"ProjectionExpression": "a"}, {}):
        do("get_item", TableName=do["ss"], Key=key(pk("absent")), **options)


@case
def projections(do: Side) -> None:
    where = placed(do, "projected")
    texts = (
        "pk", "sk, a_number", "a_list[0]", "a_list[4].deep[0]", "a_list[4].deep[0], a_list[1], a_list[0]",
        "#m.#u, #m.b.c",
        "#m.l[1], #m.l[0]", "absent, pk", "absent", "a_list[99]", "#t.inside", "#s",
    )  # fmt: skip
    names = {"#m": "a_map", "#u": "ä", "#t": "a_text", "#s": "with space.and-dot"}
    for text in texts:
        used = {short: name for short, name in names.items() if short in text}
        more = {"ExpressionAttributeNames": used} if used else {}
        for consistent in (False, True):
            do(
                "get_item",
                TableName=do["ss"],
                Key=where,
                ProjectionExpression=text,
                ConsistentRead=consistent,
                **more,
            )
        do(
            "query",
            TableName=do["ss"],
            KeyConditionExpression="pk = :p",
            ProjectionExpression=text,
            ExpressionAttributeValues={":p": where["pk"]},
            **more,
        )
        request = {"Keys": [where], "ProjectionExpression": text, **more}
        do("batch_get_item", RequestItems={do["ss"]: request})
        do(
            "transact_get_items",
            TransactItems=[
                {"Get": {"TableName": do["ss"], "Key": where, "ProjectionExpression": text, **more}}
            ],
        )


@case
def projections_that_dynamodb_refuses(do: Side) -> None:
    where = placed(do, "overlapping")
    for text in ("a_list, a_list[0]", "a, a", "a_list[0], a_list.deep", "a.b, a.b.c"):
        do("get_item", TableName=do["ss"], Key=where, ProjectionExpression=text)
        do("batch_get_item", RequestItems={do["ss"]: {"Keys": [where], "ProjectionExpression": text}})
        do("scan", TableName=do["ss"], ProjectionExpression=text)
        do(
            "query",
            TableName=do["ss"],
            KeyConditionExpression="pk = :p",
            ProjectionExpression=text,
            ExpressionAttributeValues={":p": where["pk"]},
        )
        do(
            "transact_get_items",
            TransactItems=[{"Get": {"TableName": do["ss"], "Key": where, "ProjectionExpression": text}}],
        )


@case
def capacity_of_what_is_not_cached(do: Side) -> None:
    where = key(pk("capacity"))
    for mode in ("NONE", "TOTAL", "INDEXES"):
        report = {"ReturnConsumedCapacity": mode}
        coloured = where | {"colour": {"S": "red"}, "size": {"N": "1"}, "mode": {"S": mode}}
        do("put_item", TableName=do["ss"], Item=coloured, **report)
        do("get_item", TableName=do["ss"], Key=where, ConsistentRead=True, **report)
        do(
            "update_item",
            TableName=do["ss"],
            Key=where,
            UpdateExpression="SET colour = :c",
            ExpressionAttributeValues={":c": {"S": mode}},
            **report,
        )
        do(
            "query",
            TableName=do["ss"],
            KeyConditionExpression="pk = :p",
            ConsistentRead=True,
            ExpressionAttributeValues={":p": where["pk"]},
            **report,
        )
        do(
            "query",
            TableName=do["ss"],
            IndexName="by_colour",
            KeyConditionExpression="colour = :c",
            ExpressionAttributeValues={":c": {"S": pk(mode)}},
            **report,
        )
        do(
            "query",
            TableName=do["ss"],
            IndexName="by_size",
            KeyConditionExpression="pk = :p",
            ConsistentRead=True,
            ExpressionAttributeValues={":p": where["pk"]},
            **report,
        )
        do("batch_get_item", RequestItems={do["ss"]: {"Keys": [where], "ConsistentRead": True}}, **report)
        do("batch_write_item", RequestItems={do["ss"]: [{"PutRequest": {"Item": coloured}}]}, **report)
        do("transact_get_items", TransactItems=[{"Get": {"TableName": do["ss"], "Key": where}}], **report)
        do(
            "transact_write_items",
            TransactItems=[{"Put": {"TableName": do["ss"], "Item": coloured}}],
            **report,
        )
        do("delete_item", TableName=do["ss"], Key=where, **report)


@case
def sizes_of_item_collections(do: Side) -> None:
    where = key(pk("collection"))
    report = {"ReturnItemCollectionMetrics": "SIZE"}
    item = where | {"size": {"N": "1"}}
    do("put_item", TableName=do["ss"], Item=item, **report)
    do(
        "update_item",
        TableName=do["ss"],
        Key=where,
        UpdateExpression="SET size = :n".replace("size", "#s"),
        ExpressionAttributeNames={"#s": "size"},
        ExpressionAttributeValues={":n": {"N": "2"}},
        **report,
    )
    do("batch_write_item", RequestItems={do["ss"]: [{"PutRequest": {"Item": item}}]}, **report)
    do("transact_write_items", TransactItems=[{"Put": {"TableName": do["ss"], "Item": item}}], **report)
    do("delete_item", TableName=do["ss"], Key=where, **report)
