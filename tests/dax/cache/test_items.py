"""What is read is read once, seen through the real client on a real DynamoDB."""

from __future__ import annotations

from typing import Any

from tests.dax import tables
from tests.dax.cache.places import REPORT, Clock, Place
from tests.dax.running import RunningNode


def test_an_item_is_read_once_until_its_time_is_over(place: Place, own: RunningNode, clock: Clock) -> None:
    place.put("old", past=True)
    assert place.get() == "old"
    place.put("new", past=True)
    for _ in range(3):
        clock.now += 99
        assert place.get() == "old"  # a read does not make it last longer
    assert own.calls("GetItem") == 1
    clock.now += 4
    assert place.get() == "new"
    assert own.calls("GetItem") == 2
    counts = own.server.node.items.counts
    assert (counts.hits, counts.misses, counts.expired) == (3, 2, 1)


def test_absence_is_remembered_for_a_short_time_only(place: Place, own: RunningNode, clock: Clock) -> None:
    assert place.get() is None
    place.put("new", past=True)
    assert place.get() is None
    assert own.calls("GetItem") == 1
    clock.now += 6
    assert place.get() == "new"


def test_consistent_reads_pass_and_leave_nothing(place: Place, own: RunningNode) -> None:
    place.put("old")
    place.put("new", past=True)
    assert place.get(ConsistentRead=True) == "new"
    assert place.get() == "old"
    assert place.query(ConsistentRead=True) == ["new"]
    assert len(own.server.node.queries) == 0


def test_reads_in_transactions_pass_and_leave_nothing(place: Place) -> None:
    place.put("old")
    place.put("new", past=True)
    get = {"Get": {"TableName": place.table, "Key": place.key}}
    read = place.client.transact_get_items(TransactItems=[get])
    assert read["Responses"][0]["Item"]["v"]["S"] == "new"
    assert place.get() == "old"


def test_a_batch_asks_only_for_what_is_not_cached(place: Place, own: RunningNode) -> None:
    place.put("a")
    keys = [place.key, place.key | {"sk": {"S": "other"}}]
    for _ in range(2):
        read = place.client.batch_get_item(RequestItems={place.table: {"Keys": keys}})
        assert [item["v"]["S"] for item in read["Responses"][place.table]] == ["a"]
    assert own.calls("BatchGetItem") == 1
    assert place.get() == "a"
    assert own.calls("GetItem") == 0


def test_what_was_found_absent_by_a_batch_is_known(place: Place, own: RunningNode) -> None:
    place.client.batch_get_item(RequestItems={place.table: {"Keys": [place.key]}})
    assert place.get() is None
    assert own.calls("GetItem") == 0


def test_projections_are_taken_from_the_whole_item(place: Place, own: RunningNode) -> None:
    place.put("a", past=True)
    projected = place.client.get_item(TableName=place.table, Key=place.key, ProjectionExpression="v")
    assert projected["Item"] == {"v": {"S": "a"}}
    assert place.get() == "a"
    assert own.calls("GetItem") == 1


def test_equal_keys_are_one_entry(direct: Any, own: RunningNode) -> None:
    numbers = tables.make(direct, "n")
    with own.client() as client:
        client.put_item(TableName=numbers, Item={"pk": {"N": "1"}, "v": {"S": "a"}})
        client.put_item(TableName=numbers, Item={"pk": {"N": "1.0"}, "v": {"S": "b"}})
        assert client.get_item(TableName=numbers, Key={"pk": {"N": "1"}})["Item"]["v"]["S"] == "b"
    assert own.calls("GetItem") == 0


def test_what_comes_from_a_cache_consumes_nothing(place: Place) -> None:
    place.put("a", past=True)
    for reads in (place.client.get_item, place.client.query):
        asked: dict[str, Any] = {"TableName": place.table}
        if reads == place.client.get_item:
            asked["Key"] = place.key
        else:
            asked |= {
                "KeyConditionExpression": "pk = :p",
                "ExpressionAttributeValues": {":p": place.key["pk"]},
            }
        units = [reads(**asked, **REPORT)["ConsumedCapacity"]["CapacityUnits"] for _ in range(2)]
        assert units == [0.5, 0.0]
    whole = place.client.get_item(TableName=place.table, Key=place.key, ReturnConsumedCapacity="INDEXES")
    assert whole["ConsumedCapacity"]["Table"] == {"CapacityUnits": 0.0}
