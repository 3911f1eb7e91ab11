"""What comes late, is held up, comes twice or never comes: counted once, in its hour, or named."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from orchestration.alerts import problems
from orchestration.jobs import HOUR_JOB, REFOLD_JOB
from orchestration.partitions import PARTITION, range_tags
from orchestration.stage import REPROCESSING_TAG
from recount.periods import HOUR_MS, day_of, hour_of, hour_start_ms
from recount.store.catalog import Goal
from recount.store.provenance import period_key
from tests import made
from tests.faults.late_room import BROWSER, LateRoom, age, hours_of_a_day, running_hour
from tests.faults.room import now_ms
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(900)]

ROBOT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_CHECKS: Final = """
query ($key: AssetKeyInput!, $name: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, limit: 20) {
    evaluation { success severity description }
  }
}
"""


def by_hour(late: LateRoom, site: str, hours: list[str]) -> dict[str, list[int]]:
    """Visits and pageviews of hours, as the API answers."""
    day = day_of(hour_start_ms(hours[0]), "UTC")
    query = {"site": site, "metrics": ["visits", "pageviews"], "interval": "hour", "date_range": [day, day]}
    url = late.stack.urls["dashboard"] + "/api/v1/query"
    answer = httpx.post(url, json=query, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    rows = {hour_of(row["at"]): row for row in answer.json()["rows"]}
    return {name: [rows[hour][name] for hour in hours] for name in ("visits", "pageviews")}


def duration_s(late: LateRoom, site: str, hour: str) -> float:
    day = hour[:10]
    found = late.query(site, "visit_duration", first_day=day, last_day=day)["visit_duration"]
    return float(found or 0)


def test_a_late_event_is_counted_once_and_joins_two_visits(late: LateRoom) -> None:
    """Forty minutes of silence are two visits; an event in their middle makes them one, in three hours."""
    site, hours = late.add_site("late"), hours_of_a_day(3)
    late.send(
        site,
        {"id": "first"} | age(hours[0], 40),
        {"id": "second"} | age(hours[1], 20),
        {"id": "third"} | age(hours[1], 45),
        {"id": "fourth"} | age(hours[2], 10),
    )
    eventually(lambda: sum(by_hour(late, site, hours)["pageviews"]) == 4, "the hours published by themselves")
    eventually(lambda: duration_s(late, site, hours[2]) == 1500, "two visits, of 0 and of 50 minutes")
    assert by_hour(late, site, hours) == {"visits": [1, 1, 0], "pageviews": [1, 2, 1]}

    for _ in range(2):  # as a tracker does that got no answer
        late.send(site, {"id": "late"} | age(hours[0], 59))
    eventually(lambda: duration_s(late, site, hours[2]) == 5400, "one visit, of 90 minutes")
    assert by_hour(late, site, hours) == {"visits": [1, 0, 0], "pageviews": [2, 2, 1]}
    assert late.ledger(hours[0], site) == {"accepted": 3, "counted": 2, "duplicate": 1}
    late.published[site] = 5
    is_told(late, site, hours)


def is_told(late: LateRoom, site: str, hours: list[str]) -> None:
    """The correction log has the one late event, in the API and for people: which hours, what moved, why."""
    eventually(lambda: bool(late_corrections(late, site)), "the correction log")
    [told] = late_corrections(late, site)
    after = hour_start_ms(hours[-1]) + HOUR_MS
    assert told["hours"] == [[f"{hours[0]}:00:00Z", f"{hour_of(after)}:00:00Z"]], "all that it moved"
    assert told["changes"]["pageviews"] == {"from": 4, "to": 5}
    assert told["changes"]["visits"] == {"from": 2, "to": 1}
    assert told["late_events"] == 1
    assert told["text"].endswith("; 1 event arrived late.")
    said = late.stack.recount("corrections", site)
    assert said.returncode == 0, said.stderr
    [entry] = [text for text in said.stdout.split("\n01") if "1 event arrived late" in text]
    assert "(3 hours, UTC)" in entry
    assert "visits 2 → 1, pageviews 4 → 5" in entry


def late_corrections(late: LateRoom, site: str) -> list[dict[str, Any]]:
    """What the API says of corrections that late events made."""
    url = f"{late.stack.urls['dashboard']}/api/v1/corrections/{site}"
    answer = httpx.get(url, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return [told for told in answer.json()["corrections"] if told["late_events"]]


def test_every_accepted_event_is_in_one_column(late: LateRoom) -> None:
    """Visitors, robots, repeats, bad events, events that are cut off from Kafka over the hour's end, and a
    late one. The hour is over for the run alone: its clock is ahead."""
    site, hour = late.add_site("ledger"), running_hour()
    late.send(site, *({"id": f"visitor-{n}"} for n in range(5)))
    late.send(site, *({"id": f"robot-{n}"} for n in range(3)), agent=ROBOT)
    for _ in range(3):
        late.send(site, {"id": "again"})
    given = {"site": site, "spool": "another-version", "ts": now_ms(), "received": now_ms()}
    late.produce(late.partition(site), [made.value(v=99, id=f"bad-{n}", seq=n, **given) for n in (1, 2)])
    eventually(late.is_stored, "what came in time is stored")
    with late.cut_off():
        late.send(site, *({"id": f"held-{n}"} for n in range(4)))
        place = late.after(hour)
        late.work(place, hour, "in time")
    inside = {"bot": 3, "duplicate": 2, "quarantined": 2}
    assert late.ledger(hour, site) == {"accepted": 17, "counted": 6, "pending": 4} | inside
    assert "Pending events were in a spool" in late.stack.recount("ledger", "--hour", hour).stdout

    eventually(lambda: late.is_due(place, hour), "the hour due again, for what was pending has come")
    late.work(place, hour, "pending")
    assert late.ledger(hour, site) == {"accepted": 17, "counted": 10} | inside

    late.send(site, {"id": "late"}, {"id": "held-0"})
    eventually(lambda: late.is_due(place, hour), "the hour due again, for a late event")
    late.work(place, hour, "late")
    assert late.ledger(hour, site) == {"accepted": 19, "counted": 11} | inside | {"duplicate": 3}
    info = place.archive.newest(hour)
    assert info is not None
    ids = place.archive.read_events(hour, info.generation, columns=["site", "id"], sites=[site])["id"]
    humans = {*(f"visitor-{n}" for n in range(5)), "again", *(f"held-{n}" for n in range(4)), "late"}
    assert sorted(ids) == sorted({*humans, *(f"robot-{n}" for n in range(3))}), "each once"


def test_store_batches_killed_between_two_items(late: LateRoom) -> None:
    site, hours = late.add_site("between"), hours_of_a_day(3)
    source, place = late.partition(site), late.place
    late.send(site, {"id": "known"} | age(hours[0], 1))
    eventually(late.is_stored, "all that came before")
    late.stop("store_batches")
    first = late.end(source)
    late.send(site, *({"id": f"{hour}-{n}"} | age(hour, 5 + n) for hour in hours for n in range(3)))
    eventually(lambda: late.end(source) == first + 9, "the records of three hours in the topic")

    died = late.program("tests.faults.dies_between_items", {}, str(source[1]), str(first))
    assert died.wait(120) == -signal.SIGKILL
    written = [place.raw.read(hour).filter(site=site).filter(id=f"{hour}-0").height for hour in hours]
    assert written == [1, 0, 0], "the item of one hour is there, those of the others are not"
    assert place.raw.missing(source, first, first + 9) == [(first, first + 9)], "and nobody promises them"

    late.send(site, {"id": "after"} | age(hours[2], 20))  # the next delivery is cut otherwise
    eventually(lambda: late.end(source) == first + 10, "one more record in the topic")
    late.start("store_batches")
    eventually(lambda: by_hour(late, site, hours)["pageviews"] == [4, 3, 4], "every event, and each once")
    for hour, counted in zip(hours, (4, 3, 4), strict=True):
        assert late.ledger(hour, site) == {"accepted": counted, "counted": counted}


def test_hours_of_one_day_published_by_two_runs(late: LateRoom) -> None:
    site, day = late.add_site("two-runs"), "2016-02-03"
    views = {3: 2, 7: 3}

    late.stop("dagster-daemon")  # both are in its queue before it takes the first
    values = [imported(site, f"{day}T{hour:02d}", n) for hour, count in views.items() for n in range(count)]
    late.produce(("imports", 0), values)
    runs = [late.dagster.launch(HOUR_JOB, {PARTITION: f"{day}T{hour:02d}"}) for hour in views]
    late.start("dagster-daemon")
    eventually(lambda: all(late.dagster.state(run).is_over for run in runs), "both runs over")
    assert [late.dagster.state(run).status for run in runs] == ["SUCCESS", "SUCCESS"]

    totals = late.query(site, "pageviews", "visitors", first_day=day, last_day=day)
    assert (totals["pageviews"], totals["visitors"]) == (5, 5)
    shown = by_hour(late, site, [f"{day}T{hour:02d}" for hour in range(24)])["pageviews"]
    assert shown == [views.get(hour, 0) for hour in range(24)]


def test_of_two_reprocessings_that_overlap_the_second_is_told(late: LateRoom) -> None:
    """Meanwhile the collector leaves both alone, and what they are compared with."""
    site, place = late.add_site("overlap"), late.place
    hours = [f"2016-03-05T{n:02d}" for n in range(4)]
    late.produce(("imports", 1), [imported(site, hour, n) for n, hour in enumerate(hours)])
    run = late.dagster.launch(HOUR_JOB, range_tags((hours[0], hours[-1])))
    eventually(lambda: late.dagster.state(run).status == "SUCCESS", "the hours published")
    first, second = candidates(late, site, hours[:3], "one"), candidates(late, site, hours[1:], "two")

    in_a_month = now_ms() + 30 * 86_400_000
    kept = {*first.items(), *second.items()} | {(h, entry_of(late, h)) for h in hours}
    garbage = {(period, made) for _, period, made in place.collector.look(in_a_month).rollups}
    assert not kept & garbage

    shown = late.stack.recount("publish", "one")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    refused = late.stack.recount("publish", "two")
    assert refused.returncode == 1
    assert f"{hours[1]}: published again" in refused.stderr
    assert f"{hours[2]}: published again" in refused.stderr
    assert f"{hours[3]}: published again" not in refused.stderr
    assert late.stack.recount("reprocess", "discard", "two").returncode == 0
    garbage = {(period, made) for _, period, made in place.collector.look(in_a_month).rollups}
    assert second.items() <= garbage, "given up, so it may go"
    assert not set(first.items()) & garbage, "shown, so it may not"


def candidates(late: LateRoom, site: str, hours: list[str], name: str) -> dict[str, str]:
    """Hours folded by new rules: candidate generations by hour."""
    known = late.place.catalog.get(site)
    assert known is not None
    goals = (*known.goals, Goal(name=name, page="/*"))
    late.place.catalog.update(replace(known, goals=goals, rules_version=known.rules_version + 1))
    run = late.dagster.launch(REFOLD_JOB, range_tags((hours[0], hours[-1])) | {REPROCESSING_TAG: name})
    eventually(lambda: late.dagster.state(run).status == "SUCCESS", f"the candidates of {name}")
    done = late.place.reprocessings.hours(name)
    return {hour: done[hour].generation for hour in hours}


def entry_of(late: LateRoom, hour: str) -> str:
    """The generation that is published of an hour."""
    key = period_key("hour", hour)
    return late.place.manifests.entries(late.place.manifests.current(), [key])[key].confirmed


def imported(site: str, hour: str, n: int) -> bytes:
    """An event of an hour long ago."""
    ts = hour_start_ms(hour) + n
    place: dict[str, Any] = {"site": site, "spool": site, "seq": n, "ts": ts, "received": ts + 5}
    facts = {"visitor": f"{ts:016x}", "ua": BROWSER, "url": "https://faults.example/"}
    return made.value(**place, **facts, id=f"{hour}-{n}")


def test_what_kafka_has_lost_is_a_hole_and_everybody_is_told(late: LateRoom) -> None:
    """The last of these tests: a hole is for ever."""
    site, (hour,) = late.add_site("hole"), hours_of_a_day(1)
    source = late.partition(site)
    late.send(site, {"id": "before"} | age(hour, 1))
    eventually(late.is_stored, "all that came before")
    late.stop("store_batches")
    first = late.end(source)
    late.send(site, *({"id": f"lost-{n}"} | age(hour, 2) for n in range(20)))
    eventually(lambda: late.end(source) == first + 20, "the records in the topic")
    lag = f"{problems.LAG}/recount-store_batches"
    eventually(lambda: lag in states(late), "the lag told")
    admin = AdminClient({"bootstrap.servers": late.settings.kafka})
    for done in admin.delete_records([TopicPartition(*source, first + 20)]).values():
        done.result(60)
    late.send(site, {"id": "after"} | age(hour, 3))
    late.start("store_batches")

    eventually(lambda: late.query(site, "pageviews", first_day=hour[:10])["pageviews"] == 2, "what is left")
    lost = f"{source[0]}/{source[1]} offsets {first} to {first + 19}"
    assert [str(hole) for hole in late.place.proven.holes()] == [lost]
    assert any(lost in text for text in warnings(late)), "the check of the run names it"
    hole = f"{problems.HOLE}/{source[0]}/{source[1]}/{first}"
    eventually(lambda: {hole, problems.SPOOL_GAP} <= states(late).keys(), "the loss told")
    eventually(lambda: states(late)[lag] == ["open", "over"], "the lag told once, and once that it is over")
    assert states(late)[hole] == ["open"]
    assert states(late)[problems.SPOOL_GAP] == ["open"]


def states(late: LateRoom) -> dict[str, list[str]]:
    """What the receiver was told of each incident, in order."""
    found: dict[str, list[str]] = {}
    for body in list(late.told.bodies):
        found.setdefault(body["incident"], []).append(body["state"])
    return found


def warnings(late: LateRoom) -> list[str]:
    """What `receipts_complete` said where it did not pass."""
    answer = httpx.post(
        f"{late.stack.urls['dagster']}/graphql",
        json={
            "query": _CHECKS,
            "variables": {"key": {"path": ["event_archive"]}, "name": "receipts_complete"},
        },
        timeout=60,
        trust_env=False,
    ).json()
    found = [e["evaluation"] for e in answer["data"]["assetCheckExecutions"] if e["evaluation"]]
    return [e["description"] for e in found if not e["success"] and e["severity"] == "WARN"]
