"""`python -m edge.ship`: the one process of a machine that ships its spools to Kafka."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from flask import Flask, Response, jsonify, request

from edge.server import run_in_background
from edge.shipper import Shipper
from recount import kafka
from recount import metrics as m
from recount.discovery import Instance, Presence, open_directory
from recount.errors import SetupError, Unavailable
from recount.logs import configure
from recount.metrics import Metrics
from recount.settings import Settings

IDLE_SLEEP_S: Final = 0.02
DRAIN_MAX_S: Final = 10.0
RETRY_S: Final = 1.0

log = structlog.get_logger("shipper")


def create_app(shipper: Shipper, metrics: Metrics) -> Flask:
    """Health, metrics and the state of the spools."""
    app = Flask("edge.ship")
    oldest = metrics.gauge(m.SPOOL_OLDEST_SECONDS)
    waiting = metrics.gauge(m.SPOOL_BYTES)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        if shipper.reachable():
            return jsonify({"status": "ok"}), 200
        return jsonify({"status": "kafka does not take events; they wait in the spool"}), 503

    @app.get("/v1/spools")
    def spools() -> Response:
        lost = msgspec.to_builtins(shipper.lost())
        return jsonify({"spools": shipper.states(), "quarantined": lost})

    @app.get("/v1/spools/unshipped")
    def unshipped() -> Response:
        before_ms = request.args.get("before_ms", type=int, default=time.time_ns() // 1_000_000)
        return Response(msgspec.json.encode(shipper.unshipped(before_ms)), content_type="application/json")

    @app.get("/metrics")
    def exposition() -> Response:
        states = shipper.states()
        waiting.clear()
        for state in states:
            waiting.labels(state["spool"]).set(state["waiting_bytes"])
        moments = [s["oldest_unshipped_ms"] for s in states if s["oldest_unshipped_ms"] is not None]
        oldest.set(time.time() - min(moments) / 1000 if moments else 0)
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)

    return app


def run(shipper: Shipper, stop: threading.Event) -> None:
    """Ship until told to stop, then what is left, for a bounded time."""
    while not stop.is_set():
        if _step(shipper) == 0:
            stop.wait(IDLE_SLEEP_S)
    while shipper.deadline is not None and time.monotonic() < shipper.deadline:
        if _step(shipper) == 0 and shipper.is_idle():
            return


def _step(shipper: Shipper) -> int:
    try:
        return shipper.step()
    except (Unavailable, OSError) as error:
        log.error("shipping failed; trying again", error=str(error))
        time.sleep(RETRY_S)
        return 0


def main() -> None:
    settings = Settings.from_env()
    configure(settings.log_level)
    metrics = Metrics()
    shipper = Shipper(settings.spool_root, lambda: kafka.producer(settings), metrics)
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        shipper.deadline = time.monotonic() + DRAIN_MAX_S
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    instance = Instance(
        "shipper", f"shipper-{socket.gethostname()}-{os.getpid()}", settings.host, settings.shipper_port
    )
    describe: Callable[[], Instance] = lambda: instance  # noqa: E731
    with (
        run_in_background(create_app(shipper, metrics), settings.host, settings.shipper_port),
        Presence(open_directory(settings), describe),
    ):
        log.info("shipping", spool_root=str(settings.spool_root))
        run(shipper, stop)
    shipper.close()


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(str(error))
