"""An hour on the real stack: published, compared with live, corrected by late events, told to customers."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx
import pytest

from cli.dagster_client import DagsterClient
from orchestration.jobs import HOUR_JOB
from orchestration.partitions import range_tags
from orchestration.resources import open_workplace
from recount import kafka
from recount.keys import kafka_partition
from recount.periods import HOUR_MS, MINUTE_MS, hour_of, hour_start_ms
from recount.reconciliation import Compared, HourCompared, Side
from recount.store.catalog import Catalog, Site
from recount.store.tables import open_tables
from tests import made
from tests.stack import TestStack
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SITE: Final = "corrected"
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def send(stack: TestStack, hour: str, visitors: range) -> None:
    """A pageview of each visitor in the hour, straight into the topic as a shipper would."""
    producer = kafka.producer(stack.settings)
    for visitor in visitors:
        ts = hour_start_ms(hour) + visitor * MINUTE_MS
        value = made.value(
            **{"id": f"corrected-{visitor}", "spool": "corrected", "seq": visitor, "site": SITE, "ts": ts},
            **{"received": ts + 50, "visitor": f"{visitor:016x}", "network": "residential"},
            **{"url": "https://corrected.example/a", "ua": BROWSER},
        )
        place = kafka_partition(SITE, visitor, spread=1, partitions=stack.settings.kafka_partitions)
        producer.produce(kafka.EVENTS, value, partition=place)
    assert producer.flush(30) == 0


def publish(stack: TestStack, hour: str) -> None:
    dagster = DagsterClient(stack.urls["dagster"])
    run = dagster.launch(HOUR_JOB, range_tags((hour, hour)))
    eventually(lambda: dagster.state(run).is_over, "the run of the hour")
    assert dagster.state(run).status == "SUCCESS", dagster.failures(run)


def compared(stack: TestStack, hour: str) -> tuple[HourCompared, Compared]:
    ((found, one),) = open_workplace(stack.settings).reconciliations.of_site(SITE, hour, hour)
    assert one is not None
    return found, one


def test_a_late_event_is_published_compared_and_told(stack: TestStack) -> None:
    Catalog(open_tables(stack.settings).catalog).add(Site(id=SITE, domain="corrected.example"))
    hour = hour_of(time.time_ns() // 1_000_000 - HOUR_MS)
    send(stack, hour, range(1, 6))
    publish(stack, hour)
    found, one = compared(stack, hour)
    assert found.state == "compared"
    assert one.live == one.published == Side(5, 5, 5, 0, 5, 0)

    api, page = stack.urls["dashboard"] + "/api/v1", stack.urls["dashboard"] + f"/{SITE}"
    # Where another test had published the hour before, the first events of the site were late, too.
    before = httpx.get(f"{api}/corrections/{SITE}").json()["corrections"]
    send(stack, hour, range(6, 8))
    publish(stack, hour)
    told, *older = httpx.get(f"{api}/corrections/{SITE}").json()["corrections"]
    assert older == before
    assert (told["kind"], told["late_events"]) == ("late", 2)
    for name in ("visitors", "visits", "pageviews"):
        assert told["changes"][name] == {"from": 5, "to": 7}
    day = told["from"]
    asked: dict[str, Any] = {"site": SITE, "metrics": ["pageviews"], "date_range": [day, day]}
    answer = httpx.post(f"{api}/query", json=asked, timeout=60).json()
    assert answer["rows"][0]["pageviews"] == 7
    assert [note for note in answer["notes"] if "2 events arrived late" in note]
    assert "2 events arrived late" in httpx.get(f"{page}/corrections").text
    found, one = compared(stack, hour)
    assert (found.state, one.live.pageviews, one.published.pageviews) == ("compared", 7, 7)
    assert "Live against published" in httpx.get(f"{page}/reconciliation").text
    shown = stack.recount("corrections", SITE)
    assert "visitors 5 → 7" in shown.stdout, shown.stderr
