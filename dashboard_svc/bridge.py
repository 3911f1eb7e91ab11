"""A WSGI application under granian's RSGI interface, on a bounded number of threads.

granian's own WSGI interface would give every open stream a thread of its own; here streams stay on the event
loop and only requests that compute get a thread.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote

import orjson

from dashboard_svc import problem_types
from dashboard_svc.problem_types import TYPES

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]

THREADS: Final = 8
WAITING_MAX: Final = 64
BODY_MAX_BYTES: Final = 256 * 1024
IS_GONE: Final = "recount.is_gone"
"""In the environment of a request of the API: a function that says whether its sender has gone away."""

UNBUFFERED: Final = ("x-accel-buffering", "no")
"""The header of an answer that is sent part by part as it is made."""

_API: Final = "/api/"
_OWN: Final = frozenset({"content-length", "connection", "transfer-encoding"})


class Scope(Protocol):
    """What granian tells of a request."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Any: ...


class Parts(Iterator[bytes], Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """`parts`: what follows the body, made as it is taken; has to be closed."""

    status: int
    headers: Headers
    body: bytes
    parts: Parts | None = None


class BodyTooLarge(Exception):
    """The request's body has more than BODY_MAX_BYTES."""


class Bridge:
    """Calls the application on a thread. Refuses at once, with 503, when all are busy and many wait."""

    def __init__(self, app: WsgiApp, *, threads: int = THREADS, waiting_max: int = WAITING_MAX) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self._present = 0
        self._most = threads + waiting_max

    async def __call__(self, scope: Scope, protocol: Any) -> Answer:
        if self._present >= self._most:
            text = "Busy. Try again in a moment."
            return refusal(scope.path, "unavailable", text, [("retry-after", "1")])
        self._present += 1
        try:
            environ = environment(scope, await read_body(scope, protocol))
            if not scope.path.startswith(_API):
                return await self._called(environ)
            gone = _watched(protocol, environ)
            try:
                return await self._called(environ)
            finally:
                gone.cancel()
        except BodyTooLarge:
            return refusal(scope.path, "too-large", f"The body has more than {BODY_MAX_BYTES} bytes.")
        finally:
            self._present -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    async def _called(self, environ: dict[str, Any]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, environ)

    def _call(self, environ: dict[str, Any]) -> Answer:
        begun: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
            begun.append((status, headers))
            return lambda _: None

        parts = self._app(environ, start_response)
        if begun and UNBUFFERED in _named(begun[-1][1]):
            return Answer(_status(begun[-1][0]), _named(begun[-1][1]), b"", _Parts(parts))
        with _Parts(parts) as made:
            body = b"".join(made)
        status, headers = begun[-1]
        return Answer(_status(status), _named(headers), body)


class _Parts:
    """The parts of a WSGI answer, closed once they are done with."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self._iterator = iter(parts)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        close: Callable[[], None] = getattr(self._parts, "close", lambda: None)
        close()


def _watched(protocol: Any, environ: dict[str, Any]) -> asyncio.Future[None]:
    """Tells the environment when the sender of a request goes away."""
    has_gone = threading.Event()
    environ[IS_GONE] = has_gone.is_set
    gone: asyncio.Future[None] = asyncio.ensure_future(protocol.client_disconnect())
    gone.add_done_callback(lambda done: None if done.cancelled() else has_gone.set())
    return gone


def _status(line: str) -> int:
    return int(line.split(" ", 1)[0])


def _named(headers: Headers) -> Headers:
    return [(name.lower(), value) for name, value in headers if name.lower() not in _OWN]


def plain(status: int, text: str, headers: Headers | None = None) -> Answer:
    return Answer(status, [("content-type", "text/plain; charset=utf-8"), *(headers or [])], text.encode())


def refusal(path: str, kind: str, detail: str, headers: Headers | None = None) -> Answer:
    """What the application is not asked for at all, in the form that its answers have."""
    if not path.startswith("/api/"):
        return plain(TYPES[kind].status, detail + "\n", headers)
    kept: Headers = [("cache-control", "no-store"), *(headers or [])]
    body = orjson.dumps(problem_types.body(kind, detail))
    return Answer(TYPES[kind].status, [("content-type", "application/problem+json"), *kept], body)


async def read_body(scope: Scope, protocol: Any) -> bytes:
    """The body, never more than BODY_MAX_BYTES of it. Raises BodyTooLarge."""
    length = scope.headers.get("content-length")
    if length is None and scope.headers.get("transfer-encoding") is None:
        return b""
    if length is not None and length.isdigit() and int(length) > BODY_MAX_BYTES:
        raise BodyTooLarge
    body = bytearray()
    async for chunk in protocol:
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise BodyTooLarge
    return bytes(body)


def environment(scope: Scope, body: bytes) -> dict[str, Any]:
    """The request as WSGI (PEP 3333) has it: text is bytes read as Latin-1."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(scope.path, encoding="latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key != "CONTENT_LENGTH":
            before = environ.get(f"HTTP_{key}")
            environ[f"HTTP_{key}"] = value if before is None else f"{before},{value}"
    return environ
