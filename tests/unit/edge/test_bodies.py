"""Bodies: bounded whatever they claim to be."""

from __future__ import annotations

import gzip
import io
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
import zstandard

from edge.bodies import Bodies, read_body
from recount.errors import Refused
from recount.reasons import Reason

MAX_BYTES = 10_000


def environ(body: bytes, encoding: str | None = None, *, length: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": "application/json"}
    if length != "chunked":
        made["CONTENT_LENGTH"] = str(len(body)) if length is None else length
    return made | ({} if encoding is None else {"HTTP_CONTENT_ENCODING": encoding})


def reason_of(request: Mapping[str, Any]) -> Reason:
    with pytest.raises(Refused) as refused:
        read_body(request, MAX_BYTES)
    return refused.value.reason


@pytest.mark.parametrize("length", [None, "chunked"])
def test_bodies_arrive_whole(length: str | None) -> None:
    body = b"x" * MAX_BYTES
    assert read_body(environ(body, length=length), MAX_BYTES) == body
    assert read_body(environ(gzip.compress(body), "gzip", length=length), MAX_BYTES) == body
    assert read_body(environ(zstandard.compress(body), "zstd", length=length), MAX_BYTES) == body
    assert read_body(environ(b"", length=length), MAX_BYTES) == b""
    assert read_body(environ(b"x", "Identity"), MAX_BYTES) == b"x"


def test_bodies_are_bounded_packed_and_unpacked() -> None:
    large = b"x" * (MAX_BYTES + 1)
    bomb = b"\0" * 50_000_000
    assert reason_of(environ(large)) is Reason.TOO_LARGE
    assert reason_of(environ(large, length="chunked")) is Reason.TOO_LARGE
    assert reason_of(environ(b"x", length="99999999999999999999")) is Reason.TOO_LARGE
    assert reason_of(environ(zstandard.compress(bomb), "zstd")) is Reason.TOO_LARGE
    packed = gzip.compress(bomb[:5_000_000])
    assert len(packed) < MAX_BYTES
    assert reason_of(environ(packed, "gzip")) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "request_",
    [
        environ(b"no gzip", "gzip"),
        environ(gzip.compress(b"cut off")[:-3], "gzip"),
        environ(gzip.compress(b"one") + b"rest", "gzip"),
        environ(gzip.compress(b"one") + gzip.compress(b"two"), "gzip"),
        environ(b"no zstd", "zstd"),
        environ(zlib.compress(b"x"), "deflate"),
        environ(b"x", "gzip, gzip"),
        environ(b"short", length="50"),
        environ(b"x") | {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
        environ(b"x") | {"CONTENT_TYPE": "multipart/form-data; boundary=x"},
    ],
)
def test_what_cannot_be_read_is_bad_json(request_: dict[str, Any]) -> None:
    assert reason_of(request_) is Reason.BAD_JSON


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "Text/Plain; charset=utf-8", "application/json;charset=UTF-8"]
)
def test_content_types_of_trackers(content_type: str) -> None:
    assert read_body(environ(b"x") | {"CONTENT_TYPE": content_type}, MAX_BYTES) == b"x"


def test_negative_and_odd_lengths_are_refused() -> None:
    assert reason_of(environ(b"x", length="-1")) is Reason.TOO_LARGE
    assert reason_of(environ(b"x", length="1e3")) is Reason.TOO_LARGE


class Dawdler(io.BytesIO):
    """A body that never ends until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.release = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.reached.set()
        self.release.wait(60)
        return b"x"


class Queue:
    """Bodies with two places, both held by dawdlers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.bodies = Bodies(reading_max=2, clock=lambda: self.now)
        self.dawdlers = [Dawdler(), Dawdler()]
        self.threads = []
        for dawdler in self.dawdlers:
            request = environ(b"x") | {"wsgi.input": dawdler}
            self.threads.append(threading.Thread(target=self.bodies.read, args=(request, MAX_BYTES)))
            self.threads[-1].start()
            assert dawdler.reached.wait(60)

    def let_go(self) -> None:
        for dawdler, thread in zip(self.dawdlers, self.threads, strict=True):
            dawdler.release.set()
            thread.join(60)


def test_senders_that_dawdle_do_not_take_every_thread() -> None:
    queue = Queue()
    queue.now = 10.0
    with pytest.raises(Refused) as refused:
        queue.bodies.read(environ(b"x"), MAX_BYTES)
    assert refused.value.reason is Reason.UNAVAILABLE
    queue.let_go()
    assert queue.bodies.read(environ(b"x"), MAX_BYTES) == b"x"


def test_a_busy_moment_is_waited_for() -> None:
    queue = Queue()
    read: list[bytes] = []
    waiting = threading.Thread(target=lambda: read.append(queue.bodies.read(environ(b"x"), MAX_BYTES)))
    waiting.start()
    queue.let_go()
    waiting.join(60)
    assert read == [b"x"]
