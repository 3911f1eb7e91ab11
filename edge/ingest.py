"""`python -m edge.ingest`: one ingest instance, one process."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from typing import Final

import structlog

from edge.app import LeftS, create_app
from edge.bodies import Bodies
from edge.door import Door
from edge.geo import open_geo
from edge.imports import Importer
from edge.rules import DaySalts, Sites
from edge.server import serve
from edge.serving import WhileServing
from edge.spool import Spool
from edge.tally import Tallies
from edge.wsgi import Front
from recount import metrics as m
from recount.callers import Proxies
from recount.discovery import Instance, Presence, open_directory
from recount.drains import Drains
from recount.errors import SetupError
from recount.kafka import producer
from recount.logs import configure
from recount.metrics import Metrics
from recount.serving import StoppingMaker, check_port
from recount.settings import Settings
from recount.stopping import Stopping
from recount.store.catalog import Catalog
from recount.store.salts import Salts
from recount.store.tables import Tables, open_tables

THREADS: Final = 16
GC_THRESHOLD: Final = 50_000
FIRST_READ_S: Final = 2.0  # a door that knows no site yet has nothing to offer
READING_MAX: Final = 12  # threads that bodies under way may hold; the others keep serving pixels and health

log = structlog.get_logger("ingest")


def build(
    settings: Settings, tables: Tables, spool: Spool, left_s: LeftS = lambda: None
) -> tuple[Front, Sites]:
    """The WSGI callable of an ingest, and its catalog, which the caller starts and stops."""
    catalog = Catalog(tables.catalog)
    salts = Salts(tables.salts)
    day_salts = DaySalts(salts)
    sites = Sites(catalog, day_salts, partitions=settings.kafka_partitions)
    door = Door(sites, day_salts, open_geo(settings.geoip_file), spool, catalog)
    metrics = Metrics()
    importer = Importer(door, salts, lambda: producer(settings))
    bodies = Bodies(reading_max=READING_MAX)
    app = create_app(door, importer, bodies, metrics, left_s)
    front = Front(door, app, Proxies(settings.trusted_proxies), bodies)
    _expose(metrics, door, front)
    return front, sites


def _expose(metrics: Metrics, door: Door, front: Front) -> None:
    tallies = Tallies()
    tallies.add_counter(m.INGEST_EVENTS, lambda: door.accepted)
    tallies.add_counter(m.INGEST_DROPPED, lambda: door.dropped)
    tallies.add_histogram(
        m.INGEST_REQUEST_SECONDS, {"/p.gif": front.pixel_seconds, "/v1/events": front.events_seconds}
    )
    metrics.registry.register(tallies)
    waiting = metrics.gauge(m.SPOOL_BYTES).labels(door.spool.id)
    waiting.set_function(lambda: door.spool.waiting_bytes)


def serve_front(front: Front, settings: Settings, stopping: StoppingMaker | None = None) -> bool:
    """Serve until told to stop, see `serve`; False where a sender would not end its request."""
    # What is loaded now stays: the collector need not walk it in the middle of a request.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    # A method is called faster than an object that has `__call__`.
    return serve(front.__call__, settings.host, settings.ingest_port, threads=THREADS, stopping=stopping)


def main() -> bool:
    """Whether every request was finished."""
    settings = Settings.from_env()
    configure(settings.log_level)
    check_port(settings.host, settings.ingest_port)
    spool = Spool(settings.spool_root, max_bytes=settings.spool_max_bytes, fsync=settings.spool_fsync)
    front, sites = build(settings, open_tables(settings), spool, lambda: directory.left_s)
    directory = WhileServing(open_directory(settings), Drains(settings.drains_root), lambda: sites.loaded)
    instance = Instance(
        "ingest", f"ingest-{settings.ingest_port}", settings.host, settings.ingest_port, {"spool": spool.id}
    )
    sites.start()
    sites.wait(FIRST_READ_S)
    try:
        with Presence(directory, lambda: instance) as presence:
            log.info("serving", port=settings.ingest_port, spool=spool.id)
            return serve_front(front, settings, partial(Stopping, presence, settings.drain_s))
    finally:
        sites.stop()
        spool.close()
        log.info("stopped", spool=spool.id, last_seq=spool.last_seq)


if __name__ == "__main__":
    try:
        finished = main()
    except SetupError as error:
        sys.exit(str(error))
    if not finished:
        sys.stdout.flush()
        os._exit(0)  # a thread still waits for somebody's body; everything taken is in the spool
