"""Requests that are well framed and make no sense: the node answers each, and none makes it fail inside."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dax.wire import answers, values
from dax.wire.methods import METHODS
from tests.dax.running import RunningNode
from tests.dax.test_decoder import SEEDS, attribute_values, json_form
from tests.dax.wire import data, opened, text

TABLE = b"TABLE"

blobs = st.one_of(
    st.just(TABLE),
    st.sampled_from(SEEDS),
    st.binary(max_size=20),
    attribute_values(binary=json_form).map(values.encoded),
    st.builds(lambda n, v: answers.number(n) + v, st.just(1), st.binary(max_size=3)),
)
leaves = st.one_of(
    blobs.map(data),
    st.integers(-3, 30).map(answers.number),
    st.sampled_from([b"\xf4", b"\xf5", b"\xf6", b"\xfb" + bytes(8), text("token"), text("TABLE"), text("")]),
)


def array(members: list[bytes]) -> bytes:
    out = bytearray()
    answers.array(out, members)
    return bytes(out)


def mapping(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return bytes((0xA0 | len(pairs),)) + b"".join(key + value for key, value in pairs)


options = st.lists(st.tuples(st.integers(0, 20).map(answers.number), leaves), max_size=4).map(mapping)
items = st.recursive(
    st.one_of(leaves, options),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(array),
        st.lists(st.tuples(leaves, inner), max_size=3).map(mapping),
        st.tuples(st.just(text("TABLE")), inner).map(lambda pair: mapping([pair])),
    ),
    max_leaves=8,
)


# A client's threads, still there from other tests, draw their pauses from `random` meanwhile.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@given(number=st.sampled_from(sorted(METHODS)), draw=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_request_is_answered(
    node: RunningNode, table_pairs: tuple[dict[str, str], dict[str, str]], number: int, draw: st.DataObject
) -> None:
    name = table_pairs[0]["ss"].encode()
    method = METHODS[number]
    arguments = [draw.draw(st.one_of(items, options, st.just(data(TABLE)))) for _ in range(method.arguments)]
    whole = b"".join(arguments).replace(data(TABLE), data(name)).replace(text("TABLE"), text(name.decode()))
    with opened(node.server.port) as wire:
        wire.send(b"\x01" + answers.number(number) + whole + b"\x01" + answers.number(455855874))
        if method.name != "authorizeConnection":
            (envelope, *found) = wire.read(0)
            if envelope:
                assert "the node failed" not in found[0]
