"""Kafka values to columns: exact on good events, and only the bad ones are put aside."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recount.columns import PoisonReason, decode, drop_repeats, fault, positions
from recount.event import EVENT_SCHEMA, FACTS_SCHEMA, RawEvent, Revenue, encode
from tests.made import event, value


def decoded(*values: bytes) -> tuple[pl.DataFrame, list[tuple[int, PoisonReason]]]:
    found = decode(values, positions("events", 3, range(100, 100 + len(values))))
    return found.events, found.poison


def test_every_field_reaches_its_column() -> None:
    full = value(
        kind="event",
        name="buy",
        url="https://e.com/ä?x=1",
        referrer="https://r.com/",
        ua="UA",
        lang="de-DE",
        screen="390x844",
        country="DE",
        region="BE",
        network="residential",
        props={"plan": "a", "n": 3, "ok": True, "x": 1.5},
        revenue=Revenue("12.50", "EUR"),
        engaged_ms=10,
        scroll_percent=100,
        ts_clamped=True,
    )
    events, poison = decoded(full)
    assert poison == []
    assert events.schema == EVENT_SCHEMA
    row = events.row(0, named=True)
    assert (row["topic"], row["partition"], row["offset"]) == ("events", 3, 100)
    assert row["visitor"] == 0x00FF00FF00FF00FF
    assert json.loads(row["props"]) == {"plan": "a", "n": 3, "ok": True, "x": 1.5}
    assert (row["revenue_amount"], row["revenue_currency"]) == ("12.50", "EUR")
    assert (row["url"], row["scroll_percent"], row["ts_clamped"]) == ("https://e.com/ä?x=1", 100, True)
    assert [name for name, cell in row.items() if cell is None] == ["extra"]


def test_absent_fields_are_null_and_the_flag_is_false() -> None:
    events, _ = decoded(value())
    row = events.row(0, named=True)
    assert row["ts_clamped"] is False
    assert {row[n] for n in ("name", "url", "props", "revenue_amount", "engaged_ms", "extra")} == {None}


def test_no_values_make_an_empty_frame() -> None:
    events, poison = decoded()
    assert (events.schema, events.height, poison) == (EVENT_SCHEMA, 0, [])


def test_fields_of_a_later_version_are_kept() -> None:
    later = json.loads(value()) | {"mood": {"a": [1, None]}, "n": 1}
    events, poison = decoded(value(id="before"), json.dumps(later).encode(), value(id="after"))
    assert poison == []
    assert events["id"].to_list() == ["before", "e1", "after"]
    assert events["extra"][0] is None
    assert json.loads(events["extra"][1]) == {"mood": {"a": [1, None]}, "n": 1}


BAD = {
    b"": PoisonReason.BAD_JSON,
    b"{": PoisonReason.BAD_JSON,
    b"\xff\xfe": PoisonReason.BAD_JSON,
    value() + b",{}": PoisonReason.BAD_JSON,
    b"[]": PoisonReason.NOT_AN_OBJECT,
    b"null": PoisonReason.NOT_AN_OBJECT,
    b"{}": PoisonReason.UNKNOWN_VERSION,
    value(v=2): PoisonReason.UNKNOWN_VERSION,
    b'{"v":"1"}': PoisonReason.UNKNOWN_VERSION,
    b'{"v":1}': PoisonReason.WRONG_TYPE,
    value(seq="7"): PoisonReason.WRONG_TYPE,
    value(seq=-1): PoisonReason.WRONG_TYPE,
    value(ts=1.5): PoisonReason.WRONG_TYPE,
    value(ts=10**15): PoisonReason.WRONG_TYPE,
    value(kind="other"): PoisonReason.WRONG_TYPE,
    value(site=None): PoisonReason.WRONG_TYPE,
    value(visitor="00ff"): PoisonReason.WRONG_TYPE,
    value(visitor="00ff 0ff00ff00ff"): PoisonReason.WRONG_TYPE,
    value(visitor="zzzzzzzzzzzzzzzz"): PoisonReason.WRONG_TYPE,
    value(props=[1]): PoisonReason.WRONG_TYPE,
    value(props={"a": {"b": 1}}): PoisonReason.WRONG_TYPE,
    value(revenue={"amount": 1, "currency": "EUR"}): PoisonReason.WRONG_TYPE,
    value(scroll_percent=101): PoisonReason.WRONG_TYPE,
    value(engaged_ms=2**63): PoisonReason.WRONG_TYPE,
}


@pytest.mark.parametrize(("bad", "reason"), BAD.items())
def test_a_bad_record_is_put_aside_with_its_reason(bad: bytes, reason: PoisonReason) -> None:
    events, poison = decoded(value(id="a"), bad, value(id="c"))
    assert poison == [(1, reason)]
    assert events["id"].to_list() == ["a", "c"]
    assert events["offset"].to_list() == [100, 102]


def test_a_batch_of_nothing_but_poison() -> None:
    events, poison = decoded(b"x", b"y")
    assert (events.schema, events.height, len(poison)) == (EVENT_SCHEMA, 0, 2)


def test_records_that_only_make_sense_joined_do_not() -> None:
    events, poison = decoded(b'{"props":{"a":1', b'"b":2}}', value())
    assert [index for index, _ in poison] == [0, 1]
    assert events.height == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALAR = TEXT | st.booleans() | st.integers(-(2**53), 2**53)


@given(
    st.lists(
        st.builds(
            event,
            id=TEXT,
            seq=st.integers(0, 2**53 - 1),
            ts=st.integers(0, 4_102_444_799_999),
            kind=st.sampled_from(["pageview", "event", "engagement"]),
            visitor=st.integers(0, 2**64 - 1).map("{:016x}".format),
            url=st.none() | TEXT,
            props=st.none() | st.dictionaries(TEXT, SCALAR, max_size=3),
            revenue=st.none() | st.just(Revenue("1.00", "EUR")),
            engaged_ms=st.none() | st.integers(0, 2**53 - 1),
        ),
        max_size=5,
    )
)
def test_what_was_encoded_is_what_is_read(events: list[RawEvent]) -> None:
    found, poison = decoded(*map(encode, events))
    assert poison == []
    assert set(found.columns) == {*FACTS_SCHEMA, "topic", "partition", "offset"}
    for given_event, row in zip(events, found.iter_rows(named=True), strict=True):
        assert f"{row['visitor']:016x}" == given_event.visitor
        assert (json.loads(row["props"]) if row["props"] else None) == (given_event.props or None)
        for name in ("id", "seq", "ts", "kind", "url", "engaged_ms"):
            assert row[name] == getattr(given_event, name)


def test_repeats_are_dropped_by_topic_partition_and_offset() -> None:
    one, _ = decoded(value(id="a"), value(id="a"))
    other = one.with_columns(pl.lit("imports").alias("topic"))
    assert drop_repeats(pl.concat([one, one, other])).height == 4


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b'{"v":1,', "truncated"),
        (b"[1]", "Expected `object`"),
        (value(v=2), "`v` is 2, this version reads 1"),
        (value(visitor="no hex at all"), "`visitor` is not 16 hex digits"),
        (value().replace(b'"seq":7', b'"seq":"7"'), "Expected `int`, got `str` - at `$.seq`"),
    ],
)
def test_a_fault_is_told_in_detail(bad: bytes, said: str) -> None:
    found = fault(bad)
    assert found is not None
    assert said in found.detail


def test_a_good_record_has_no_fault() -> None:
    assert fault(value()) is None
