"""Answers sent part by part: paced by who takes them, and cut where making them fails."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dashboard_svc import connection
from dashboard_svc.bridge import UNBUFFERED, Answer, Bridge
from dashboard_svc.connection import Connection
from dashboard_svc.parts import PartSender
from tests.unit.dashboard.test_bridge import FakeScope, Sent


class Parts:
    """Some parts, then an error if one is given."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self.left, self.error, self.closed = list(parts), error, 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.left:
            return self.left.pop(0)
        raise self.error or StopIteration

    def close(self) -> None:
        self.closed += 1


@dataclass
class Wire:
    """One end of a real connection as granian would hold it, and the other end."""

    sent: list[bytes] = field(default_factory=list)

    def response_stream(self, status: int, headers: Any) -> Wire:
        return self

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = socket.create_connection(server.getsockname())
        sender, _ = server.accept()
        with receiver, sender:
            yield sender, receiver


def client_of(sender: socket.socket) -> str:
    host, port = sender.getpeername()
    return f"{host}:{port}"


def send(parts: Parts, client: str = "") -> Wire:
    wire = Wire()

    async def sent() -> None:
        sender = PartSender(1)
        await sender.send(Answer(200, [], b"", parts), FakeScope(client=client), wire)
        sender.close()

    asyncio.run(sent())
    return wire


def test_parts_are_sent_and_closed() -> None:
    parts = Parts(b"a", b"", b"b")
    assert send(parts).sent == [b"a", b"b"]
    assert parts.closed == 1


def test_a_part_that_cannot_be_made_cuts_the_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = ends
    parts = Parts(b"a", error=OSError("the disk is gone"))
    assert send(parts, client_of(sender)).sent == [b"a"]
    receiver.settimeout(30)
    assert receiver.recv(1) == b""  # closed, without the end of a chunked body
    assert parts.closed == 1


def test_a_whole_answer_cuts_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = ends
    send(Parts(b"a"), client_of(sender))
    sender.sendall(b"next")
    receiver.settimeout(30)
    assert receiver.recv(4) == b"next"


def test_who_does_not_read_is_waited_for(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.001)
    sender, receiver = ends
    sender.setblocking(False)
    filled = 0
    while True:
        try:
            filled += sender.send(b"x" * 65_536)
        except BlockingIOError:
            break

    def read() -> None:
        left = filled
        while left:
            left -= len(receiver.recv(left))

    async def drained() -> bool:
        one = Connection(client_of(sender))
        waiting = asyncio.ensure_future(one.drained())
        await asyncio.sleep(0.05)
        early = waiting.done()
        threading.Thread(target=read).start()
        await asyncio.wait_for(waiting, 60)
        one.close()
        return early

    assert asyncio.run(drained()) is False


def test_only_an_unbuffered_answer_comes_in_parts() -> None:
    parts = Parts(b"a", b"b")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [UNBUFFERED, ("content-type", "text/csv")])
        return parts

    answer = asyncio.run(Bridge(app)(FakeScope(), Sent()))
    assert answer.parts is not None
    assert (answer.body, list(answer.parts), parts.closed) == (b"", [b"a", b"b"], 0)
    answer.parts.close()
    assert parts.closed == 1


def test_the_application_hears_that_its_caller_is_gone() -> None:
    heard: list[bool] = []

    class Leaving(Sent):
        async def client_disconnect(self) -> None:
            """Gone at once."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        for _ in range(600):
            if environ["recount.is_gone"]():
                heard.append(True)
                break
            threading.Event().wait(0.05)
        start_response("200 OK", [])
        return [b""]

    asyncio.run(Bridge(app)(FakeScope(path="/api/v1/query"), Leaving()))
    assert heard == [True]
