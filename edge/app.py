"""The Flask application behind the fast path: the tracker script, health, metrics, CORS preflights."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from flask import Flask, Response, jsonify, request

from edge import answers, tracker
from edge.bodies import Bodies
from edge.door import Door
from edge.imports import Importer
from edge.spool_format import oldest_unshipped_ms, read_progress, waiting_bytes
from recount.callers import bearer_token
from recount.drains import DRAINING
from recount.errors import Refused, Unavailable
from recount.limits import BODY_IMPORT_MAX_BYTES
from recount.metrics import Metrics

SCRIPT_MAX_AGE_S: Final = 3600
CLOSE_MAX_BYTES: Final = 4096


LeftS = Callable[[], float | None]


def create_app(
    door: Door, importer: Importer, bodies: Bodies, metrics: Metrics, left_s: LeftS = lambda: None
) -> Flask:
    """Wires the views; what they show belongs to the door. `left_s`: see `WhileServing`."""
    app = Flask("edge", static_folder=None)
    _add_collecting(app)
    _add_import(app, importer, bodies)
    _add_script(app)
    _add_health(app, door, metrics, left_s)
    _add_spool(app, door, left_s)
    return app


def _add_collecting(app: Flask) -> None:
    @app.route("/v1/events", methods=["OPTIONS"])
    @app.route("/p.gif", methods=["OPTIONS"])
    def preflight() -> Response:
        return Response(status=204, headers=answers.PREFLIGHT_HEADERS)


def _add_import(app: Flask, importer: Importer, bodies: Bodies) -> None:
    def token() -> str:
        return bearer_token(request.headers.get("Authorization", ""))

    @app.post("/v1/import")
    def take() -> Response:
        answer = importer.take(token(), bodies.read(request.environ, BODY_IMPORT_MAX_BYTES))
        return _response(*answers.batch(answer))

    @app.post("/v1/import/<import_id>/close")
    def close(import_id: str) -> Response:
        keys = importer.close(token(), import_id, bodies.read(request.environ, CLOSE_MAX_BYTES))
        return jsonify({"keys_destroyed": keys})

    @app.errorhandler(Refused)
    @app.errorhandler(Unavailable)
    def refuse(error: Refused | Unavailable) -> Response:
        return _response(*answers.single_refusal(answers.as_refused(error)))


def _response(status: str, headers: answers.Headers, body: bytes) -> Response:
    return Response(body, status=status, headers=headers)


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


def _add_health(app: Flask, door: Door, metrics: Metrics, left_s: LeftS) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify({"status": "ok"})

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            door.check_ready()
        except Unavailable as error:
            return jsonify({"status": str(error)}), 503
        if left_s() is not None:
            return jsonify({"status": DRAINING}), 503
        return jsonify({"status": "ok"}), 200

    @app.get("/metrics")
    def exposition() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)


def _add_spool(app: Flask, door: Door, left_s: LeftS) -> None:
    @app.get("/v1/spool")
    def spool() -> Response:
        folder = door.spool.folder
        return jsonify(
            {
                "spool": door.spool.id,
                "last_seq": door.spool.last_seq,
                "shipped_seq": read_progress(folder).seq,
                "oldest_unshipped_ms": oldest_unshipped_ms(folder),
                "waiting_bytes": waiting_bytes(folder),
                "quiet_s": max(0.0, time.time() - door.spool.newest_ms / 1000),
                "left_s": left_s(),
            }
        )
