"""What clients may send, attacked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.client_event import ClientEvent, from_query, parse_batch, parse_body
from recount.errors import Refused
from recount.reasons import Reason


def reason_of(body: bytes) -> Reason:
    with pytest.raises(Refused) as refused:
        parse_body(body)
    return refused.value.reason


def one(**fields: Any) -> bytes:
    return orjson.dumps({"site": "shop", "url": "https://a.example/"} | fields)


def test_one_event_an_array_or_an_envelope() -> None:
    event = ClientEvent(site="shop", url="https://a.example/")
    single = parse_body(b" \n" + one())
    assert isinstance(single, ClientEvent)
    assert (single.site, single.url) == (event.site, event.url)
    assert parse_body(b"[" + one() + b"," + one() + b"]") == [event, event]
    assert parse_body(b'{"events":[' + one() + b"]}") == [event]
    assert parse_body(b"[]") == []
    assert parse_body(b'{"events":[]}') == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"site":"shop"} trailing',
        b'{"site":"\\ud800"}',
        b'{"unknown":"\\udc00"}',
        b'{"site":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"age_ms":NaN}',
        b'{"age_ms":Infinity}',
        b'{"props":{"x":-NaN}}',
        b'{"site":"a\nb"}',
        b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"[" * 50_000,
        b"[" + b'{"props":' * 50_000,
    ],
)
def test_what_is_no_json_is_bad_json(body: bytes) -> None:
    assert reason_of(body) is Reason.BAD_JSON


@pytest.mark.parametrize(
    "fields",
    [
        {"site": 5},
        {"site": "s" * 65},
        {"kind": "purchase"},
        {"kind": None},
        {"id": "i" * 65},
        {"name": "n" * 121},
        {"lang": "l" * 36},
        {"screen": "1" * 16},
        {"age_ms": "12"},
        {"age_ms": 2**63},
        {"props": []},
        {"props": {str(n): n for n in range(31)}},
        {"props": {"": 1}},
        {"props": {"n" * 65: 1}},
        {"props": {"n": "v" * 513}},
        {"props": {"n": 2**63}},
        {"props": {"n": None}},
        {"props": {"n": {"deep": 1}}},
        {"revenue": 5},
        {"revenue": {"amount": True}},
        {"revenue": {"amount": "1", "currency": "EURO"}},
        {"engaged_ms": -1},
        {"engaged_ms": 1.5},
        {"scroll_percent": 101},
        {"ts": -1},
        {"ts": 4_102_444_800_000},
        {"ip": "1" * 65},
        {"ua": "u" * 1001},
    ],
)
def test_wrong_shapes_are_bad_events(fields: dict[str, Any]) -> None:
    assert reason_of(orjson.dumps({"site": "shop"} | fields)) is Reason.BAD_EVENT


def test_huge_numbers_are_bad_events() -> None:
    assert reason_of(b'{"age_ms":1e999}') is Reason.BAD_EVENT
    assert reason_of(b'{"ts":' + b"9" * 5000 + b"}") in {Reason.BAD_EVENT, Reason.BAD_JSON}
    assert reason_of(b'{"props":{"n":123456789012345678901234567890}}') is Reason.BAD_EVENT


def test_the_last_of_duplicate_keys_counts() -> None:
    sent = parse_body(b'{"site":"other","site":"shop"}')
    assert isinstance(sent, ClientEvent)
    assert sent.site == "shop"


def test_a_batch_keeps_its_good_events() -> None:
    batch = parse_body(b"[" + one() + b',{"site":5},7,null,' + one(id="x") + b"]")
    assert isinstance(batch, list)
    assert [isinstance(sent, ClientEvent) for sent in batch] == [True, False, False, False, True]


def test_a_batch_is_bounded() -> None:
    with pytest.raises(Refused) as refused:
        parse_batch(b"[" + b"{}," * 500 + b"{}]", 500)
    assert refused.value.reason is Reason.TOO_MANY
    with pytest.raises(Refused) as refused:
        parse_batch(b"[" + b"5," * 500 + b"5]", 500)
    assert refused.value.reason is Reason.TOO_MANY


def test_one_event_is_bounded_closer_than_a_batch() -> None:
    assert reason_of(one(referrer="https://b.example/" + "x" * 65_536)) is Reason.TOO_LARGE


def test_a_query_string_gives_texts_for_numbers() -> None:
    sent = from_query({"site": "shop", "age_ms": "12", "scroll_percent": "50", "unknown": "x"})
    assert (sent.age_ms, sent.scroll_percent) == (12, 50)
    with pytest.raises(Refused):
        from_query({"age_ms": "soon"})
    with pytest.raises(Refused):
        from_query({"props": "{}"})


def outcome(body: bytes) -> Reason | None:
    """The reason of the refusal, None where it was taken."""
    try:
        parse_body(body)
    except Refused as refused:
        return refused.reason
    return None


@given(st.binary(max_size=200))
def test_any_bytes_give_an_event_or_a_reason(body: bytes) -> None:
    assert outcome(body) in {None, Reason.BAD_JSON, Reason.BAD_EVENT}


_NUMBERS = st.floats() | st.integers(-(2**63), 2**63)


@given(st.recursive(st.none() | st.booleans() | _NUMBERS | st.text(), st.lists, max_leaves=20))
def test_any_json_gives_an_event_or_a_reason(value: Any) -> None:
    assert outcome(orjson.dumps(value)) in {None, Reason.BAD_JSON, Reason.BAD_EVENT}
