"""`python -m deploy.local.autoscaler`: the autoscaler of one host, with the supervisor as its hands."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Final

import structlog

from deploy.local.control import Control
from deploy.local.layout import SCALABLE, Layout
from deploy.local.scaling import Scaler
from edge.autoscale.app import create_app
from edge.autoscale.controller import Controller, Watched
from edge.autoscale.policy import ingest_policy, live_policy, mode_of
from edge.autoscale.signals import LiveLag, TraefikRequests
from edge.server import run_in_background
from recount.discovery import open_directory
from recount.errors import SetupError
from recount.logs import configure
from recount.metrics import Metrics
from recount.settings import Settings

STUCK_AFTER_S: Final = 60.0
STOP_WITHIN_S: Final = 5.0

log = structlog.get_logger("autoscaler")


class Supervised:
    """Instances of a stack of this machine."""

    def __init__(self, scaler: Scaler) -> None:
        self._scaler = scaler

    def current(self, service: str) -> int:
        return self._scaler.wanted(service)

    def scale(self, service: str, instances: int) -> None:
        self._scaler.ask(service, instances)

    def advance(self, service: str) -> str:
        scaling = self._scaler.step(service)
        return "" if scaling.done else str(scaling)


def build(settings: Settings, metrics: Metrics) -> Controller:
    """Raises SetupError for settings that contradict each other."""
    layout = Layout.of(settings)
    directory = open_directory(settings)
    watched = [
        Watched(ingest_policy(settings), TraefikRequests("ingest", directory, settings)),
        Watched(live_policy(settings), LiveLag(directory, settings)),
    ]
    actuator = Supervised(Scaler(layout, Control(layout), settings))
    return Controller(watched, actuator, metrics, mode_of(settings), advanced=SCALABLE)


def main() -> None:
    settings = Settings.from_env()
    configure(settings.log_level)
    metrics = Metrics()
    controller = build(settings, metrics)
    thread = threading.Thread(target=controller.run, args=(settings.autoscale_interval_s,), daemon=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def is_alive() -> bool:
        return thread.is_alive() and time.monotonic() - controller.stepped_at < STUCK_AFTER_S

    with run_in_background(
        create_app(controller, is_alive, metrics), settings.host, settings.autoscaler_port
    ):
        thread.start()
        log.info("watching", mode=controller.mode.value)
        # A thread that died of a fault ends the process: then the supervisor starts a fresh one.
        while thread.is_alive() and not stop.wait(1.0):
            pass
    controller.stop()
    thread.join(timeout=STOP_WITHIN_S)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(str(error))
