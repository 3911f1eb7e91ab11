"""The front door over HTTP: answers, headers, the pixel, the script, health."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
import zstandard

from edge.answers import GIF, STATUS
from recount.errors import Refused, Unavailable
from recount.reasons import Reason
from recount.store.catalog import Site
from tests.unit.edge.conftest import Room

EVENT = {"site": "shop", "url": "https://shop.example/p"}


def test_one_event_is_accepted(room: Room) -> None:
    answer = room.post(EVENT)
    assert (answer.status_code, answer.json) == (202, {"accepted": 1, "rejected": []})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Recount-Drop" not in answer.headers
    assert len(room.spooled()) == 1


@pytest.mark.parametrize(
    ("pack", "encoding"), [(gzip.compress, "gzip"), (zstandard.compress, "zstd"), (bytes, "identity")]
)
def test_bodies_may_be_packed(room: Room, pack: Any, encoding: str) -> None:
    answer = room.post(pack(orjson.dumps(EVENT)), **{"Content-Encoding": encoding})
    assert answer.status_code == 202


def test_good_events_of_a_batch_are_taken_and_bad_ones_listed(room: Room) -> None:
    answer = room.post([EVENT, EVENT | {"site": "nope"}, {"site": 5}, EVENT | {"age_ms": 10**9}, EVENT])
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["accepted"] == 2
    assert [(r["index"], r["reason"]) for r in answer.json["rejected"]] == [
        (1, "unknown_site"),
        (2, "bad_event"),
        (3, "too_old"),
    ]
    assert answer.headers["Recount-Drop"] == "unknown_site"
    assert [event["seq"] for event in room.spooled()] == [1, 2]
    assert room.door.dropped == {"unknown_site": 1, "bad_event": 1, "too_old": 1}
    assert room.door.accepted == {"tracker": 2}


def test_a_batch_without_a_good_event_has_the_status_of_its_first_refusal(room: Room) -> None:
    assert room.post([EVENT | {"site": "nope"}]).status_code == 404
    assert room.post([{"site": 5}]).status_code == 400
    assert room.post([]).status_code == 202
    assert room.post([EVENT] * 501).status_code == 413


def test_every_reason_has_a_status() -> None:
    assert set(STATUS) == set(Reason)


def test_too_large_bodies(room: Room) -> None:
    answer = room.post(b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.headers["Recount-Drop"]) == (413, "too_large")


@pytest.mark.parametrize(
    "error", [Refused(Reason.SPOOL_FULL, "full"), Unavailable("spool", "the disk did not confirm")]
)
def test_a_spool_that_takes_nothing_asks_to_come_again(
    room: Room, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(room.spool, "append", refuse)
    monkeypatch.setattr(room.spool, "append_all", refuse)
    reason = "spool_full" if isinstance(error, Refused) else "unavailable"
    for body in (EVENT, [EVENT]):
        answer = room.post(body)
        assert (answer.status_code, answer.headers["Recount-Drop"]) == (503, reason)
        assert int(answer.headers["Retry-After"]) > 0
        assert "Recount-Drop" in answer.headers["Access-Control-Expose-Headers"]
    pixel = room.get("/p.gif?site=shop&url=https://shop.example/")
    assert (pixel.status_code, pixel.data, pixel.headers["Recount-Drop"]) == (200, GIF, reason)


def test_nothing_of_what_was_sent_gets_into_headers(room: Room) -> None:
    sent = EVENT | {"site": "x\r\nX-Evil: 1", "id": "a\r\nX-Evil: 1"}
    answer = room.post(sent)
    assert "X-Evil" not in answer.headers
    assert all("evil" not in value.lower() for _, value in answer.headers)


def test_the_pixel_is_always_the_same_image(room: Room) -> None:
    good = room.get("/p.gif?site=shop&url=https%3A%2F%2Fshop.example%2Fa+b%3Futm_source%3Dx&lang=de")
    bad = room.get("/p.gif?site=nope&url=https://shop.example/")
    worse = room.get("/p.gif?" + "x" * 20_000)
    for answer in (good, bad, worse):
        assert (answer.status_code, answer.data) == (200, GIF)
        assert answer.headers["Content-Type"] == "image/gif"
        assert answer.headers["Cache-Control"] == "no-store"
    assert len(GIF) == 43
    assert "Recount-Drop" not in good.headers
    assert bad.headers["Recount-Drop"] == "unknown_site"
    assert worse.headers["Recount-Drop"] == "too_large"
    (event,) = room.spooled()
    assert (event["source_kind"], event["kind"], event["lang"]) == ("pixel", "pageview", "de")
    assert event["url"] == "https://shop.example/a b?utm_source=x"


def test_a_pixel_that_a_proxy_asks_for_twice_is_one_event(room: Room) -> None:
    asked_by_front = {"Recount-Request": "5d0a3bb2-6a0c-4a44-9f0e-3c0a3f0a9a11"}
    for _ in range(2):
        room.get("/p.gif?site=shop&url=https://shop.example/", **asked_by_front)
    assert {event["id"] for event in room.spooled()} == {asked_by_front["Recount-Request"]}
    room.get("/p.gif?site=shop&id=mine&url=https://shop.example/", **asked_by_front)
    assert room.last()["id"] == "mine"


def test_a_pixel_with_a_name_is_a_custom_event(room: Room) -> None:
    room.get("/p.gif?site=shop&name=open&url=https://shop.example/")
    assert (room.last()["kind"], room.last()["name"]) == ("event", "open")


def test_a_pixel_without_url_counts_the_page_that_holds_it(room: Room) -> None:
    room.get("/p.gif?site=shop", Referer="https://shop.example/page?q=1")
    assert room.last()["url"] == "https://shop.example/page"
    assert room.get("/p.gif?site=shop").headers["Recount-Drop"] == "bad_event"


def test_pixels_with_the_same_query_are_events_of_their_own(room: Room) -> None:
    for referrer in ("https://shop.example/one", "https://shop.example/two"):
        room.get("/p.gif?site=shop", Referer=referrer)
    room.get("/p.gif?site=shop&url=https%3A%2F%2Fshop.example%2F", **{"User-Agent": "Other"})
    room.get("/p.gif?site=shop&url=https%3A%2F%2Fshop.example%2F")
    events = room.spooled()
    assert [event["url"].rpartition("/")[2] for event in events] == ["one", "two", "", ""]
    assert len({event["id"] for event in events}) == 4
    assert [event["visitor"] == events[0]["visitor"] for event in events] == [True, True, False, True]


@pytest.mark.parametrize("query", ["", "&&&", "=", "site=%ZZ", "site=%ff%fe", "a=b=c", "site=ä"])
def test_odd_queries(room: Room, query: str) -> None:
    assert room.get("/p.gif?" + query).headers["Recount-Drop"] == "unknown_site"


def test_preflights(room: Room) -> None:
    answer = room.client.options(
        "/v1/events", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


def test_the_script_in_every_encoding(room: Room) -> None:
    plain = room.get("/recount.js")
    assert plain.headers["Content-Type"].startswith("text/javascript")
    assert "max-age" in plain.headers["Cache-Control"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    packed = room.get("/recount.js", **{"Accept-Encoding": "gzip;q=0.5"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    best = room.get("/recount.js", **{"Accept-Encoding": "gzip, br"})
    assert best.headers["Content-Encoding"] == "br"
    assert len(best.data) <= 1000
    assert len({a.headers["ETag"] for a in (plain, packed, best)}) == 3
    again = room.get("/recount.js", **{"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    none = room.get("/recount.js", **{"Accept-Encoding": "br;q=0"})
    assert "Content-Encoding" not in none.headers


def test_health_and_the_spool(room: Room) -> None:
    assert room.get("/healthz").status_code == 200
    assert room.get("/readyz").status_code == 200
    room.sites.loaded = False
    assert room.get("/readyz").status_code == 503
    room.post(EVENT)
    state = room.get("/v1/spool").json
    assert state is not None
    assert (state["spool"], state["last_seq"], state["shipped_seq"]) == (room.spool.id, 1, 0)
    assert state["oldest_unshipped_ms"] == room.last()["received"]


def test_what_there_is_not(room: Room) -> None:
    assert room.get("/v1/events").status_code == 405
    assert room.get("/nothing").status_code == 404
    assert room.client.post("/p.gif").status_code == 405


def test_the_catalog_may_go_away_and_come_back(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("dynamodb", "away")

    with monkeypatch.context() as patch:
        patch.setattr(room.tables.catalog, "query", away)
        with pytest.raises(Unavailable):
            room.sites.refresh()
        assert room.post(EVENT).status_code == 202
    room.add(Site(id="new", domain="new.example"))
    assert room.post(EVENT | {"site": "new"}).status_code == 202
    room.tables.catalog.delete(("site", "new"))
    room.sites.refresh()
    assert room.post(EVENT | {"site": "new"}).status_code == 404


def test_an_unread_catalog_is_not_an_unknown_site(room: Room) -> None:
    room.sites.loaded = False
    room.sites._rules.clear()
    assert room.post(EVENT).headers["Recount-Drop"] == "unavailable"
