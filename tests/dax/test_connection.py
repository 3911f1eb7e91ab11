"""The node on the wire: openings, limits, and clients that do not keep to the protocol."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest

from dax.connection import Hub
from dax.wire.cbor import Reader
from tests.dax.running import RunningNode
from tests.dax.wire import AUTHORIZE, OPENING, connected, data, get_item, opened, request, text

Own = Callable[..., RunningNode]
BIG = 1 << 40


@pytest.fixture
def table(table_pairs: tuple[dict[str, str], dict[str, str]], direct: Any) -> str:
    """A table whose items `known` and `other` are there."""
    name = table_pairs[0]["s"]
    for key in ("known", "other"):
        direct.put_item(TableName=name, Item={"pk": {"S": key}, "v": {"S": key}})
    return name


def answer(found: list[Any]) -> bytes:
    """The value in the answer to a GetItem: the last text in the item's bytes."""
    envelope, body = found
    assert envelope == []
    item: bytes = body[0]
    return item[-5:]


def test_endpoints_are_where_the_client_is_connected(node: RunningNode) -> None:
    with opened(node.server.port) as wire:
        wire.send(request("endpoints"))
        _, (endpoint,) = wire.read()
    assert endpoint[2] == socket.inet_aton("127.0.0.1")
    assert endpoint[3] == node.server.port
    assert endpoint[4] == 1


def test_an_address_to_tell_clients(own_node: Own) -> None:
    own = own_node(advertise="localhost:9111")
    with opened(own.server.port) as wire:
        wire.send(request("endpoints"))
        _, (endpoint,) = wire.read()
    assert (endpoint[2], endpoint[3]) == (socket.inet_aton("127.0.0.1"), 9111)


def test_endpoints_are_of_the_family_that_the_client_uses(node: RunningNode) -> None:
    hub = Hub(node.server.node, {int(socket.AF_INET): (socket.inet_aton("10.0.0.1"), 1)})
    for address in ("::1", "fe80::1%lo"):
        _, (endpoint,) = read_all(hub.endpoints((address, 8111, 0, 0)))
        assert endpoint[2] == ipaddress.ip_address(address.partition("%")[0]).packed
        assert endpoint[3] == 8111
    _, (endpoint,) = read_all(hub.endpoints(("127.0.0.1", 8111)))
    assert (endpoint[2], endpoint[3]) == (socket.inet_aton("10.0.0.1"), 1)


def read_all(answer: bytes) -> list[Any]:
    reader, found = Reader(answer), []
    while not reader.ended:
        found.append(reader.item())
    return found


def test_authorization_has_no_answer(node: RunningNode, table: str) -> None:
    with opened(node.server.port) as wire:
        wire.send(AUTHORIZE + get_item(table, b"known"))
        assert answer(wire.read()) == b"known"
        wire.send(get_item(table, b"known") + AUTHORIZE + get_item(table, b"other"))
        assert [answer(wire.read()), answer(wire.read())] == [b"known", b"other"]


def test_requests_that_come_together_are_answered_in_order(node: RunningNode, table: str) -> None:
    keys = [b"known", b"other"] * 50
    with opened(node.server.port) as wire:
        wire.send(b"".join(get_item(table, key) for key in keys))
        assert [answer(wire.read()) for _ in keys] == keys


def test_a_request_may_come_in_pieces(node: RunningNode, table: str) -> None:
    message = OPENING + get_item(table, b"known")
    for cut in range(1, len(message)):
        with connected(node.server.port) as wire:
            wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.send(message[:cut])
            wire.send(message[cut:])
            assert answer(wire.read()) == b"known"


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        text("J7yne5H") + OPENING[8:],
        OPENING[:8] + b"\x01" + OPENING[9:],
        b"\x00\x00\x00\x00\x00",
        b"\xff" * 20,
        b"\x1c" * 20,
    ],
    ids=["http", "other_magic", "layering", "zeros", "breaks", "reserved"],
)
def test_what_does_not_open_as_the_protocol_does_is_closed(node: RunningNode, opening: bytes) -> None:
    with connected(node.server.port) as wire:
        wire.send(opening)
        envelope, message, (_, code, status) = wire.read()
        assert (envelope[0], code, status) == (3, "ValidationException", 400)
        assert "not a request of the DAX protocol" in message
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"\x01\x18\x2a", "does not know method 42"),
        (b"\x02\x18\x2a", "does not know method 42 of service 2"),
        (b"\x01\x80", "does not know method"),
        (request("getItem", data(b"t"), b"\x81" * 200), "nested deeper"),
        (request("getItem", b"\x5b" + BIG.to_bytes(8, "big")), "larger than"),
        (request("getItem", b"\x9b" + BIG.to_bytes(8, "big")), "more than"),
        (request("getItem", b"\xbb" + BIG.to_bytes(8, "big")), "more than"),
        (request("getItem", b"\x9f" + b"\x00" * 600_000), "more than"),
        (request("getItem", data(b"t"), data(b"k"), b"\xff"), "break"),
        (request("getItem", b"\x62\xff\xff", data(b"k"), b"\xf6"), "not UTF-8"),
    ],
    ids=["method", "service", "no_number", "deep", "long", "wide", "wide_map", "endless", "break", "utf8"],
)
def test_what_cannot_be_a_request_is_answered_and_closed(
    node: RunningNode, message: bytes, words: str
) -> None:
    with opened(node.server.port) as wire:
        wire.send(message)
        _, said, (_, code, _) = wire.read()
        assert (words in said, code) == (True, "ValidationException")
        assert wire.is_closed()


@pytest.mark.parametrize(
    "bad",
    [
        request("getItem", b"\x05", data(b"k"), b"\xf6"),
        request("getItem", data(b"TABLE"), data(b"\xff\xfe"), b"\xf6"),
        request("getItem", data(b"TABLE"), data(b"known"), b"\xa1\x00" + data(b"\x83\x01")),
        request("getItem", data(b"TABLE"), data(b"known"), b"\xa1\x03\x09"),
        request("getItem", data(b"TABLE"), data(b"known"), b"\xa1\x18\x63\x01"),
        request("putItem", data(b"TABLE"), data(b"known"), data(b"\x18"), b"\xf6"),
        request("putItem", data(b"TABLE"), data(b"known"), data(b"\x1a\x00\x01\x00\x00"), b"\xf6"),
        request("putItem", data(b"TABLE"), data(b"known"), data(b"\x01\x01"), b"\xf6"),
        request("defineAttributeList", b"\x1a\x00\x01\x00\x00"),
        request("defineAttributeListId", b"\x81\x01"),
    ],
)
def test_a_bad_part_of_a_whole_request_leaves_the_connection(
    node: RunningNode, table: str, bad: bytes
) -> None:
    name = data(table.encode())
    with opened(node.server.port) as wire:
        wire.send(bad.replace(data(b"TABLE"), name))
        envelope, _, (_, code, status) = wire.read()
        assert (envelope[0], code, status) == (3, "ValidationException", 400)
        wire.send(get_item(table, b"known"))
        assert answer(wire.read()) == b"known"


def test_a_request_that_does_not_end_is_given_up(own_node: Own) -> None:
    own = own_node(request_timeout_s=0.2)
    with opened(own.server.port) as wire:
        wire.send(request("getItem", data(b"t"))[:-1])
        assert wire.is_closed()
    with connected(own.server.port) as silent:
        assert silent.is_closed()


def test_a_client_that_is_open_may_be_silent(own_node: Own, table: str) -> None:
    own = own_node(request_timeout_s=0.2)
    with opened(own.server.port) as quiet, connected(own.server.port) as silent:
        assert silent.is_closed()  # so much time has passed
        quiet.send(get_item(table, b"known"))
        assert answer(quiet.read()) == b"known"


def test_connections_past_the_limit_are_closed(own_node: Own) -> None:
    own = own_node(connections_max=2)
    with opened(own.server.port) as first, opened(own.server.port) as second:
        for wire in (first, second):
            wire.send(request("endpoints"))
            wire.read()
        with opened(own.server.port) as third:
            assert third.is_closed()
        assert own.server.node.stats.connections_refused == 1
        first.send(request("endpoints"))
        first.read()


def test_a_client_that_does_not_read_is_not_read_either(own_node: Own, table: str, direct: Any) -> None:
    direct.put_item(TableName=table, Item={"pk": {"S": "large"}, "v": {"B": bytes(300_000)}})
    own = own_node()
    with opened(own.server.port) as wire:
        wire.send(get_item(table, b"large"))
        wire.read()
        wire.socket.settimeout(1.0)
        with pytest.raises(TimeoutError):
            wire.send(get_item(table, b"large") * 500_000)
        (connection,) = own.server.hub.connections
        assert connection._transport.get_write_buffer_size() < 2_000_000
