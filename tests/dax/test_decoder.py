"""Any bytes give a value or a clean error; what is written is read back the same."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from amazondax import AttributeValueEncoder, LexDecimal
from amazondax.CborEncoder import DYNAMODB_CONTEXT
from amazondax.CborSExprGenerator import encode_expressions
from hypothesis import given, settings
from hypothesis import strategies as st

from dax.errors import Malformed, Refusal
from dax.wire import keys, numbers, paths, values
from dax.wire.cbor import Reader
from dax.wire.expressions import Expressions
from dax.wire.keys import KeyAttribute, Schema
from dax.wire.methods import read_options
from dax.wire.scanner import Scanner
from dax.wire.values import Value


def schema_of(hash_kind: str, sort_kind: str) -> Schema:
    kinds = (("h", hash_kind), ("s", sort_kind))
    return Schema(tuple(KeyAttribute(name, kind) for name, kind in kinds if kind))


SCHEMAS = {h + s: schema_of(h, s) for h in "SNB" for s in ("", "S", "N", "B")}
DECODERS: dict[str, Callable[[bytes], object]] = {
    "item": lambda data: Reader(data).item(),
    "value": lambda data: values.read(Reader(data)),
    "options": lambda data: read_options(Reader(data).item()),
    "condition": lambda data: Expressions().condition(data),
    "update": lambda data: Expressions().update(data),
    "projection": lambda data: paths.doubtful(paths.read_projection(data)),
    "compound_key": keys.read_compound,
    "lexical_decimal": numbers.from_sortable,
    "keys": lambda data: decoded_keys(data),
}

VALID = encode_expressions(
    "NOT (a = :a AND (b.#c[3] > :b OR size(d) < :a)) AND x IN (:a, :b) AND y BETWEEN :a AND :b",
    None,
    None,
    "SET a.b[1] = if_not_exists(c, :a) + :a, z = list_append(z, :a) REMOVE k ADD n :b DELETE s :a",
    "a, b.c[2]",
    {"#c": "cc"},
    {":a": {"N": "1.5"}, ":b": {"L": [{"SS": ["x"]}, {"M": {"y": {"NULL": True}}}, {"BS": [b"1"]}]}},
)
SEEDS = [VALID.Condition, VALID.Update, VALID.Projection, LexDecimal.encode(Decimal("-12.5"))]

digits = st.integers(-(10**38) + 1, 10**38 - 1)
number_texts = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.builds(lambda m, e: f"{m}E{e}", digits, st.integers(-130, 87)),
    st.builds(lambda m, e: str(Decimal(m).scaleb(-e)), st.integers(-(10**12), 10**12), st.integers(0, 12)),
)


def attribute_values(*, binary: Callable[[bytes], Any]) -> st.SearchStrategy[Value]:
    """Values in DynamoDB's form; `binary` makes what stands for bytes."""
    blobs = st.binary(max_size=300).map(binary)
    texts = st.text(max_size=40)
    leaves = st.one_of(
        st.builds(lambda x: {"S": x}, texts),
        st.builds(lambda x: {"N": x}, number_texts),
        st.builds(lambda x: {"B": x}, blobs),
        st.builds(lambda x: {"BOOL": x}, st.booleans()),
        st.just({"NULL": True}),
        st.builds(lambda x: {"SS": x}, st.lists(texts, min_size=1, max_size=4)),
        st.builds(lambda x: {"NS": x}, st.lists(number_texts, min_size=1, max_size=4)),
        st.builds(lambda x: {"BS": x}, st.lists(blobs, min_size=1, max_size=4)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda x: {"L": x}, st.lists(inner, max_size=5)),
            st.builds(lambda x: {"M": x}, st.dictionaries(texts, inner, max_size=5)),
        ),
        max_leaves=20,
    )


def json_form(data: bytes) -> str:
    return b64encode(data).decode()


def exact(value: Any) -> Any:
    """With numbers by value: there are many ways to write one."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    if kind == "NS":
        return kind, [Decimal(member) for member in content]
    if kind == "L":
        return kind, [exact(member) for member in content]
    if kind == "M":
        return kind, {name: exact(member) for name, member in content.items()}
    return kind, content


def decoded(decoder: str, data: bytes) -> None:
    with suppress(Malformed, Refusal):
        DECODERS[decoder](data)


def decoded_keys(data: bytes) -> None:
    for schema in SCHEMAS.values():
        with suppress(Malformed, Refusal):
            keys.read(data, schema)


@pytest.mark.parametrize("decoder", DECODERS)
@given(data=st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_give_a_value_or_a_clean_error(decoder: str, data: bytes) -> None:
    decoded(decoder, data)


@pytest.mark.parametrize("decoder", DECODERS)
@given(seed=st.sampled_from(SEEDS), at=st.integers(0, 400), new=st.binary(max_size=4), cut=st.integers(0, 5))
@settings(max_examples=200)
def test_damaged_messages_give_a_value_or_a_clean_error(
    decoder: str, seed: bytes, at: int, new: bytes, cut: int
) -> None:
    at %= len(seed) + 1
    decoded(decoder, seed[:at] + new + seed[at + cut :])


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "head", [b"\x81", b"\x9f", b"\xa1\x00", b"\xbf\x61a", b"\xc4", b"\xd9\x0c\xf9\x81", b"\x5f"]
)
def test_nesting_without_end_is_a_clean_error(decoder: str, head: bytes) -> None:
    decoded(decoder, head * 100_000)
    for operator in (b"\x82\x08", b"\x83\x06", b"\x83\x19"):
        decoded(decoder, b"\x83\x01" + operator * 100_000)


@given(attribute_values(binary=json_form))
@settings(max_examples=300)
def test_what_is_written_is_read_back(value: Value) -> None:
    reader = Reader(values.encoded(value))
    assert exact(values.read(reader)) == exact(value)
    assert reader.ended


@given(attribute_values(binary=bytes))
@settings(max_examples=300)
def test_what_the_client_writes_is_read(value: Value) -> None:
    def in_json(found: Any) -> Any:
        if isinstance(found, bytes):
            return json_form(found)
        if isinstance(found, list):
            return [in_json(member) for member in found]
        return {k: in_json(v) for k, v in found.items()} if isinstance(found, dict) else found

    read = values.read(Reader(AttributeValueEncoder.encode_attribute_value(value)))
    assert exact(read) == exact(in_json(value))


@given(number_texts)
def test_lexical_decimals_are_those_of_the_client(text: str) -> None:
    found = numbers.sortable(text)
    as_sent = DYNAMODB_CONTEXT.create_decimal(text)
    assert found == LexDecimal.encode(as_sent.normalize(DYNAMODB_CONTEXT))
    assert Decimal(numbers.from_sortable(found)) == Decimal(text)
    assert Decimal(numbers.from_sortable(LexDecimal.encode(as_sent))) == Decimal(text)


@given(number_texts, number_texts)
def test_lexical_decimals_sort_as_numbers_do(one: str, other: str) -> None:
    assert (numbers.sortable(one) < numbers.sortable(other)) == (Decimal(one) < Decimal(other))


@given(st.sampled_from("SNB"), st.sampled_from(("", "S", "N", "B")), st.data())
def test_keys_are_read_back(hash_kind: str, sort_kind: str, draw: st.DataObject) -> None:
    made = {
        "S": st.text(min_size=1, max_size=30),
        "N": number_texts,
        "B": st.binary(min_size=1, max_size=30).map(json_form),
    }
    schema = SCHEMAS[hash_kind + sort_kind]
    key = {a.name: {a.kind: draw.draw(made[a.kind])} for a in schema.attributes}
    encoded = keys.encoded(key, schema)
    read = keys.read(encoded, schema)
    assert {n: exact(v) for n, v in read.items()} == {n: exact(v) for n, v in key.items()}
    assert keys.encoded(read, schema) == encoded


def passes(scanner: Scanner, pieces: list[bytes], items: int) -> tuple[bool, int]:
    buffer = bytearray()
    scanner.ask(items)
    done = False
    for piece in pieces:
        buffer += piece
        done = scanner.advance(buffer)
        if done:
            break
    return done, scanner.at


@given(
    st.lists(attribute_values(binary=json_form), min_size=1, max_size=4),
    st.binary(max_size=20),
    st.lists(st.integers(1, 40), max_size=30),
)
def test_the_end_of_a_message_is_found_however_it_is_cut(
    found: list[Value], behind: bytes, cuts: list[int]
) -> None:
    message = b"".join(map(values.encoded, found))
    stream, pieces = message + behind, []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    scanner = Scanner(bytes_max=1 << 20, items_max=1 << 20)
    assert passes(scanner, [*pieces, stream], len(found)) == (True, len(message))


@given(st.binary(max_size=300), st.integers(1, 9))
@settings(max_examples=500)
def test_the_scanner_takes_any_bytes(data: bytes, items: int) -> None:
    scanner = Scanner(bytes_max=10_000, items_max=1_000)
    try:
        done, end = passes(scanner, [data[:7], data[7:]], items)
    except Malformed:
        return
    assert 0 <= end <= len(data)
    if done:
        reader = Reader(data[:end])
        try:
            for _ in range(items):
                reader.item()
        except Malformed:
            return  # the scanner looks at the frame only
        assert reader.ended


@given(
    st.lists(st.sampled_from(["a", "b", "a.b", "a[0]", "a[1].b", "b[0]", "a.b.c"]), min_size=1, max_size=4)
)
def test_projections_of_the_client(texts: list[str]) -> None:
    encoded = encode_expressions(None, None, None, None, ", ".join(texts), {}, {}).Projection
    text = Expressions().projection(paths.read_projection(encoded))
    shorts: dict[str, str] = {}

    def short(letter: str) -> str:
        return shorts.setdefault(letter, f"#n{len(shorts)}") if letter in "abc" else letter

    expected = ["".join(map(short, path)) for path in texts]
    assert text == ", ".join(expected)
