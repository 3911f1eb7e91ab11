"""Results of queries and scans are kept by what was asked, whatever is written meanwhile."""

from __future__ import annotations

from tests.dax.cache.places import REPORT, Clock, Place
from tests.dax.running import RunningNode


def test_results_of_queries_do_not_see_writes_until_their_time_is_over(
    place: Place, own: RunningNode, clock: Clock
) -> None:
    place.put("a")
    assert place.query() == ["a"]
    place.put("b")
    assert (place.query(), place.get()) == (["a"], "b")
    assert own.calls("Query") == 1
    clock.now += 61
    assert place.query() == ["b"]


def test_other_questions_have_other_results(place: Place, own: RunningNode) -> None:
    place.put("a")
    assert place.query() == place.query(Limit=5) == place.query(ScanIndexForward=False) == ["a"]
    assert own.calls("Query") == 3
    # Names that stand for the same, and a report, make no other question.
    asked = {"KeyConditionExpression": "#k = :x", "ExpressionAttributeNames": {"#k": "pk"}}
    place.client.query(
        TableName=place.table, ExpressionAttributeValues={":x": place.key["pk"]}, **asked, **REPORT
    )
    assert own.calls("Query") == 3


def test_queries_do_not_feed_the_item_cache(place: Place, own: RunningNode) -> None:
    place.put("a", past=True)
    assert place.query() == ["a"]
    place.put("b", past=True)
    assert place.get() == "b"


def test_an_empty_result_is_remembered_for_a_short_time_only(place: Place, clock: Clock) -> None:
    assert place.query() == []
    place.put("a", past=True)
    assert place.query() == []
    clock.now += 6
    assert place.query() == ["a"]


def test_scans_are_kept_like_queries(place: Place, own: RunningNode) -> None:
    asked = {"FilterExpression": "pk = :p", "ExpressionAttributeValues": {":p": place.key["pk"]}}
    place.put("a", past=True)
    assert place.client.scan(TableName=place.table, **asked)["Count"] == 1
    place.client.delete_item(TableName=place.table, Key=place.key)
    assert place.client.scan(TableName=place.table, **asked)["Count"] == 1
    assert own.calls("Scan") == 1
