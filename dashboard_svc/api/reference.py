"""What describes the API: the OpenAPI document, the same as a page, and a page for each kind of problem."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, render_template

from dashboard_svc.access.gate import DESCRIPTIONS
from dashboard_svc.api.openapi import document
from dashboard_svc.problem_types import PREFIX, TYPES
from dashboard_svc.services import Services

DOCUMENT, PAGE = DESCRIPTIONS


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("api_reference", __name__)
    made = document(tokens_required=services.gate.required)
    encoded = orjson.dumps(made)

    @api.get(DOCUMENT)
    def openapi() -> Response:
        return Response(encoded, content_type="application/json", headers={"Cache-Control": "no-cache"})

    @api.get(PAGE)
    def page() -> Response:
        return _page("reference.html", api=made, problems=TYPES.values())

    @api.get(PREFIX)
    def problems() -> Response:
        return _page("problems.html", problems=TYPES.values())

    @api.get(f"{PREFIX}<kind>")
    def problem(kind: str) -> tuple[Response, int]:
        """Where `type` of a problem leads."""
        known = [TYPES[kind]] if kind in TYPES else []
        return _page("problems.html", problems=known or TYPES.values()), 200 if known else 404

    return api


def _page(template: str, **values: object) -> Response:
    return Response(render_template(template, **values), headers={"Cache-Control": "no-cache"})
