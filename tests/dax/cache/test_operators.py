"""What operators see of the caches, and that they can empty them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.dax import tables
from tests.dax.cache.places import Place
from tests.dax.running import RunningNode


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
