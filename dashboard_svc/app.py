"""The application factory: only wires."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from flask import Flask, Response, request, send_from_directory

from dashboard_svc import api, caching, health, operators, pages, problems, security
from dashboard_svc.access.gate import ReadableSites
from dashboard_svc.desk import Desk
from dashboard_svc.services import Services

STATIC: Final = Path(__file__).parent / "static"
ASSET_KEPT_S: Final = 365 * 24 * 3600
ASSET: Final = "asset"


def create_app(services: Services, desk: Desk | None = None) -> Flask:
    """The whole application but the live streams, which do not pass through WSGI (see `server`); with a desk
    also the pages of operators."""
    app = Flask("dashboard_svc", static_folder=None)
    version = app.config["asset_version"] = asset_version()
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["asset"] = lambda name: f"/static/{version}/{name}"
    services.gate.register(app)
    services = replace(services, sites=ReadableSites(services.sites))
    app.register_blueprint(health.blueprint(services))
    for part in api.blueprints(services):
        app.register_blueprint(part)
    app.add_url_rule("/static/<version>/<path:name>", ASSET, _asset)
    if desk is not None:
        app.register_blueprint(operators.blueprint(desk))
    app.register_blueprint(pages.blueprint(services))
    problems.register(app)
    app.logger.disabled = True  # what goes wrong is logged by `problems`, structured
    app.after_request(security.secure)
    app.after_request(_keep_personal)
    return app


def _keep_personal(response: Response) -> Response:
    return response if request.endpoint == ASSET else caching.keep_personal(request, response)


def asset_version() -> str:
    """Changes with any asset, so that browsers may keep them for ever."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    for path in sorted((STATIC.parent / "templates").rglob("*.html")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _asset(version: str, name: str) -> Response:
    response = send_from_directory(STATIC, name, max_age=ASSET_KEPT_S)
    response.cache_control.public = True
    response.cache_control.immutable = True
    return response
