"""The Flask application behind the fast path: the tracker script, health, metrics, CORS preflights."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, jsonify, request

from edge import answers, tracker
from edge.door import Door
from edge.spool_format import oldest_unshipped_ms, read_progress
from recount.errors import Unavailable
from recount.metrics import Metrics

SCRIPT_MAX_AGE_S: Final = 3600


def create_app(door: Door, metrics: Metrics) -> Flask:
    """Wires the views; what they show belongs to the door."""
    app = Flask("edge", static_folder=None)
    _add_collecting(app)
    _add_script(app)
    _add_health(app, door, metrics)
    return app


def _add_collecting(app: Flask) -> None:
    @app.route("/v1/events", methods=["OPTIONS"])
    @app.route("/p.gif", methods=["OPTIONS"])
    def preflight() -> Response:
        return Response(status=204, headers=answers.PREFLIGHT_HEADERS)


def _add_script(app: Flask) -> None:
    script = tracker.load()
    bodies = {"br": script.brotli, "gzip": script.gzip, "": script.plain}

    @app.get("/recount.js")
    def recount_js() -> Response:
        accepted = request.accept_encodings
        encoding = next((e for e in ("br", "gzip") if accepted[e] > 0), "")
        response = Response(bodies[encoding], content_type="text/javascript; charset=utf-8")
        response.headers["Cache-Control"] = f"public, max-age={SCRIPT_MAX_AGE_S}"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if encoding:
            response.headers["Content-Encoding"] = encoding
        response.headers["ETag"] = script.etag_of(encoding)
        response.make_conditional(request)
        return response


def _add_health(app: Flask, door: Door, metrics: Metrics) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            door.check_ready()
        except Unavailable as error:
            return jsonify({"status": str(error)}), 503
        return jsonify({"status": "ok"}), 200

    @app.get("/metrics")
    def exposition() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)

    @app.get("/v1/spool")
    def spool() -> Response:
        folder = door.spool.folder
        return jsonify(
            {
                "spool": door.spool.id,
                "last_seq": door.spool.last_seq,
                "shipped_seq": read_progress(folder).seq,
                "oldest_unshipped_ms": oldest_unshipped_ms(folder),
                "waiting_bytes": door.spool.waiting_bytes,
            }
        )
