"""Messages of the protocol made by hand, and a socket to send them over."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from dax.errors import Malformed
from dax.wire import answers, cbor
from dax.wire.cbor import Reader

WAIT_S: Final = 20.0
NO_OPTIONS: Final = b"\xbf\x03\x00\xff"
NUMBERS: Final = {
    "authorize": 1489122155,
    "endpoints": 455855874,
    "defineKeySchema": -742646399,
    "defineAttributeListId": -1230579644,
    "defineAttributeList": 670678385,
    "getItem": 263244906,
    "putItem": -2106490455,
}


def text(value: str) -> bytes:
    out = bytearray()
    cbor.text(out, value)
    return bytes(out)


def data(value: bytes) -> bytes:
    return answers.as_data(value)


OPENING: Final = text("J7yne5G") + b"\x00\xf6\xa1" + text("UserAgent") + text("test") + b"\x00"
AUTHORIZE: Final = b"\x01" + answers.number(NUMBERS["authorize"]) + 2 * text("x") + data(b"x") + b"\xf6\xf6"


def request(method: str, *arguments: bytes) -> bytes:
    return b"\x01" + answers.number(NUMBERS[method]) + b"".join(arguments)


def get_item(table: str, key: bytes, options: bytes = NO_OPTIONS) -> bytes:
    return request("getItem", data(table.encode()), data(key), options)


class Wire:
    """One connection; `read` gives whole answers."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._pending = b""

    def send(self, message: bytes) -> None:
        self.socket.sendall(message)

    def read(self, items: int = 1) -> list[Any]:
        """The envelope of the next answer, and so many items after it; for an error its three parts."""
        while True:
            reader = Reader(self._pending)
            try:
                envelope = reader.item()
                found = [envelope] + [reader.item() for _ in range(2 if envelope else items)]
            except Malformed:
                received = self.socket.recv(65_536)
                if not received:
                    raise EOFError from None
                self._pending += received
                continue
            self._pending = reader.rest()
            return found

    def is_closed(self) -> bool:
        """Whether the node closes the connection with nothing more to say."""
        try:
            return self._pending == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def connected(port: int, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """A connection on which nothing has been sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
        if context is None:
            yield Wire(plain)
        else:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                yield Wire(secure)


@contextmanager
def opened(port: int) -> Iterator[Wire]:
    with connected(port) as wire:
        wire.send(OPENING)
        yield wire
