"""What the caches promise, seen through the real client on a real DynamoDB."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from dax.errors import Unreachable
from tests.dax import tables
from tests.dax.running import RunningNode

Own = Callable[..., RunningNode]
REPORT = {"ReturnConsumedCapacity": "TOTAL"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Place:
    """One item of a table, read and written through the node or past it."""

    def __init__(self, direct: Any, table: str, client: Any) -> None:
        self.direct, self.table, self.client = direct, table, client
        self.key = {"pk": {"S": uuid.uuid4().hex}, "sk": {"S": "k"}}

    def put(self, value: str, *, past: bool = False, **more: Any) -> Any:
        item = self.key | {"v": {"S": value}}
        return (self.direct if past else self.client).put_item(TableName=self.table, Item=item, **more)

    def get(self, **more: Any) -> str | None:
        result = self.client.get_item(TableName=self.table, Key=self.key, **more)
        return result["Item"]["v"]["S"] if "Item" in result else None

    def query(self, **more: Any) -> list[str]:
        result = self.client.query(
            TableName=self.table,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": self.key["pk"]},
            **more,
        )
        return [item["v"]["S"] for item in result["Items"]]

    def update(self, value: str, **more: Any) -> Any:
        return self.client.update_item(
            TableName=self.table,
            Key=self.key,
            UpdateExpression="SET v = :v",
            ExpressionAttributeValues={":v": {"S": value}},
            **more,
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(own_node: Own, clock: Clock) -> RunningNode:
    return own_node(clock, item_ttl_s=300.0, query_ttl_s=60.0, absent_ttl_s=5.0)


@pytest.fixture(scope="module")
def table(direct: Any) -> str:
    return tables.make(direct, "ss")


@pytest.fixture
def place(direct: Any, table: str, own: RunningNode) -> Any:
    with own.client() as client:
        yield Place(direct, table, client)


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


def test_a_batch_asks_only_for_what_is_not_cached(place: Place, own: RunningNode) -> None:
    place.put("a")
    keys = [place.key, place.key | {"sk": {"S": "other"}}]
    for _ in range(2):
        read = place.client.batch_get_item(RequestItems={place.table: {"Keys": keys}})
        assert [item["v"]["S"] for item in read["Responses"][place.table]] == ["a"]
    assert own.calls("BatchGetItem") == 1
    assert place.get() == "a"
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


def test_the_least_recently_used_goes_first(direct: Any, table: str, own_node: Own) -> None:
    own = own_node(memory_max_bytes=2 * 10 * 11_000)
    with own.client() as client:
        places = [Place(direct, table, client) for _ in range(12)]
        for one in places[:8]:
            one.put("x" * 10_000)
        places[0].get()
        for one in places[8:]:
            one.put("x" * 10_000)
        assert own.server.node.items.counts.evicted > 0
        assert own.server.node.items.size_bytes <= 10 * 11_000
        before = own.calls("GetItem")
        places[0].get()
        assert own.calls("GetItem") == before
        places[1].get()
        assert own.calls("GetItem") == before + 1


def test_what_does_not_fit_is_not_kept(direct: Any, table: str, own_node: Own) -> None:
    own = own_node(memory_max_bytes=20_000)
    with own.client() as client:
        large = Place(direct, table, client)
        large.put("x" * 50_000)
        assert [large.get(), large.get()] == ["x" * 50_000] * 2
    assert own.calls("GetItem") == 2


def test_time_limits_of_zero(direct: Any, table: str, own_node: Own, clock: Clock) -> None:
    own = own_node(clock, item_ttl_s=0.0, query_ttl_s=0.0, absent_ttl_s=0.0)
    with own.client() as client:
        place = Place(direct, table, client)
        assert [place.get(), place.get()] == [None, None]
        place.put("a")
        clock.now += 10**9
        assert place.get() == "a"
        assert own.calls("GetItem") == 2
        assert [place.query(), place.query()] == [["a"], ["a"]]
        assert own.calls("Query") == 2


def test_flushing(place: Place, own: RunningNode, direct: Any) -> None:
    place.put("a")
    place.query()
    other = tables.make(direct, "s")
    place.client.put_item(TableName=other, Item={"pk": {"S": "x"}})
    place.put("b", past=True)
    answer = httpx.post(f"{own.web}/flush", params={"table": other})
    assert (answer.status_code, answer.text) == (200, "1 entries forgotten\n")
    assert (place.get(), place.query()) == ("a", ["a"])
    assert httpx.post(f"{own.web}/flush").text == "2 entries forgotten\n"
    assert (place.get(), place.query()) == ("b", ["b"])
    assert httpx.post(f"{own.web}/flush", headers={"Origin": "http://elsewhere.example"}).status_code == 403


class Gate:
    """Holds the answers of one operation back until it is opened."""

    def __init__(self, own: RunningNode, operation: str) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        backend = own.server.node.backend
        original = backend.call

        async def call(asked: str, parameters: Any) -> Any:
            result = await original(asked, parameters)
            if asked == operation and not self.opened.is_set():
                self.reached.set()
                await asyncio.to_thread(self.opened.wait, 30)
            return result

        setattr(backend, "call", call)  # noqa: B010 - mypy takes no other method in its place


def test_a_read_that_a_write_overtakes_does_not_stay(place: Place, own: RunningNode) -> None:
    place.put("old", past=True)
    gate = Gate(own, "GetItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        slow = threads.submit(other.get_item, TableName=place.table, Key=place.key)
        assert gate.reached.wait(30)
        place.put("new")
        gate.opened.set()
        assert slow.result(30)["Item"]["v"]["S"] == "old"  # that was true when it was asked
    assert place.get() == "new"


def test_of_two_writes_at_once_neither_stays(place: Place, own: RunningNode) -> None:
    gate = Gate(own, "PutItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        item = place.key | {"v": {"S": "first"}}
        slow = threads.submit(other.put_item, TableName=place.table, Item=item)
        assert gate.reached.wait(30)
        place.update("second")
        gate.opened.set()
        slow.result(30)
    assert place.get() == "second"
    assert own.calls("GetItem") == 1


def test_after_a_write_with_an_unknown_outcome_the_item_is_read_again(place: Place, own: RunningNode) -> None:
    place.put("old")
    backend = own.server.node.backend
    original = backend.call

    async def call(operation: str, parameters: Any) -> Any:
        await original(operation, parameters)
        raise Unreachable("the answer was lost")

    setattr(backend, "call", call)  # noqa: B010 - as above
    with pytest.raises(ClientError) as lost:
        place.put("new")
    assert lost.value.response["Error"]["Code"] == "InternalServerErrorException"
    setattr(backend, "call", original)  # noqa: B010 - as above
    assert place.get() == "new"


def test_a_flush_also_forgets_what_is_being_read(place: Place, own: RunningNode) -> None:
    place.put("old", past=True)
    gate = Gate(own, "GetItem")
    with ThreadPoolExecutor(1) as threads, own.client() as other:
        slow = threads.submit(other.get_item, TableName=place.table, Key=place.key)
        assert gate.reached.wait(30)
        place.put("new", past=True)
        httpx.post(f"{own.web}/flush")
        gate.opened.set()
        slow.result(30)
    assert place.get() == "new"


def test_many_who_ask_at_once_are_one_read(place: Place, own: RunningNode) -> None:
    place.put("a", past=True)
    gate = Gate(own, "GetItem")
    asked = {"TableName": place.table, "Key": place.key}
    with ThreadPoolExecutor(5) as threads, own.client() as other:
        first = threads.submit(other.get_item, **asked)
        assert gate.reached.wait(30)
        rest = [threads.submit(other.get_item, **asked) for _ in range(4)]
        deadline = time.monotonic() + 30
        while own.server.node.items.counts.misses < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        gate.opened.set()
        assert {one.result(30)["Item"]["v"]["S"] for one in [first, *rest]} == {"a"}
    assert own.calls("GetItem") == 1


def test_what_was_found_absent_by_a_batch_is_known(place: Place, own: RunningNode) -> None:
    place.client.batch_get_item(RequestItems={place.table: {"Keys": [place.key]}})
    assert place.get() is None
    assert own.calls("GetItem") == 0


def test_metrics(place: Place, own: RunningNode) -> None:
    place.put("a")
    place.get()
    with pytest.raises(ClientError):
        place.put("b", ConditionExpression="attribute_not_exists(pk)")
    answer = httpx.get(f"{own.web}/metrics")
    lines = answer.text.splitlines()
    for line in (
        'dax_cache_hits_total{cache="item"} 1.0',
        'dax_cache_entries{cache="item"} 1.0',
        'dax_errors_total{code="ConditionalCheckFailedException",operation="PutItem"} 1.0',
        'dax_request_seconds_count{operation="GetItem"} 1.0',
        'dax_dynamodb_call_seconds_count{operation="PutItem"} 2.0',
    ):
        assert line in lines
    assert httpx.get(f"{own.web}/healthz").text == "ok\n"
    assert httpx.get(f"{own.web}/readyz").text == "ready\n"
    assert httpx.get(f"{own.web}/elsewhere").status_code == 404
