"""What tombstones make of events."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest

from recount.columns import decode, positions
from recount.erasing.matching import NAMELESS, Effect, applied, effect, hit_of, husks, living, redacted
from recount.erasing.tombstone import Tombstone, check_page, check_property, expires_ms
from recount.errors import InvalidInput
from recount.event import ERASED, EVENT_SCHEMA
from recount.periods import HOUR_MS
from tests import made
from tests.made import TS

VISITOR = 0x00FF00FF00FF00FF
BEFORE = TS + HOUR_MS


def tombstone(**given: Any) -> Tombstone:
    fields: dict[str, Any] = {"id": "t", "site": "demo", "what": "visitor", "visitor": VISITOR}
    return Tombstone(**(fields | {"before_ms": BEFORE, "expires_ms": 2**50} | given))


def page(pattern: str) -> Tombstone:
    return tombstone(what="page", page=pattern, hosts=["demo.example"])


def events(*given: dict[str, Any]) -> pl.DataFrame:
    values = [made.value(**{"id": f"e{n}", "seq": n} | fields) for n, fields in enumerate(given)]
    return decode(values, positions("events", 3, range(len(values)))).events


def left(frame: pl.DataFrame, *tombstones: Tombstone) -> list[str]:
    """The ids that are still there."""
    return living(applied(frame, tombstones))["id"].to_list()


def test_a_husk_keeps_place_and_number_and_no_fact() -> None:
    frame = events({"ts": TS + 7, "url": "https://demo.example/", "props": {"a": 1}}, {"site": "other"})
    found = applied(frame, [tombstone()])
    assert found.schema == pl.Schema(EVENT_SCHEMA)
    husk = {name: value for name, value in husks(found).row(0, named=True).items() if value is not None}
    assert husk == {
        **{"topic": "events", "partition": 3, "offset": 0, "spool": "s", "seq": 0, "v": 1},
        **{"site": "demo", "kind": ERASED, "ts": TS},
    }
    assert found[1:].equals(frame[1:])
    assert effect(frame, found) == Effect(erased=1)
    assert applied(found, [tombstone()]).equals(found), "twice is once"


def test_the_husks_of_an_erased_site_do_not_name_it() -> None:
    frame = applied(events({}, {"visitor": "01" * 8}), [tombstone()])
    found = applied(frame, [tombstone(what="site")])
    assert found["site"].to_list() == [NAMELESS, NAMELESS]
    assert effect(frame, found) == Effect(erased=1)


def test_what_comes_later_is_new_and_a_beacon_sent_again_is_not() -> None:
    frame = events(
        {"received": BEFORE - 1},
        {"received": BEFORE, "ts": BEFORE},
        {"received": BEFORE + 9, "ts": TS},
        {"received": BEFORE + 9, "ts": TS, "source_kind": "import"},
    )
    assert left(frame, tombstone()) == ["e1", "e3"]


@pytest.mark.parametrize(
    ("pattern", "urls"),
    [
        ("/user/*", ["https://demo.example/user/7?x=1", "http://other.example/user/", "/user/8"]),
        ("/user/7", ["https://demo.example/user/7?x=1"]),
        ("*/7", ["https://demo.example/user/7?x=1"]),
        ("/#/in*", ["https://demo.example/#/inbox"]),
    ],
)
def test_pages_are_erased_as_the_dashboard_names_them(pattern: str, urls: list[str]) -> None:
    every = ["https://demo.example/user/7?x=1", "http://other.example/user/", "/user/8", "/users"]
    every += ["https://demo.example/#/inbox", "mailto:/user/7"]
    frame = events(*({"url": url, "referrer": None} for url in every), {"url": None, "kind": "event"})
    stay = set(left(frame, page(pattern)))
    assert [url for n, url in enumerate(every) if f"e{n}" not in stay] == urls


def test_an_erased_page_is_no_referrer_either() -> None:
    referrers = ["https://demo.example/user/7", "https://else.example/user/7", "https://demo.example/"]
    frame = events(*({"url": "/a", "referrer": referrer} for referrer in referrers))
    found = applied(frame, [page("/user/*")])
    assert found["referrer"].to_list() == [None, *referrers[1:]]
    assert effect(frame, found) == Effect(edited=1)


@pytest.mark.parametrize(
    ("value", "stay"),
    [
        ("*", [None, {"plan": "pro"}, None]),
        ("*@x.example", [None, {"plan": "pro", "email": ""}, {"email": 7}]),
        ("7", [{"email": "a@x.example"}, {"plan": "pro", "email": ""}, None]),
    ],
)
def test_a_property_goes_and_its_event_stays(value: str, stay: list[Any]) -> None:
    props = [{"email": "a@x.example"}, {"plan": "pro", "email": ""}, {"email": 7}]
    frame = events(*({"props": one} for one in props), {"props": {"email": "b"}, "site": "other"})
    found = applied(frame, [tombstone(what="property", name="email", value=value)])
    given = [None if text is None else orjson.loads(text) for text in found["props"]]
    assert given == [*stay, {"email": "b"}]
    assert left(frame, tombstone(what="property", name="email")) == ["e0", "e1", "e2", "e3"]


def test_no_tombstone_costs_nothing() -> None:
    frame = events({})
    assert applied(frame, []) is frame
    assert applied(frame, [tombstone(site="other")]) is frame


@pytest.mark.parametrize(
    ("value", "hit"),
    [
        (made.value(), True),
        (made.value(site="other"), False),
        (made.value(visitor="1" * 16), False),
        (made.value(received=BEFORE, ts=BEFORE), False),
        (made.value(v=9, received="?"), True),
        (b'{"visitor": "00ff00ff00ff00ff", cut off', True),
        (b"\x00nothing", False),
    ],
)
def test_records_are_taken_whether_they_can_be_read_or_not(value: bytes, hit: bool) -> None:
    assert (hit_of(value, [tombstone()]) is not None) is hit


def test_records_of_pages_and_sites_are_taken() -> None:
    value = made.value(url="https://demo.example/user/7")
    assert hit_of(value, [page("/user/*")])
    assert not hit_of(value, [page("/other"), tombstone(what="property", name="email")])
    assert hit_of(value, [tombstone(what="site")])
    assert hit_of(b'{"site": "demo", cut off', [page("/user/*")]), "nobody can tell, so it is"


def test_a_record_is_shown_without_its_erased_property() -> None:
    value = made.value(props={"email": "a", "plan": "pro"})
    shown = redacted(value, [tombstone(what="property", name="email")])
    assert orjson.loads(shown) == orjson.loads(value) | {"props": {"plan": "pro"}}
    assert redacted(value, [tombstone(what="property", name="email", site="other")]) == value


def test_patterns_that_fit_nothing_are_refused() -> None:
    check_page("/user/*")
    check_page("*")
    check_property("email")
    with pytest.raises(InvalidInput, match="as the dashboard shows it"):
        check_page("user")
    for name in ("", "a*", "x" * 65):
        with pytest.raises(InvalidInput, match="names no property"):
            check_property(name)


def test_it_lasts_as_long_as_the_longest_copy() -> None:
    day = 24 * HOUR_MS
    kept = {"raw_ttl_days": 35, "kafka_retention_ms": 7 * day, "dead_retention_days": 90}
    assert expires_ms(0, **kept) == 92 * day
    assert expires_ms(0, **(kept | {"kafka_retention_ms": 100 * day + 1})) == 103 * day
