"""Request bodies: read and unpacked within a bound, whatever their encoding claims."""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import zstandard

from recount.errors import Refused
from recount.reasons import Reason

DAWDLING_S: Final = 1.0
TURN_WAIT_S: Final = 2.0
TURN_STEP_S: Final = 0.1
NOT_READING: Final = math.inf
CHUNK_BYTES: Final = 64 * 1024
ZSTD_WINDOW_MAX_BYTES: Final = 8 * 1024 * 1024
GZIP_WINDOW_BITS: Final = 31
CONTENT_TYPES: Final = frozenset(
    {
        "",
        "application/json",
        "text/plain",
        "text/plain;charset=UTF-8",
    }  # the last as browsers' beacons have it
)


class Bodies:
    """Reads bodies; `reading_max` threads at a time, so that some are left for requests without one.

    A sender that dawdles holds its thread until it is done or gone. While such senders hold all places,
    further bodies are refused at once; while the places are merely busy, the next one waits for its turn.
    """

    def __init__(self, *, reading_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = [NOT_READING] * reading_max
        # Places to read at. Taking one and giving it back are atomic: where one is free nobody needs a lock.
        self._free = list(range(reading_max))
        self._changed = threading.Condition()
        self._waiting = 0

    def read(self, environ: Mapping[str, Any], max_bytes: int) -> bytes:
        try:
            place = self._free.pop()
        except IndexError:
            place = self._take_turn()
        self._since[place] = self._clock()
        try:
            return read_body(environ, max_bytes)
        finally:
            self._since[place] = NOT_READING
            self._free.append(place)
            if self._waiting:
                with self._changed:
                    self._changed.notify()

    def _take_turn(self) -> int:
        deadline = self._clock() + TURN_WAIT_S
        while True:
            now = self._clock()
            if now >= deadline or all(now - since > DAWDLING_S for since in self._since):
                raise Refused(Reason.UNAVAILABLE, "too many unfinished requests; try again later")
            with self._changed:
                self._waiting += 1
                try:
                    self._changed.wait(TURN_STEP_S)
                finally:
                    self._waiting -= 1
            with suppress(IndexError):  # somebody else was faster
                return self._free.pop()


def read_body(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    """The unpacked body. Raises Refused: too_large beyond `max_bytes` (packed or not), bad_json otherwise."""
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type not in CONTENT_TYPES and _plain(content_type) not in CONTENT_TYPES:
        raise Refused(Reason.BAD_JSON, "send application/json or text/plain", field="Content-Type")
    body = _read(environ, max_bytes)
    encoding = environ.get("HTTP_CONTENT_ENCODING")
    return body if encoding is None else _unpack(body, encoding.strip().lower(), max_bytes)


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _read(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    stream = environ["wsgi.input"]
    declared = environ.get("CONTENT_LENGTH")
    if declared:
        size = int(declared) if declared.isdecimal() else max_bytes + 1
        if size > max_bytes:
            raise _too_large(max_bytes)
        body: bytes = stream.read(size)
        if len(body) != size:
            raise Refused(Reason.BAD_JSON, "the body is shorter than its Content-Length")
        return body
    chunks: list[bytes] = []
    size = 0
    while chunk := stream.read(CHUNK_BYTES):
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding in {"", "identity"}:
        return body
    try:
        if encoding == "gzip":
            return _gunzip(body, max_bytes)
        if encoding == "zstd":
            return _unzstd(body, max_bytes)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Refused(Reason.BAD_JSON, f"the body is not {encoding}: {error}") from None
    raise Refused(Reason.BAD_JSON, "Content-Encoding may be gzip or zstd", field="Content-Encoding")


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(GZIP_WINDOW_BITS)
    plain = unpacker.decompress(body, max_bytes + 1)
    if len(plain) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(Reason.BAD_JSON, "the gzip body is cut off or has something behind its end")
    return plain


def _unzstd(body: bytes, max_bytes: int) -> bytes:
    unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX_BYTES)
    with unpacker.stream_reader(body) as reader:
        plain = reader.read(max_bytes + 1)
    if len(plain) > max_bytes:
        raise _too_large(max_bytes)
    return plain


def _too_large(max_bytes: int) -> Refused:
    return Refused(Reason.TOO_LARGE, f"a body has at most {max_bytes} bytes")
