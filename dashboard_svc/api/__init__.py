"""The Stats API, `/api/v1/...`: one file a resource, each a blueprint that `blueprints` lists."""

from __future__ import annotations

from flask import Blueprint

from dashboard_svc.api import corrections, exports, funnels, live, query, reference, sites
from dashboard_svc.services import Services


def blueprints(services: Services) -> list[Blueprint]:
    """Everything below `/api/`."""
    parts = (query, funnels, exports, live, corrections, sites, reference)
    return [part.blueprint(services) for part in parts]
