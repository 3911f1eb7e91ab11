"""One client's connection: bytes in, bytes out.

One request at a time is answered, in order, as the protocol has it. A plain read of an item that is cached is
answered at once from the bytes of the request, without decoding them: those of the table and the key are what
the cache is keyed by, and the entry is the answer.
"""

from __future__ import annotations

import asyncio
import enum
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import structlog

from dax import dispatch
from dax.errors import Malformed, Refusal
from dax.node import Node
from dax.operations import control
from dax.wire import answers
from dax.wire.cbor import Reader
from dax.wire.methods import AUTHORIZE, GET_ITEM_NUMBER, METHODS, SERVICE, Method
from dax.wire.scanner import Scanner

_MAGIC: Final = b"\x67J7yne5G"  # a CBOR text
OPENING_ITEMS: Final = 5
AHEAD_MAX_BYTES: Final = 65_536
"""How much may wait behind the request that is being answered."""

_GET_START: Final = answers.number(SERVICE) + answers.number(GET_ITEM_NUMBER)
# All ways to write options that change nothing: null, {}, capacity NONE, not consistent, both.
_PLAIN: Final = frozenset(
    map(
        bytes.fromhex,
        ("f6", "a0", "bfff", "bf0300ff", "a10300", "bf02f4ff", "a102f4", "bf02f40300ff", "a202f40300"),
    )
)

_log = structlog.get_logger()


class _Phase(enum.Enum):
    OPENING = 1
    METHOD = 2
    ARGUMENTS = 3


class Hub:
    """What all connections of a node share."""

    def __init__(self, node: Node, advertised: Mapping[int, tuple[bytes, int]]) -> None:
        """`advertised`: packed address and port by address family, where not what clients connect to."""
        self.node = node
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._advertised = advertised
        self.gets = node.stats.request("GetItem")
        self.waiting_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether requests of clients that have gone take all places."""
        return len(self.tasks) >= 2 * self.node.settings.connections_max

    def endpoints(self, sockname: tuple[Any, ...]) -> bytes:
        """The address to connect to, in the family of the connection that asks."""
        address = ipaddress.ip_address(str(sockname[0]).partition("%")[0])
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        packed, port = self._advertised.get(family, (address.packed, int(sockname[1])))
        return control.endpoints(packed, port)


class Connection(asyncio.Protocol):
    """From the opening to the end."""

    def __init__(self, hub: Hub) -> None:
        settings = hub.node.settings
        self._hub = hub
        self._node = hub.node
        self._items = hub.node.items
        self._buffer = bytearray()
        self._scanner = Scanner(bytes_max=settings.request_max_bytes, items_max=settings.request_max_items)
        self._scanner.ask(OPENING_ITEMS)
        self._phase = _Phase.OPENING
        self._method: Method = AUTHORIZE
        self._answering = False
        self._blocked = False
        self._counted_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        hub = self._hub
        if len(hub.connections) >= hub.node.settings.connections_max:
            hub.node.stats.connections_refused += 1
            self._transport.abort()
            return
        hub.connections.add(self)
        hub.node.stats.connections = len(hub.connections)
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._await_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.connections.discard(self)
        self._buffer.clear()
        self._count_waiting()
        self._node.stats.connections = len(self._hub.connections)
        self._received_all()

    def data_received(self, data: bytes) -> None:
        if not self._buffer and not self._answering and not self._blocked and data.startswith(_GET_START):
            started = time.perf_counter()
            answer = self._cached(data)
            if answer is not None:
                self._transport.write(answer)
                self._hub.gets.observe(time.perf_counter() - started)
                return
        self._buffer += data
        if self._answering and len(self._buffer) > AHEAD_MAX_BYTES:
            self._transport.pause_reading()
        self._advance()

    def pause_writing(self) -> None:
        self._blocked = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    def close(self) -> None:
        self._transport.close()

    def _cached(self, data: bytes) -> bytes | None:
        """The answer to a plain GetItem of a cached item, if that is what these bytes are."""
        if self._phase is not _Phase.METHOD:
            return None
        start = len(_GET_START)
        try:
            end = _after_string(data, _after_string(data, start))
        except IndexError:
            return None
        if not end or data[end:] not in _PLAIN:
            return None
        entry = self._items.hit(data[start:end])
        return None if entry is None else entry.answer

    def _advance(self) -> None:
        try:
            if self._phase is _Phase.OPENING and not self._buffer.startswith(_MAGIC[: len(self._buffer)]):
                raise Malformed("the connection does not open as the DAX protocol does")
            while not self._answering and not self._blocked and not self._transport.is_closing():
                if not self._scanner.advance(self._buffer):
                    self._await_rest()
                    break
                self._step()
            self._count_waiting()
        except (Malformed, Refusal) as error:
            _log.warning("connection closed", reason=str(error))
            self._transport.write(dispatch.failed(self._node, self._method.name, error))
            self._transport.close()

    def _step(self) -> None:
        """What was asked for has come."""
        if self._phase is _Phase.OPENING:
            _check_opening(Reader(self._taken()))
        elif self._phase is _Phase.METHOD:
            self._method = _method(Reader(bytes(self._buffer[: self._scanner.at])))
            self._phase = _Phase.ARGUMENTS
            self._scanner.ask(self._method.arguments)
            return
        else:
            self._request(self._taken())
        self._phase = _Phase.METHOD
        self._scanner.ask(2)

    def _taken(self) -> bytes:
        """The whole message, which leaves the buffer."""
        self._received_all()
        end = self._scanner.at
        message = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanner.begin()
        return message

    def _request(self, message: bytes) -> None:
        if self._method is AUTHORIZE:
            return  # nobody is turned away, and no answer is expected
        reader = Reader(message)
        arguments = [reader.item() for _ in range(2 + self._method.arguments)][2:]
        if self._method.name == "endpoints":
            self._transport.write(self._hub.endpoints(self._transport.get_extra_info("sockname")))
            return
        if self._hub.is_full:
            raise Refusal("ThrottlingException", "too many requests are under way")
        self._answering = True
        task = asyncio.get_running_loop().create_task(self._answer(self._method.name, arguments))
        self._hub.tasks.add(task)
        task.add_done_callback(self._hub.tasks.discard)

    async def _answer(self, method: str, arguments: Sequence[Any]) -> None:
        answer = await dispatch.answer(self._node, method, arguments)
        self._answering = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._transport.write(answer)  # which may pause it again
            self._advance()

    def _count_waiting(self) -> None:
        self._hub.waiting_bytes += len(self._buffer) - self._counted_bytes
        self._counted_bytes = len(self._buffer)
        if self._hub.waiting_bytes > self._node.settings.requests_max_bytes and self._buffer:
            raise Refusal("ThrottlingException", "too much is being sent to this node at once")

    def _await_rest(self) -> None:
        if self._deadline is None and (self._buffer or self._phase is _Phase.OPENING):
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._node.settings.request_timeout_s, self._transport.abort)

    def _received_all(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _after_string(data: bytes, at: int) -> int:
    """Where a byte string that starts here ends; 0 if none does, or a long one. IndexError at the end."""
    head = data[at]
    if 0x40 <= head < 0x58:
        return at + 1 + head - 0x40
    if head == 0x58:
        return at + 2 + data[at + 1]
    if head == 0x59:
        return at + 3 + (data[at + 1] << 8) + data[at + 2]
    return 0


def _check_opening(reader: Reader) -> None:
    _, layering, session, agent, types = (reader.item() for _ in range(OPENING_ITEMS))
    if layering != 0 or types != 0:
        raise Malformed("the connection wants layers or types, which are not known here")
    if not isinstance(session, bytes | None) or not isinstance(agent, dict | None):
        raise Malformed("the connection opens with a session or an agent of a wrong type")


def _method(reader: Reader) -> Method:
    service, number = reader.item(), reader.item()
    found = METHODS.get(number) if service == SERVICE and type(number) is int else None
    if found is None:
        raise Refusal.invalid(f"this node does not know method {number!r} of service {service!r}")
    return found
