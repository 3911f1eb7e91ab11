"""The Lambda that publishes metrics: by the second of `received`, few, and without imports."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas import payload, publish_metrics
from lambdas.publish_metrics import App, datums, publish, rounded_ms
from tests.made import TS, value
from tests.unit.lambdas.samples import sample

NOW = TS + 10_000
NO_SITES: frozenset[str] = frozenset()


def flat(data: Sequence[Any]) -> list[tuple[str, int, list[float], list[float]]]:
    return [
        (d["MetricName"], int(d["Timestamp"].timestamp()) * 1000 - TS, d["Values"], d["Counts"]) for d in data
    ]


def records(*values: bytes, appended_ms: int = TS) -> payload.Records:
    found = [
        {
            "topic": "events",
            "partition": 0,
            "offset": n,
            "timestamp": appended_ms,
            "value": base64.b64encode(v),
        }
        for n, v in enumerate(values)
    ]
    return payload.records({"eventSource": "aws:kafka", "records": {"events-0": found}})


def test_events_are_counted_by_the_second_in_which_the_door_took_them() -> None:
    sizes = [len(v) for v in payload.records(sample("kafka_events")).values]
    data = datums(payload.records(sample("kafka_events")), sites=NO_SITES, now_ms=NOW)
    assert flat(data) == [
        ("EventsReceived", 0, [1.0], [1.0]),
        ("PageViews", 0, [1.0], [1.0]),
        ("Bytes", 0, [float(sizes[0])], [1.0]),
        ("Delay", 0, [200.0], [1.0]),
        ("EventsReceived", 1000, [2.0], [1.0]),
        ("PageViews", 1000, [0.0], [1.0]),
        ("Bytes", 1000, [float(sizes[1] + sizes[2])], [1.0]),
        ("Delay", 1000, [250.0, 200.0], [1.0, 1.0]),
    ]
    assert {d["StorageResolution"] for d in data} == {1}


def test_imports_poison_and_what_is_too_old_are_left_out() -> None:
    assert datums(payload.records(sample("kafka_imports")), sites=NO_SITES, now_ms=NOW) == []
    old = value(received=NOW - publish_metrics.AGE_MAX_MS)
    assert datums(records(b"bad", b"\xff", old), sites=NO_SITES, now_ms=NOW) == []


def test_only_chosen_sites_have_a_metric_of_their_own() -> None:
    data = datums(records(value(), value(site="other")), sites=frozenset({"other"}), now_ms=NOW)
    own = [d for d in data if "Dimensions" in d]
    assert [(d["Dimensions"], d["Values"]) for d in own] == [([{"Name": "Site", "Value": "other"}], [1.0])]


def test_a_batch_over_many_seconds_is_counted_by_the_minute() -> None:
    seconds = publish_metrics.SECONDS_MAX + 1
    data = datums(
        records(*(value(received=TS + n * 1000) for n in range(seconds))), sites=NO_SITES, now_ms=NOW
    )
    received = [d["Values"][0] for d in data if d["MetricName"] == "EventsReceived"]
    assert (len(received), sum(received)) == (6, seconds)


def test_calls_stay_within_the_limits_of_the_service() -> None:
    calls: list[Sequence[Any]] = []
    app = App(calls.append, NO_SITES, lambda: NOW)
    spread = [value(received=TS + n * 1000) for n in range(publish_metrics.SECONDS_MAX)]
    assert publish(app, _as_payload(spread)) == {"records": 300, "datums": 1200}
    assert [len(c) for c in calls] == [1000, 200]


def test_nothing_to_say_makes_no_call() -> None:
    def never(_: object) -> None:
        pytest.fail("called")

    assert publish(App(never, NO_SITES, lambda: NOW), sample("kafka_imports"))["datums"] == 0


@given(st.integers(0, 10**9))
def test_rounding_keeps_two_digits(delay: int) -> None:
    rounded = rounded_ms(delay)
    assert rounded <= delay < rounded * 1.1 + 1
    assert len(str(rounded).rstrip("0")) <= 2


def _as_payload(values: list[bytes]) -> dict[str, Any]:
    found = [
        {
            "topic": "events",
            "partition": 0,
            "offset": n,
            "timestamp": TS,
            "value": base64.b64encode(v).decode(),
        }
        for n, v in enumerate(values)
    ]
    return {"eventSource": "aws:kafka", "records": {"events-0": found}}
