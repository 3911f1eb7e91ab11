"""The Stats API, `/api/v1/...`: one file a resource, each a blueprint that `blueprints` lists."""

from __future__ import annotations

from flask import Blueprint

from dashboard_svc.api import corrections, live, query, reference, sites
from dashboard_svc.services import Services


def blueprints(services: Services) -> list[Blueprint]:
    """Everything below `/api/`."""
    return [part.blueprint(services) for part in (query, live, corrections, sites, reference)]
