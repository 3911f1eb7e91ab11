"""Every step of the policy, through the front door."""

from __future__ import annotations

import time
from typing import Any

import pytest

from edge.policy import IMPORT_STEPS, STEPS
from recount.errors import Unavailable
from recount.periods import HOUR_MS
from recount.reasons import Reason
from recount.store.catalog import Redaction, Site
from recount.store.salts import visitor_hash
from tests.unit.edge.conftest import UA, Room

MINUTE_MS = 60_000


def event(**fields: Any) -> dict[str, Any]:
    return {"site": "shop", "url": "https://shop.example/p"} | fields


def take(room: Room, sent: dict[str, Any], **headers: str) -> dict[str, Any]:
    """The event as the spool has it."""
    answer = room.post(sent, **headers)
    assert answer.status_code == 202, answer.text
    return room.last()


def refuse(room: Room, sent: dict[str, Any], **headers: str) -> str:
    """The reason of the refusal; nothing may be in the spool."""
    before = room.spool.last_seq
    answer = room.post(sent, **headers)
    assert room.spool.last_seq == before
    assert answer.json is not None
    assert answer.headers["Recount-Drop"] == answer.json["rejected"][0]["reason"]
    return str(answer.headers["Recount-Drop"])


def test_the_steps_say_what_they_do() -> None:
    for step in {*STEPS, *IMPORT_STEPS}:
        assert step.__name__.startswith(("drop_", "put_"))
        assert step.__doc__
        named = {reason for reason in Reason if reason.value in step.__doc__}
        assert named or step.__doc__.startswith(("never refuses", "raises Unavailable"))


def test_a_pageview_holds_what_was_observed(room: Room) -> None:
    before = time.time_ns() // 1_000_000
    taken = take(room, event(id="a-1", referrer="https://b.example/?q=x", screen="1920x1080", lang="de-DE"))
    assert before <= taken["received"] == taken["ts"]
    visitor = room.door.salt_of(room.door.rules_of("shop"), taken["ts"])  # type: ignore[arg-type]
    assert taken == {
        "v": 1,
        "id": "a-1",
        "site": "shop",
        "ts": taken["ts"],
        "received": taken["received"],
        "kind": "pageview",
        "visitor": f"{visitor_hash(visitor, 'shop', '192.0.2.7', UA):016x}",
        "source_kind": "tracker",
        "url": "https://shop.example/p",
        "referrer": "https://b.example/",
        "ua": UA,
        "lang": "de-DE",
        "screen": "1920x1080",
        "country": "DE",
        "region": "BE",
        "network": "residential",
        "seq": 1,
        "partition": taken["partition"],
    }


def test_an_unknown_site(room: Room) -> None:
    assert refuse(room, event(site="nope")) == "unknown_site"
    assert refuse(room, {"url": "https://shop.example/"}) == "unknown_site"


def test_an_event_without_id_gets_one(room: Room) -> None:
    first, second = take(room, event())["id"], take(room, event(id=""))["id"]
    assert len(first) == 36
    assert first != second


@pytest.mark.parametrize("sent_id", ["a b", "a\r\nSet-Cookie: x", "ü", "<script>", "a\0"])
def test_ids_are_plain(room: Room, sent_id: str) -> None:
    assert refuse(room, event(id=sent_id)) == "bad_event"


@pytest.mark.parametrize("field", [{"ts": 1}, {"ip": "192.0.2.9"}, {"ua": "x"}])
def test_speaking_for_others_needs_a_token(room: Room, field: dict[str, Any]) -> None:
    assert refuse(room, event(**field)) == "not_allowed"


def test_a_token_of_another_site_or_none_at_all_is_not_allowed(room: Room) -> None:
    room.add(Site(id="other", domain="other.example"))
    assert refuse(room, event(), **room.token("other")) == "not_allowed"
    assert refuse(room, event(), Authorization="Bearer rt_made_up") == "not_allowed"


def test_a_token_speaks_for_somebody_else(room: Room) -> None:
    now = time.time_ns() // 1_000_000
    ts = now - 3 * 24 * HOUR_MS
    taken = take(room, event(ts=ts, ip="203.0.113.5", ua="Bot/1.0"), **room.token("shop"))
    assert (taken["ts"], taken["ua"], taken["source_kind"]) == (ts, "Bot/1.0", "api")
    assert "country" not in taken
    salt = room.door.salt_of(room.door.rules_of("shop"), ts)  # type: ignore[arg-type]
    assert taken["visitor"] == f"{visitor_hash(salt, 'shop', '203.0.113.5', 'Bot/1.0'):016x}"
    assert refuse(room, event(ip="1.2.3"), **room.token("shop")) == "bad_event"


def test_the_age_of_an_event_sets_its_moment(room: Room) -> None:
    taken = take(room, event(age_ms=90_000.7))
    assert taken["ts"] == taken["received"] - 90_000
    assert refuse(room, event(age_ms=25 * HOUR_MS)) == "too_old"
    assert take(room, event(age_ms=25 * HOUR_MS), **room.token("shop"))["ts"] < taken["ts"]


def test_the_future_is_set_to_now_and_flagged(room: Room) -> None:
    soon = take(room, event(age_ms=-4 * MINUTE_MS))
    assert soon["ts"] == soon["received"] + 4 * MINUTE_MS
    assert "ts_clamped" not in soon
    later = take(room, event(age_ms=-6 * MINUTE_MS))
    assert (later["ts"], later["ts_clamped"]) == (later["received"], True)
    now = time.time_ns() // 1_000_000
    assert take(room, event(ts=now + HOUR_MS), **room.token("shop"))["ts_clamped"] is True


def test_nothing_is_older_than_the_site_keeps(room: Room) -> None:
    room.add(Site(id="short", domain="short.example", retention_days=2))
    ts = time.time_ns() // 1_000_000 - 3 * 24 * HOUR_MS
    assert refuse(room, event(site="short", ts=ts), **room.token("short")) == "too_old"


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_who_asks_not_to_be_counted_is_not(room: Room, header: str) -> None:
    answer = room.post(event(), **{header: "1"})
    assert (answer.status_code, answer.headers["Recount-Drop"]) == (202, "opted_out")
    assert room.spool.last_seq == 0
    room.add(Site(id="all", domain="all.example", do_not_track="ignore"))
    take(room, event(site="all"), **{header: "1"})
    take(room, event(), **{header: "0"})


def test_only_the_sites_own_hosts_where_it_says_so(room: Room) -> None:
    room.add(Site(id="own", domain="own.example", only_own_hostnames=True))
    take(room, event(site="own", url="https://www.own.example/"))
    take(room, event(site="own", url="https://OWN.example:8443/"))
    assert refuse(room, event(site="own", url="https://own.example.evil.example/")) == "hostname_not_allowed"
    take(room, event(url="https://elsewhere.example/"))


@pytest.mark.parametrize(
    "sent",
    [
        {"site": "shop"},
        {"site": "shop", "kind": "engagement"},
        {"site": "shop", "kind": "event"},
        {"site": "shop", "url": "/relative"},
    ],
)
def test_events_have_what_their_kind_needs(room: Room, sent: dict[str, Any]) -> None:
    assert refuse(room, sent) == "bad_event"


def test_a_custom_event(room: Room) -> None:
    taken = take(
        room,
        event(kind="event", name="buy a@b.example", props={"plan": "pro", "seats": 3, "trial": False}),
    )
    assert (taken["name"], taken["props"]) == ("buy (email)", {"plan": "pro", "seats": 3, "trial": False})
    assert "name" not in take(room, event(name="only events have names"))


def test_engagement(room: Room) -> None:
    taken = take(room, event(kind="engagement", engaged_ms=1200, scroll_percent=0))
    assert (taken["engaged_ms"], taken["scroll_percent"]) == (1200, 0)
    assert "engaged_ms" not in take(room, event(engaged_ms=1200))


@pytest.mark.parametrize(
    ("revenue", "stored"),
    [
        ({"amount": "12.50", "currency": "usd"}, {"amount": "12.50", "currency": "USD"}),
        ({"amount": 12}, {"amount": "12", "currency": "EUR"}),
        ({"amount": 0.1}, {"amount": "0.1", "currency": "EUR"}),
        ({"amount": 1e3}, {"amount": "1000.0", "currency": "EUR"}),
        ({"amount": "-5.000001"}, {"amount": "-5.000001", "currency": "EUR"}),
    ],
)
def test_revenue_is_exact(room: Room, revenue: dict[str, Any], stored: dict[str, str]) -> None:
    assert take(room, event(kind="event", name="buy", revenue=revenue))["revenue"] == stored


@pytest.mark.parametrize(
    "revenue",
    [
        {"amount": "free"},
        {"amount": ""},
        {"amount": 1e-7},
        {"amount": 1e300},
        {"amount": "1e3"},
        {"amount": "0.0000001"},
        {"amount": "NaN"},
        {"amount": "sNaN"},
        {"amount": "Infinity"},
        {"amount": "1e99"},
        {"amount": "1e-999999999"},
        {"amount": "1e999999999"},
        {"amount": "1", "currency": "E1R"},
    ],
)
def test_odd_revenue_is_refused(room: Room, revenue: dict[str, Any]) -> None:
    assert refuse(room, event(kind="event", name="buy", revenue=revenue)) == "bad_event"


def test_screens_and_languages_of_another_shape_are_left_out(room: Room) -> None:
    taken = take(room, event(screen="a@b.example", lang="a@b.example"))
    assert "screen" not in taken
    assert "lang" not in taken


def test_a_sites_own_redaction_policy(room: Room) -> None:
    room.add(Site(id="s2", domain="s2.example", redaction=Redaction(keep_params=("page",))))
    assert take(room, event(site="s2", url="https://s2.example/?page=2&utm_source=x"))["url"] == (
        "https://s2.example/?page=2"
    )


def test_first_party_ids_where_the_site_chooses_them(room: Room) -> None:
    room.add(Site(id="fp", domain="fp.example", identity="first_party"))
    one = take(room, event(site="fp", visitor="customer-7"))["visitor"]
    assert take(room, event(site="fp", visitor="customer-7"), **{"User-Agent": "Other"})["visitor"] == one
    assert take(room, event(site="fp", visitor="customer-8"))["visitor"] != one
    anonymous = take(room, event(site="fp"))["visitor"]
    assert anonymous != one
    daily = take(room, event(visitor="customer-7"))["visitor"]
    assert daily == take(room, event(visitor="customer-8"))["visitor"]


def test_a_hot_site_is_spread_by_visitor(room: Room) -> None:
    room.add(Site(id="hot", domain="hot.example", spread=6))
    for number in range(40):
        room.post(event(site="hot"), **{"User-Agent": f"Browser/{number}"})
    assert len({taken["partition"] for taken in room.spooled()}) > 1
    for _ in range(3):
        room.post(event())
    assert len({taken["partition"] for taken in room.spooled()[-3:]}) == 1


def test_without_a_salt_the_sender_shall_come_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("dynamodb", "away")

    monkeypatch.setattr(room.tables.salts, "get", away)
    answer = room.post(event())
    assert (answer.status_code, answer.headers["Recount-Drop"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert room.spool.last_seq == 0


def test_a_salt_met_before_needs_no_table(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(room, event())["visitor"]

    def away(*_: object, **__: object) -> None:
        raise Unavailable("dynamodb", "away")

    monkeypatch.setattr(room.tables.salts, "get", away)
    assert take(room, event())["visitor"] == first
