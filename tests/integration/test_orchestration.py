"""History through the running Dagster: a backfill as its page starts one, and what an operator sees."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import polars as pl
import pytest

from orchestration.external import EVENTS
from orchestration.jobs import HOURLY_ASSETS
from orchestration.resources import Workplace, open_workplace
from recount import kafka
from recount.counting.rollup import TOTAL
from recount.periods import HOUR_MS, hour_of
from recount.store.provenance import period_key
from tests import made
from tests.stack import TestStack

pytestmark = pytest.mark.stack

START: Final = 1_433_116_800_000  # 2015-06-01T00:00 UTC
HOURS: Final = 6
DEADLINE_S: Final = 240.0
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

_BACKFILL: Final = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
_BACKFILL_STATE: Final = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs(limit: 10) { jobName status } }
  }
}
"""
_NODES: Final = """
{ assetNodes { assetKey { path } isExecutable dependencyKeys { path } } }
"""
_MATERIALIZED: Final = """
query ($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    ... on Asset {
      assetMaterializations(limit: 20) {
        partition
        metadataEntries { label ... on IntMetadataEntry { intValue } }
      }
    }
  }
}
"""
_INSTIGATORS: Final = """
query ($place: RepositorySelector!) {
  sensorsOrError(repositorySelector: $place) {
    ... on Sensors { results { name sensorState { status } } }
  }
  schedulesOrError(repositorySelector: $place) {
    ... on Schedules { results { name scheduleState { status } } }
  }
}
"""
_PLACE: Final = {"repositoryLocationName": "recount", "repositoryName": "__repository__"}


@pytest.fixture(scope="module")
def place(stack: TestStack) -> Workplace:
    return open_workplace(stack.settings)


def ask(stack: TestStack, query: str, **variables: Any) -> Any:
    answer = httpx.post(
        f"{stack.urls['dagster']}/graphql",
        json={"query": query, "variables": variables},
        timeout=60,
        trust_env=False,
    )
    body = answer.json()
    assert "errors" not in body, body
    return body["data"]


def until(what: Callable[[], bool], whatfor: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline, f"still waiting for {whatfor}"
        time.sleep(1.0)


def send(stack: TestStack) -> int:
    """Ten minutes between the pageviews of each of three visitors, over all the hours; returns how many."""
    producer = kafka.producer(stack.settings)
    count = 0
    for ts in range(START, START + HOURS * HOUR_MS, 600_000):
        for visitor in range(3):
            count += 1
            value = made.value(
                **{"id": f"backfill-{count}", "spool": "backfill", "seq": count, "ts": ts + visitor},
                **{"received": ts + 100_000, "visitor": f"{visitor:016x}", "source_kind": "import"},
                **{"url": "https://demo.example/a", "ua": BROWSER},
            )
            producer.produce(kafka.IMPORTS, value, partition=visitor % stack.settings.kafka_partitions)
    assert producer.flush(30) == 0
    return count


def total(place: Workplace, kind: Any, period: str) -> dict[str, int]:
    """The totals of the site `demo` as they are shown, over all site slots."""
    key = period_key(kind, period)
    entry = place.manifests.entries(place.manifests.current(), [key])[key]
    wanted = {(kind, period, generation): ["demo"] for generation in entry.generations().values()}
    rows = place.candidates.read_counted(wanted).rows.filter(pl.col("dimension") == TOTAL)
    return {name: int(rows[name].sum()) for name in ("pageviews", "visits", "ended_visits", "visitor_count")}


def test_a_backfill_publishes_what_was_sent(stack: TestStack, place: Workplace) -> None:
    count = send(stack)
    hours = [hour_of(START + n * HOUR_MS) for n in range(HOURS)]
    params = {
        "assetSelection": [{"path": [name]} for name in HOURLY_ASSETS],
        "partitionNames": hours,
        "tags": [{"key": "recount/reason", "value": "backfill in a test"}],
    }
    launched = ask(stack, _BACKFILL, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def over() -> bool:
        state = ask(stack, _BACKFILL_STATE, id=launched["backfillId"])["partitionBackfillOrError"]
        assert state["status"] not in ("FAILED", "COMPLETED_FAILED", "CANCELED"), state
        return bool(state["status"] == "COMPLETED_SUCCESS")

    until(over, "the backfill")
    state = ask(stack, _BACKFILL_STATE, id=launched["backfillId"])["partitionBackfillOrError"]
    assert len(state["runs"]) == 1, "a range is one run"
    shown = [total(place, "hour", hour) for hour in hours]
    assert [hour["pageviews"] for hour in shown] == [18] * HOURS
    assert sum(hour["visits"] for hour in shown) == 3
    day = total(place, "day", "2015-06-01")
    assert (day["pageviews"], day["visits"], day["visitor_count"]) == (count, 3, 3)
    assert day["ended_visits"] == 3, "the hour after ended the visits, though it was not asked for"


def test_each_hour_says_what_it_holds(stack: TestStack) -> None:
    """After the backfill above."""
    asset = ask(stack, _MATERIALIZED, key={"path": ["event_archive"]})["assetOrError"]
    found = {
        m["partition"]: {e["label"]: e.get("intValue") for e in m["metadataEntries"]}
        for m in asset["assetMaterializations"]
    }
    assert found[hour_of(START)]["events"] == 18
    assert found[hour_of(START)]["bytes"]


def test_the_lineage_starts_at_the_edge(stack: TestStack) -> None:
    nodes = {"/".join(n["assetKey"]["path"]): n for n in ask(stack, _NODES)["assetNodes"]}
    ancestors, todo = set[str](), ["monthly_rollup"]
    while todo:
        name = todo.pop()
        ancestors.add(name)
        todo += ["/".join(key["path"]) for key in nodes[name]["dependencyKeys"]]
    assert {"edge/ingest", "topics/events", "lambdas/store_batches", "tables/raw"} <= ancestors
    assert not nodes["topics/events"]["isExecutable"]


def test_schedule_and_sensors_run_from_the_start(stack: TestStack) -> None:
    found = ask(stack, _INSTIGATORS, place=_PLACE)
    sensors = {s["name"]: s["sensorState"]["status"] for s in found["sensorsOrError"]["results"]}
    schedules = {s["name"]: s["scheduleState"]["status"] for s in found["schedulesOrError"]["results"]}
    assert sensors == {"alerts": "RUNNING", "reconcile": "RUNNING", "topic_lag": "RUNNING"}
    assert schedules == {"hourly": "RUNNING", "daily_gc": "RUNNING"}


def test_the_topics_are_observed_without_a_run(stack: TestStack) -> None:
    query = """
    query ($key: AssetKeyInput!) {
      assetOrError(assetKey: $key) { ... on Asset { assetObservations(limit: 1) { runId timestamp } } }
    }
    """
    key = {"path": list(EVENTS.path)}

    def observed() -> bool:
        return bool(ask(stack, query, key=key)["assetOrError"].get("assetObservations"))

    until(observed, "the sensor topic_lag")
