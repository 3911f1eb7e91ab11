"""Receivers of alerts on this machine: an HTTP server and an SMTP server that keep what they get."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Received:
    """`bodies`: JSON objects posted, or `mails`; `answers` are given first, one each, then 200 (or 250)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.bodies: list[dict[str, Any]] = []
        self.mails: list[EmailMessage] = []
        self.answers: list[int] = []

    def answer(self, well: int) -> int:
        return self.answers.pop(0) if self.answers else well


@contextmanager
def http_receiver() -> Iterator[Received]:
    """`http://127.0.0.1:<port>`; keeps a body unless its answer is an error."""
    received = Received("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = received.answer(200)
            if status < 400:
                received.bodies.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.address = f"http://127.0.0.1:{server.server_address[1]}"
    with _serving(server):
        yield received


@contextmanager
def smtp_receiver() -> Iterator[Received]:
    """`smtp://127.0.0.1:<port>`, as far as RFC 5321 asks of a server; an error answers DATA."""
    received = Received("")

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say(220, "test")
            while line := self.rfile.readline():
                word = line.split()[0].upper() if line.split() else b""
                if word == b"QUIT":
                    self.say(221, "bye")
                    return
                if word == b"DATA":
                    self.take()
                else:
                    self.say(250, "well")

        def take(self) -> None:
            self.say(354, "go on")
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            status = received.answer(250)
            if status == 250:
                mail = message_from_bytes(b"".join(lines), policy=policy.default)
                assert isinstance(mail, EmailMessage)
                received.mails.append(mail)
            self.say(status, "so be it")

        def say(self, code: int, text: str) -> None:
            self.wfile.write(f"{code} {text}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    received.address = f"smtp://127.0.0.1:{server.server_address[1]}"
    with _serving(server):
        yield received


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
