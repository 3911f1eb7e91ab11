"""`python -m dashboard_svc`: read the settings, wire, serve."""

from __future__ import annotations

import os
import socket
import time
from functools import partial
from urllib.parse import urlsplit

import structlog

from dashboard_svc.access.gate import Gate, are_required
from dashboard_svc.access.known_tokens import KnownTokens
from dashboard_svc.access.rates import Rates
from dashboard_svc.app import create_app
from dashboard_svc.bridge import Bridge
from dashboard_svc.comparisons import Comparisons
from dashboard_svc.corrected import Corrected, KeptLog
from dashboard_svc.desk import Desk
from dashboard_svc.forgetting import Forgetting
from dashboard_svc.live import LiveHttp
from dashboard_svc.server import Front, serve
from dashboard_svc.services import Services
from dashboard_svc.sites import Sites
from dashboard_svc.streams import Streams
from recount import logs
from recount.callers import Proxies
from recount.discovery import Directory, Instance, Presence, open_directory
from recount.metrics import Metrics
from recount.publishing import thresholds
from recount.publishing.differ import Differ
from recount.publishing.review import Review
from recount.querying.answers import Answerer
from recount.querying.explain import Explainer
from recount.scanning.answering import Answering
from recount.scanning.scanner import open_scanner
from recount.settings import Settings
from recount.stopping import Stopping
from recount.store.candidates import Candidates
from recount.store.catalog import Catalog
from recount.store.correction_log import CorrectionLog
from recount.store.dax import reads_of
from recount.store.manifests import Manifests
from recount.store.reconciliations import Reconciliations
from recount.store.reprocessings import Reprocessings
from recount.store.rulebook import Rulebook
from recount.store.segments import SegmentStore
from recount.store.tables import Tables, open_tables
from recount.store.tokens import Tokens
from recount.store.tombstones import Tombstones

SERVICE = "dashboard"


def main() -> None:
    settings = Settings.from_env()
    logs.configure(settings.log_level)
    directory = open_directory(settings)
    tables, metrics = open_tables(settings), Metrics()
    with reads_of(settings, tables.rollups, metrics) as through:
        segments = SegmentStore(tables.rollups, settings.site_slots, through=through)
        services = wire(settings, tables, directory, metrics, segments)
        with Forgetting(Tombstones(tables.catalog).active, segments.forget):
            _serve(settings, directory, services, wire_desk(settings, tables))


def _serve(settings: Settings, directory: Directory, services: Services, desk: Desk) -> None:
    front = Front(
        Bridge(create_app(services, desk)),
        Streams(directory, services.metrics),
        lambda name: services.sites.get(name) is not None,
        names=frozenset({settings.host, urlsplit(settings.public_url).hostname or settings.host}),
    )
    own = Instance(SERVICE, f"{socket.gethostname()}-{os.getpid()}", settings.host, settings.dashboard_port)
    with Presence(directory, lambda: own) as presence:
        structlog.get_logger().info("serving", host=settings.host, port=settings.dashboard_port)
        stopping = partial(Stopping, presence, settings.drain_s)
        serve(front, settings.host, settings.dashboard_port, stopping)


def wire(
    settings: Settings, tables: Tables, directory: Directory, metrics: Metrics, segments: SegmentStore
) -> Services:
    """What the views work with in a deployment."""
    manifests = Manifests(tables.manifests)
    corrections = KeptLog(CorrectionLog(tables.catalog))
    live = LiveHttp(directory)
    answerer = Answerer(manifests, segments, site_slots=settings.site_slots, live=live)
    rulebook = Rulebook(tables.catalog)
    scanner = open_scanner(settings, manifests, segments, rulebook, metrics)
    return Services(
        sites=Sites(Catalog(tables.catalog)),
        gate=_gate(settings, tables, directory),
        live=live,
        answerer=Corrected(Answering(answerer, scanner, _now_ms), corrections),
        scanner=scanner,
        corrections=corrections,
        reconciliations=Reconciliations(tables.manifests, settings.site_slots),
        explainer=Explainer(
            manifests,
            segments,
            Candidates(settings.archive_root),
            settings.site_slots,
            lambda run: f"{settings.dagster_page}/runs/{run}",
            rulebook,
        ),
        metrics=metrics,
        front_url=lambda: _front_url(settings, directory),
        now_ms=_now_ms,
    )


def wire_desk(settings: Settings, tables: Tables) -> Desk:
    """What operators look at in a deployment."""
    manifests = Manifests(tables.manifests)
    catalog, reprocessings = Catalog(tables.catalog), Reprocessings(tables.catalog)
    segments = SegmentStore(tables.rollups, settings.site_slots)
    candidates = Candidates(settings.archive_root)

    def differ() -> Differ:
        return Differ(manifests, segments, candidates, catalog.sites())

    review = Review(differ, reprocessings, thresholds.parse(settings.diff_thresholds))
    return Desk(
        reprocessings=reprocessings,
        manifests=manifests,
        review=review,
        comparisons=Comparisons(review, manifests),
        log=CorrectionLog(tables.catalog),
        rulebook=Rulebook(tables.catalog),
        sites=catalog.sites,
        run_url=lambda run: f"{settings.dagster_page}/runs/{run}",
    )


def _gate(settings: Settings, tables: Tables, directory: Directory) -> Gate:
    return Gate(
        KnownTokens(Tokens(tables.catalog)),
        Rates(
            settings.api_token_requests_per_minute,
            settings.api_client_requests_per_minute,
            lambda: len(directory.instances(SERVICE)),
        ),
        Proxies(settings.trusted_proxies),
        required=are_required(settings.api_tokens, settings.host),
        now_ms=_now_ms,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _front_url(settings: Settings, directory: Directory) -> str:
    """Where the pages of a site find the tracker: the front, or an ingest while there is none yet."""
    if settings.front_url or directory.instances("traefik"):
        return settings.public_url
    doors = directory.instances("ingest")
    return doors[0].url if doors else f"http://{settings.host}:{settings.ingest_port}"


if __name__ == "__main__":
    main()
