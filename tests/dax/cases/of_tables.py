"""Tables that do not exist."""

from __future__ import annotations

from tests.dax.cases.common import case, key
from tests.dax.sides import Side


@case
def a_table_that_is_not_there(do: Side) -> None:
    none, where = "dax-no-such-table", key("x")
    do("get_item", TableName=none, Key=where)
    do("put_item", TableName=none, Item=where)
    do("update_item", TableName=none, Key=where, UpdateExpression="REMOVE a")
    do("delete_item", TableName=none, Key=where)
    do(
        "query",
        TableName=none,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": "x"}},
    )
    do("scan", TableName=none)
    do("batch_get_item", RequestItems={none: {"Keys": [where]}})
    do("batch_write_item", RequestItems={none: [{"DeleteRequest": {"Key": where}}]})
    do("transact_get_items", TransactItems=[{"Get": {"TableName": none, "Key": where}}])
    do("transact_write_items", TransactItems=[{"Put": {"TableName": none, "Item": where}}])
