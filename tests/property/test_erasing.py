"""What tombstones take, against a plain reading of the rule, one event after the other."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.columns import decode, positions
from recount.erasing.matching import applied, hit_of, living
from recount.erasing.tombstone import Tombstone
from tests import made
from tests.made import TS

SITES = ("demo", "other")
PATHS = ("/", "/user/1", "/user/2", "/user/", "/a/user/1")
PATTERNS = ("/user/*", "/user/1", "*/1", "*", "/nothing")
MOMENTS = (TS - 5, TS, TS + 5)

EVENTS = st.fixed_dictionaries(
    {
        "site": st.sampled_from(SITES),
        "ts": st.sampled_from(MOMENTS),
        "received": st.sampled_from(MOMENTS),
        "source_kind": st.sampled_from(("tracker", "pixel", "api", "import")),
        "visitor": st.sampled_from(("0" * 15 + "1", "f" * 16)),
        "url": st.sampled_from([f"https://demo.example{path}?q=/user/9" for path in PATHS]),
        "referrer": st.sampled_from([None, *(f"https://{h}.example{p}" for h in SITES for p in PATHS)]),
        "props": st.sampled_from([{}, {"mail": "a@x"}, {"mail": "b@y", "plan": 2}, {"plan": "a@x"}]),
    }
)
TOMBSTONES = st.fixed_dictionaries(
    {
        "site": st.sampled_from(SITES),
        "what": st.sampled_from(("visitor", "site", "page", "property")),
        "before_ms": st.sampled_from((TS - 5, TS, TS + 1, TS + 9)),
        "visitor": st.sampled_from((1, 2**64 - 1)),
        "page": st.sampled_from(PATTERNS),
        "name": st.sampled_from(("mail", "plan")),
        "value": st.sampled_from(("*", "a@*", "2")),
    }
)


def is_before(event: dict[str, Any], tombstone: Tombstone) -> bool:
    moments = [event["received"]]
    if event["source_kind"] in ("tracker", "pixel"):
        moments.append(event["ts"])
    return bool(event["site"] == tombstone.site and min(moments) < tombstone.before_ms)


def is_taken(event: dict[str, Any], tombstone: Tombstone) -> bool:
    if not is_before(event, tombstone):
        return False
    if tombstone.what == "visitor":
        return int(event["visitor"], 16) == tombstone.visitor
    if tombstone.what == "page":
        return fnmatchcase(urlsplit(event["url"]).path, tombstone.page)
    return tombstone.what == "site"


def edited(event: dict[str, Any], tombstones: list[Tombstone]) -> tuple[str | None, dict[str, Any]]:
    """Referrer and properties as they should be."""
    referrer, props = event["referrer"], dict(event["props"])
    for t in tombstones:
        if not is_before(event, t):
            continue
        if t.what == "property" and t.name in props and fnmatchcase(str(props[t.name]), t.value):
            del props[t.name]
        if t.what == "page" and referrer is not None:
            parts = urlsplit(referrer)
            if parts.hostname in t.hosts and fnmatchcase(parts.path, t.page):
                referrer = None
    return referrer, props


@settings(max_examples=150, deadline=None)
@given(events=st.lists(EVENTS, min_size=1, max_size=12), orders=st.lists(TOMBSTONES, max_size=3))
def test_the_filter_takes_what_the_rule_says(
    events: list[dict[str, Any]], orders: list[dict[str, Any]]
) -> None:
    tombstones = [
        Tombstone(id=str(n), expires_ms=2**50, hosts=["demo.example"], **order)
        for n, order in enumerate(orders)
    ]
    values = [made.value(**({"id": str(n), "seq": n} | event)) for n, event in enumerate(events)]
    frame = decode(values, positions("events", 0, range(len(values)))).events
    found = applied(frame, tombstones)
    assert found.select("topic", "partition", "offset", "spool", "seq").equals(
        frame.select("topic", "partition", "offset", "spool", "seq")
    )
    stay = [event for event in events if not any(is_taken(event, t) for t in tombstones)]
    left = living(found)
    props = [json.loads(text) if text else {} for text in left["props"]]
    assert list(zip(left["referrer"], props, strict=True)) == [edited(event, tombstones) for event in stay]
    same = pl.col("id", "site", "ts", "url", "visitor")
    taken = [any(is_taken(event, t) for t in tombstones) for event in events]
    assert left.select(same).equals(frame.filter(~pl.Series(taken)).select(same))
    assert [hit_of(value, tombstones) is not None for value in values] == taken
    assert applied(found, tombstones).equals(found)
