"""The import door: as strict as the front door, acknowledged by Kafka, keys of its own."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from confluent_kafka import KafkaError
from werkzeug.test import TestResponse

from edge import imports
from recount.event import RawEvent
from recount.kafka import IMPORTS
from recount.periods import HOUR_MS
from recount.store.catalog import Site
from tests.unit.edge.conftest import UA, Room

DAY_MS = 24 * HOUR_MS
MAY_2015 = 1_431_820_800_000


def line(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "line": number,
        "id": f"id-{number}",
        "ts": MAY_2015 + number,
        "ip": "192.0.2.1",
        "ua": UA,
        "url": "https://shop.example/p?q=1",
    } | fields


def send(room: Room, events: list[Any], *, name: str = "i1", **more: Any) -> TestResponse:
    headers = room.token("shop")
    return room.post({"import": name, "events": events} | more, "/v1/import", **headers)


def taken(room: Room) -> list[dict[str, Any]]:
    return [orjson.loads(value) for topic, _, value in room.producer.log if topic == IMPORTS]


def test_dated_events_arrive_as_raw_events(room: Room) -> None:
    answer = send(room, [line(1), line(2)])
    assert (answer.status_code, answer.json) == (202, {"accepted": 2, "rejected": []})
    first, second = taken(room)
    assert set(first) <= set(RawEvent.__struct_fields__)
    assert (first["spool"], first["seq"], first["id"]) == ("i1", 1, "id-1")
    assert (first["ts"], first["source_kind"], first["site"]) == (MAY_2015 + 1, "import", "shop")
    assert (first["url"], first["country"]) == ("https://shop.example/p", "DE")
    assert first["visitor"] == second["visitor"]
    assert room.spool.last_seq == 0
    assert room.door.accepted == {"import": 2}


def test_bad_lines_are_listed_and_good_ones_taken(room: Room) -> None:
    now = time.time_ns() // 1_000_000
    answer = send(
        room,
        [
            line(1),
            line(2, ts=now + HOUR_MS),
            line(3, ts=now - 30 * 366 * DAY_MS),
            {k: v for k, v in line(4).items() if k != "ts"},
            {k: v for k, v in line(5).items() if k != "id"},
            line(6, site="other"),
            line(7, url="nonsense"),
            7,
        ],
    )
    assert answer.json is not None
    assert [(r["index"], r["reason"]) for r in answer.json["rejected"]] == [
        (1, "in_the_future"),
        (2, "too_old"),
        (3, "bad_event"),
        (4, "bad_event"),
        (5, "not_allowed"),
        (6, "bad_event"),
        (7, "bad_event"),
    ]
    assert answer.json["accepted"] == 1


def test_an_import_has_keys_of_its_own_by_day_until_it_is_closed(room: Room) -> None:
    room.post({"site": "shop", "url": "https://shop.example/"})
    today = room.last()["ts"]
    send(room, [line(1, ts=today - 1000, ip="192.0.2.7"), line(2), line(3, ts=MAY_2015 + DAY_MS)])
    send(room, [line(4)], name="i2")
    visitors = [event["visitor"] for event in taken(room)]
    assert len({*visitors, room.last()["visitor"]}) == 5
    send(room, [line(5)])
    assert taken(room)[-1]["visitor"] == visitors[1]
    closed = room.post({"site": "shop"}, "/v1/import/i1/close", **room.token("shop"))
    assert (closed.status_code, closed.json) == (200, {"keys_destroyed": 3})
    send(room, [line(6)])
    assert taken(room)[-1]["visitor"] not in visitors


def test_days_are_those_of_the_site(room: Room) -> None:
    room.catalog.update(Site(id="shop", domain="shop.example", timezone="Asia/Kolkata"))
    room.sites.refresh()
    midnight = MAY_2015 + 24 * HOUR_MS - int(5.5 * HOUR_MS)
    send(room, [line(1, ts=midnight - 1), line(2, ts=midnight), line(3, ts=midnight + 1)])
    before, at, after = (event["visitor"] for event in taken(room))
    assert before != at == after


def test_an_import_needs_the_sites_token(room: Room) -> None:
    room.add(Site(id="other", domain="other.example"))
    body = {"import": "i1", "events": [line(1)]}
    assert room.post(body, "/v1/import").status_code == 403
    assert room.post(body, "/v1/import", Authorization="Bearer rt_x").status_code == 403
    assert room.post(body | {"site": "shop"}, "/v1/import", **room.token("other")).status_code == 403
    assert room.post({}, "/v1/import/i1/close").status_code == 403
    assert taken(room) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nonsense", 400),
        (b"[]", 400),
        (b'{"import":"a/b","events":[]}', 400),
        (b'{"import":"","events":[]}', 400),
        (b'{"import":"i1"}', 400),
        (b'{"import":"i1","events":5}', 400),
        (b'{"import":"i1","events":[' + b"{}," * 5000 + b"{}]}", 413),
        (b" " * (8 * 1024 * 1024 + 1), 413),
        (b'{"import":"i1","events":[]}', 202),
    ],
)
def test_odd_requests(room: Room, body: bytes, status: int) -> None:
    answer = room.post(body, "/v1/import", **room.token("shop"))
    assert answer.status_code == status


def test_a_token_that_cannot_be_known_yet_is_asked_to_come_again(room: Room) -> None:
    headers = room.token("demo")
    room.sites.loaded, room.sites.tokens = False, {}
    answer = room.client.post("/v1/import", json={"import": "i1", "events": []}, headers=headers)
    assert (answer.status_code, answer.headers["Recount-Drop"]) == (503, "unavailable")


def test_kafka_away_asks_to_come_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "DELIVERY_TIMEOUT_S", 0.0)
    room.producer.is_away = True
    answer = send(room, [line(1)])
    assert (answer.status_code, answer.headers["Recount-Drop"]) == (503, "unavailable")
    assert "Retry-After" in answer.headers
    room.producer.is_away = False
    assert send(room, [line(1)]).status_code == 202
    assert {event["id"] for event in taken(room)} == {"id-1"}


def test_a_failed_delivery_or_a_full_queue_fails_the_batch(room: Room) -> None:
    room.producer.fails_with = {b"id-2": KafkaError(KafkaError._MSG_TIMED_OUT)}
    assert send(room, [line(1), line(2)]).status_code == 503
    room.producer.fails_with = {}
    room.producer.room = 1
    assert send(room, [line(1), line(2)]).status_code == 503
