"""The Stats API, `/api/v1/...`: one file a resource, each a blueprint that `blueprints` lists."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint

from dashboard_svc.access.gate import ReadableSites
from dashboard_svc.api import corrections, live, query, reference, sites
from dashboard_svc.services import Services


def blueprints(services: Services) -> list[Blueprint]:
    """Everything below `/api/`, in sight of no more sites than the caller may read."""
    readable = replace(services, sites=ReadableSites(services.sites))
    return [part.blueprint(readable) for part in (query, live, corrections, sites, reference)]
