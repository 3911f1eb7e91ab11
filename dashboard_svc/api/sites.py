"""`/api/v1/sites`: what can be asked for."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response

from dashboard_svc.api.answers import json_answer
from dashboard_svc.services import Services
from recount.rules import goals_of
from recount.store.catalog import Site

PATH: Final = "/api/v1/sites"


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("api_sites", __name__)

    @api.get(PATH)
    def get() -> Response:
        """The sites that the token opens (without one: all), by id."""
        found = sorted(services.sites.all().values(), key=lambda site: site.id)
        common = services.scanner.common()
        return json_answer({"sites": [described(site, common) for site in found]})

    return api


def described(site: Site, common: Site) -> dict[str, Any]:
    return {
        "id": site.id,
        "domain": site.domain,
        "timezone": site.timezone,
        "currency": site.currency,
        "goals": [goal.name for goal in goals_of(site.goals, common.goals)],
    }
