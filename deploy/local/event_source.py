"""The local event source mappings of a Lambda.

Entry point `python -m deploy.local.event_source --lambda NAME`; serves /healthz, /readyz and /metrics.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, Message, Producer

from deploy.local.mapping import FOR_EVER, Mapping, Poller
from deploy.local.runtime_api import LocalFunction
from recount import kafka, logs
from recount.errors import Unavailable
from recount.metrics import Metrics
from recount.settings import Settings

log = structlog.get_logger()

# A batch may take as long as its handler needs, an outage included; heartbeats show a dead process.
POLL_INTERVAL_MAX_MS: Final = 24 * 3_600_000
SESSION_TIMEOUT_MS: Final = 10_000  # how long the partitions of a killed process wait for its successor
FLUSH_S: Final = 30.0
FINISH_WITHIN_S: Final = 5.0
CHECK_EVERY_S: Final = 1.0

MAPPINGS: Final[dict[str, tuple[Mapping, ...]]] = {
    # Retries for ever and quarantines poison by itself. Imports: a process of their own, lower priority.
    "store_batches": (
        Mapping(
            name="store_batches",
            handler="lambdas.store_batches.handler",
            topics=(kafka.EVENTS,),
            window_s=1.0,
            timeout_s=60.0,
            retries=FOR_EVER,
            bisect=True,
        ),
        Mapping(
            name="store_batches_imports",
            handler="lambdas.store_batches.handler",
            topics=(kafka.IMPORTS,),
            window_s=0.5,
            timeout_s=60.0,
            retries=FOR_EVER,
            bisect=True,
            niceness=5,
            warm=False,
        ),
    ),
    # Operational numbers are worth two tries and no more; they start with the present.
    "publish_metrics": (
        Mapping(
            name="publish_metrics",
            handler="lambdas.publish_metrics.handler",
            topics=(kafka.EVENTS,),
            window_s=1.0,
            timeout_s=15.0,
            retries=1,
            from_start=False,
            niceness=5,
        ),
    ),
}


class EventSource:
    """The mappings of one Lambda, each with a thread, a consumer and a child process."""

    def __init__(self, settings: Settings, mappings: Sequence[Mapping]) -> None:
        self._settings = settings
        self.mappings = tuple(mappings)
        self.metrics = Metrics()
        self._producer: Producer | None = None
        self._functions = [
            LocalFunction(m.name, m.handler, timeout_s=m.timeout_s, env=os.environ, niceness=m.niceness)
            for m in mappings
        ]
        self._pollers = [self._poller(m, f) for m, f in zip(mappings, self._functions, strict=True)]
        self._threads = [
            threading.Thread(target=poller.run, name=poller.mapping.name, daemon=True)
            for poller in self._pollers
        ]

    def start(self) -> None:
        for mapping, function in zip(self.mappings, self._functions, strict=True):
            if mapping.warm:
                function.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the invocations on their way or leave them (they come again), then end the children."""
        for poller in self._pollers:
            poller.stop()
        deadline = time.monotonic() + FINISH_WITHIN_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        for function in self._functions:
            function.stop()

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def trouble(self) -> str:
        """Why this function is not ready; empty where it is."""
        for poller, thread, function in zip(self._pollers, self._threads, self._functions, strict=True):
            name = poller.mapping.name
            if not thread.is_alive():
                return f"{name}: its consumer has ended"
            if not poller.assigned.is_set():
                return f"{name}: waiting for partitions of {', '.join(poller.mapping.topics)}"
            if poller.trouble:
                return f"{name}: batches fail: {poller.trouble}"
            if poller.mapping.warm and not function.ready:
                return f"{name}: its handler is not loaded"
        return ""

    def _poller(self, mapping: Mapping, function: LocalFunction) -> Poller:
        consumer = Consumer(
            {
                "bootstrap.servers": self._settings.kafka,
                "group.id": mapping.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest" if mapping.from_start else "latest",
                "max.poll.interval.ms": POLL_INTERVAL_MAX_MS,
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 32 * 1024,
            }
        )
        return Poller(
            mapping, consumer, function, self._destination(mapping), self.metrics, self._settings.kafka
        )

    def _destination(self, mapping: Mapping) -> Callable[[Sequence[Message], str], None]:
        topic = mapping.on_failure_topic
        if topic is None:
            return lambda _messages, _cause: None
        return lambda messages, cause: self._send(topic, messages, cause)

    def _send(self, topic: str, messages: Sequence[Message], cause: str) -> None:
        """Raises Unavailable where the destination did not take them, so that nothing is committed."""
        producer = self._producer = self._producer or kafka.producer(self._settings)
        for message in messages:
            headers: list[tuple[str, str | bytes | None]] = [
                ("cause", cause.encode()),
                ("source", f"{message.topic()}-{message.partition()}@{message.offset()}".encode()),
            ]
            producer.produce(topic, message.value(), message.key(), headers=headers)
        if producer.flush(FLUSH_S):
            raise Unavailable("kafka", f"{topic} does not take records")


def serve(source: EventSource, host: str, port: int) -> ThreadingHTTPServer:
    """Answers /healthz, /readyz and /metrics in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body, kind = answer(source, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: probes come every second."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def answer(source: EventSource, path: str) -> tuple[HTTPStatus, bytes, str]:
    """Status, body and content type of one probe."""
    if path == "/healthz":
        return HTTPStatus.OK, b"ok\n", "text/plain"
    if path == "/readyz":
        trouble = source.trouble()
        if trouble:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"{trouble}\n".encode(), "text/plain"
        return HTTPStatus.OK, b"ready\n", "text/plain"
    if path == "/metrics":
        body, kind = source.metrics.exposition()
        return HTTPStatus.OK, body, kind
    return HTTPStatus.NOT_FOUND, b"not found\n", "text/plain"


def port_of(settings: Settings, name: str) -> int:
    return {"store_batches": settings.store_batches_port, "publish_metrics": settings.publish_metrics_port}[
        name
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lambda", dest="name", required=True, choices=sorted(MAPPINGS))
    name = parser.parse_args().name
    settings = Settings.from_env()
    logs.configure(settings.log_level)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    source = EventSource(settings, MAPPINGS[name])
    source.start()
    server = serve(source, settings.host, port_of(settings, name))
    log.info("started", function=name)
    while not stopped.wait(CHECK_EVERY_S):
        if not source.alive:
            log.error("consumer_ended", function=name)
            sys.exit(1)  # the supervisor starts it again
    source.stop()
    server.shutdown()


if __name__ == "__main__":
    main()
