"""The connection of one request, found by its other end: granian says nothing of it.

An answer of unknown length ends like a whole one even where its making fails, and granian keeps in memory
what the receiver has not taken yet. Both are mended at the socket itself.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import socket
import termios
from contextlib import suppress
from typing import Final

_DESCRIPTORS: Final = "/dev/fd"
WAITING_MAX_BYTES: Final = 64 * 1024
LOOK_EVERY_S: Final = 0.005


class Connection:
    """A second handle of the socket. Where the socket cannot be found, nothing is known and nothing done."""

    def __init__(self, client: str) -> None:
        """`client`: the address of the other end, `host:port`."""
        host, _, port = client.rpartition(":")
        self._socket = _found(host.strip("[]"), int(port)) if port.isdigit() else None

    async def drained(self) -> None:
        """Returns once nearly all that was sent has been taken."""
        while self._waiting_bytes() > WAITING_MAX_BYTES:
            await asyncio.sleep(LOOK_EVERY_S)

    def cut(self) -> None:
        """End the connection at once, so that the receiver knows that something is missing."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _waiting_bytes(self) -> int:
        """Bytes in the system's buffer that the other end has not confirmed."""
        if self._socket is None:
            return 0
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(self._socket, termios.TIOCOUTQ, waiting)
        except OSError:
            return 0
        return waiting[0]


def _found(host: str, port: int) -> socket.socket | None:
    for name in os.listdir(_DESCRIPTORS):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with suppress(OSError):
            if one.getpeername()[:2] == (host, port):
                return one
        one.close()
    return None
