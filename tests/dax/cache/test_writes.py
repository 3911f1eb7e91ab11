"""Who writes through the node reads what was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dax.errors import Unreachable
from tests.dax.cache.places import Place
from tests.dax.running import RunningNode


def _batch_put(place: Place) -> None:
    put = {"PutRequest": {"Item": place.key | {"v": {"S": "b"}}}}
    place.client.batch_write_item(RequestItems={place.table: [put]})


def _transact_put(place: Place) -> None:
    put = {"Put": {"TableName": place.table, "Item": place.key | {"v": {"S": "b"}}}}
    place.client.transact_write_items(TransactItems=[put])


@pytest.mark.parametrize(
    "write",
    [
        lambda place: place.put("b"),
        lambda place: place.update("b"),
        lambda place: place.update("b", ReturnValues="ALL_NEW"),
        _batch_put,
        _transact_put,
    ],
    ids=["put", "update", "update_all_new", "batch", "transaction"],
)
def test_what_is_written_is_cached(place: Place, own: RunningNode, write: Callable[[Place], object]) -> None:
    assert place.get() is None
    write(place)
    place.put("past", past=True)
    assert place.get() == "b"
    assert own.calls("GetItem") == 1


@pytest.mark.parametrize("returned", ["ALL_OLD", "UPDATED_OLD", "UPDATED_NEW"])
def test_after_an_update_whose_outcome_is_not_known_in_full_the_item_is_read_again(
    place: Place, returned: str
) -> None:
    place.put("a")
    place.update("b", ReturnValues=returned)
    assert place.get() == "b"


def test_after_an_update_in_a_transaction_the_item_is_read_again(place: Place) -> None:
    place.put("a")
    update = {
        "TableName": place.table,
        "Key": place.key,
        "UpdateExpression": "SET v = :v",
        "ExpressionAttributeValues": {":v": {"S": "b"}},
    }
    place.client.transact_write_items(TransactItems=[{"Update": update}])
    assert place.get() == "b"


def test_a_deleted_item_is_known_to_be_gone(place: Place, own: RunningNode) -> None:
    place.put("a")
    place.client.delete_item(TableName=place.table, Key=place.key)
    assert place.get() is None
    assert own.calls("GetItem") == 0
    place.put("a")
    place.client.batch_write_item(RequestItems={place.table: [{"DeleteRequest": {"Key": place.key}}]})
    assert place.get() is None
    assert own.calls("GetItem") == 0


def test_a_refused_write_is_asked_once_and_changes_nothing(place: Place, own: RunningNode) -> None:
    place.put("a")
    with pytest.raises(ClientError) as refused:
        place.put("b", ConditionExpression="attribute_not_exists(pk)")
    assert refused.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert own.calls("PutItem") == 2
    assert place.get() == "a"
    assert own.calls("GetItem") == 0


def test_after_a_write_with_an_unknown_outcome_the_item_is_read_again(place: Place, own: RunningNode) -> None:
    place.put("old")
    backend = own.server.node.backend
    original = backend.call

    async def call(operation: str, parameters: Any) -> Any:
        await original(operation, parameters)
        raise Unreachable("the answer was lost")

    setattr(backend, "call", call)  # noqa: B010 - mypy takes no other method in its place
    with pytest.raises(ClientError) as lost:
        place.put("new")
    assert lost.value.response["Error"]["Code"] == "InternalServerErrorException"
    setattr(backend, "call", original)  # noqa: B010 - as above
    assert place.get() == "new"
