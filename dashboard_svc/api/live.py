"""`/api/v1/live/<site>`: the last minutes, as the live service gives them (docs/live.md)."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, request

from dashboard_svc.problem_types import Problem
from dashboard_svc.services import Services
from recount.errors import InvalidInput, Unavailable

PATH: Final = "/api/v1/live/"
MINUTES_DEFAULT: Final = 30
MINUTES_MAX: Final = 7 * 24 * 60  # the live service says how far it goes back itself


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("api_live", __name__)

    @api.get(f"{PATH}<site_id>")
    def get(site_id: str) -> Response:
        """Raises Unavailable where no live instance answers."""
        unknown = sorted(set(request.args) - {"minutes"})
        if unknown:
            raise InvalidInput(f"no parameter {unknown[0]!r}; known: minutes", field=unknown[0])
        if services.sites.get(site_id) is None:
            raise Problem("not-found", f"there is no site {site_id!r}", field="site")
        state = services.live.state(site_id, _minutes(request.args.get("minutes")))
        if state is None:
            raise Unavailable("the live service", "no instance answers for this site")
        return Response(state, content_type="application/json", headers={"Cache-Control": "no-store"})

    return api


def _minutes(text: str | None) -> int:
    if text is None:
        return MINUTES_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MINUTES_MAX):
        raise InvalidInput(f"minutes is a whole number from 1 to {MINUTES_MAX}", field="minutes")
    return int(text)
