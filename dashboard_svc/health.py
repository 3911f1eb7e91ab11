"""/healthz, /readyz, /metrics."""

from __future__ import annotations

from flask import Blueprint, Response

from dashboard_svc.services import Services
from recount.errors import Unavailable


def blueprint(services: Services) -> Blueprint:
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    def healthz() -> Response:
        return _text("ok\n", 200)

    @health.get("/readyz")
    def readyz() -> Response:
        """Ready while the tables answer; the live service may be away."""
        try:
            services.sites.read()
        except Unavailable as error:
            return _text(f"{error}\n", 503)
        return _text("ready\n", 200)

    @health.get("/metrics")
    def metrics() -> Response:
        body, content_type = services.metrics.exposition()
        return Response(body, content_type=content_type)

    return health


def _text(text: str, status: int) -> Response:
    return Response(
        text, status, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
    )
