"""A Lambda function on this machine: the real runtime client in a child, and the Runtime API it polls.

The child runs `python -m awslambdaric <handler>` and speaks the API of
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. A handler past its timeout is killed; a child
that dies is seen at once; the next invocation starts a fresh one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

import orjson

PREFIX: Final = "/2018-06-01/runtime"
STOP_WITHIN_S: Final = 3.0
RESPONSE_MAX_BYTES: Final = 6 * 1024 * 1024
ERROR_SHOWN_MAX_CHARS: Final = 500


class Result(Enum):
    """How an invocation ended."""

    OK = "ok"
    ERROR = "error"  # the handler raised
    TIMEOUT = "timeout"
    DIED = "died"  # the process ended, also while it was starting


@dataclass(frozen=True)
class Outcome:
    """`body` is what the handler returned (JSON), or the error it raised."""

    result: Result
    body: bytes = b""

    @property
    def ok(self) -> bool:
        return self.result is Result.OK

    def describe(self) -> str:
        """In a few words, for a log: the error's type and message."""
        try:
            error = orjson.loads(self.body)
            detail = f"{error['errorType']}: {error['errorMessage']}"
        except (orjson.JSONDecodeError, KeyError, TypeError):
            detail = self.body.decode(errors="replace")
        return f"{self.result.value} {detail}".strip()[:ERROR_SHOWN_MAX_CHARS]


@dataclass(frozen=True)
class Invocation:
    """One event on its way to the child."""

    id: str
    payload: bytes
    deadline_ms: int


class RuntimeApi:
    """The API of one child: hands it invocations, takes its answers."""

    def __init__(self, function: str) -> None:
        self.arn = f"arn:aws:lambda:local:000000000000:function:{function}"
        self.initialised = threading.Event()
        self._next: queue.Queue[Invocation | None] = queue.Queue()
        self._outcomes: queue.Queue[tuple[str, Outcome]] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, name=f"runtime-api-{function}", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def invoke(self, payload: bytes, timeout_s: float) -> Outcome:
        """Hand an event over and wait for its outcome."""
        invocation = Invocation(str(uuid.uuid4()), payload, int((time.time() + timeout_s) * 1000))
        self._next.put(invocation)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                of, outcome = self._outcomes.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return Outcome(Result.TIMEOUT, f"no answer within {timeout_s:g} s".encode())
            if of in (invocation.id, ""):
                return outcome

    def next(self) -> Invocation | None:
        """For the child: the next event; None once the API is closed."""
        self.initialised.set()
        return self._next.get()

    def answer(self, invocation_id: str, outcome: Outcome) -> None:
        """An empty id means whatever is waiting."""
        self._outcomes.put((invocation_id, outcome))

    def close(self) -> None:
        self._next.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A small answer in two unbuffered writes would wait 40 ms for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def api(self) -> RuntimeApi:
        return cast(_Server, self.server).api

    def do_GET(self) -> None:
        if self.path != f"{PREFIX}/invocation/next":
            self._reply(HTTPStatus.NOT_FOUND)
            return
        invocation = self.api.next()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.api.arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{invocation.id}",
        }
        self._reply(HTTPStatus.OK, invocation.payload, headers)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > RESPONSE_MAX_BYTES:
            self.close_connection = True
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(length)
        if self.path == f"{PREFIX}/init/error":
            self.api.answer("", Outcome(Result.DIED, body))
            self._reply(HTTPStatus.ACCEPTED)
            return
        match self.path.removeprefix(f"{PREFIX}/invocation/").split("/"):
            case [invocation_id, "response"]:
                self.api.answer(invocation_id, Outcome(Result.OK, body))
            case [invocation_id, "error"]:
                self.api.answer(invocation_id, Outcome(Result.ERROR, body))
            case _:
                self._reply(HTTPStatus.NOT_FOUND)
                return
        self._reply(HTTPStatus.ACCEPTED)

    def _reply(self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what matters is logged by the mapping."""


class LocalFunction:
    """One handler in one child process, invoked one event at a time."""

    def __init__(
        self, name: str, handler: str, *, timeout_s: float, env: Mapping[str, str], niceness: int = 0
    ) -> None:
        self.name = name
        self._handler = handler
        self._timeout_s = timeout_s
        self._env = dict(env)
        self._niceness = niceness
        self._api: RuntimeApi | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def ready(self) -> bool:
        """Whether the handler has been loaded; a child that died while idle is started by the next event."""
        return self._api is not None and self._api.initialised.is_set()

    def start(self) -> None:
        """Start the child unless it lives; its initialisation goes on by itself."""
        if self._alive():
            return
        self.stop()
        api = RuntimeApi(self.name)
        env = {
            **self._env,
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "_HANDLER": self._handler,
        }
        child = subprocess.Popen([sys.executable, "-m", "awslambdaric", self._handler], env=env)
        if self._niceness:
            os.setpriority(os.PRIO_PROCESS, child.pid, self._niceness)
        threading.Thread(
            target=self._watch, args=(child, api), name=f"watch-{self.name}", daemon=True
        ).start()
        self._api, self._child = api, child

    def invoke(self, payload: bytes) -> Outcome:
        """Invoke the handler; a child that timed out is killed, and the next call starts another."""
        self.start()
        assert self._api is not None
        outcome = self._api.invoke(payload, self._timeout_s)
        if outcome.result in (Result.TIMEOUT, Result.DIED):
            self.stop(kill=True)
        return outcome

    def stop(self, *, kill: bool = False) -> None:
        child, api = self._child, self._api
        self._child = self._api = None
        if child is not None and child.poll() is None:
            child.kill() if kill else child.terminate()
            try:
                child.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if api is not None:
            api.close()

    def _alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @staticmethod
    def _watch(child: subprocess.Popen[bytes], api: RuntimeApi) -> None:
        code = child.wait()
        api.answer("", Outcome(Result.DIED, f"the process ended with {code}".encode()))
