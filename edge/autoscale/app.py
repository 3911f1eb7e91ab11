"""The pages of the autoscaler: health, metrics, and what it decided and why."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from flask import Flask, Response, jsonify

from edge.autoscale.controller import Controller
from recount.metrics import Metrics


def create_app(controller: Controller, is_alive: Callable[[], bool], metrics: Metrics) -> Flask:
    app = Flask("edge.autoscale", static_folder=None)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        if is_alive():
            return jsonify({"status": "ok"}), 200
        return jsonify({"status": "no decision for a while; see its log"}), 503

    @app.get("/metrics")
    def exposition() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)

    @app.get("/v1/decisions")
    def decisions() -> Response:
        return Response(msgspec.json.encode(controller.report()), content_type="application/json")

    return app
