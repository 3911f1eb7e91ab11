"""The addresses of the pages for customers; each page is a module of its own."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.wrappers import Response as AnyResponse

from dashboard_svc import agreement, cards, corrections_page, list_page, site_page
from dashboard_svc.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def index() -> AnyResponse:
        return cards.render(services)

    @pages.get("/<name>")
    def site(name: str) -> Response:
        return site_page.render(services, name)

    @pages.get("/<name>/corrections")
    def corrections(name: str) -> Response:
        return corrections_page.render(services, name)

    @pages.get("/<name>/reconciliation")
    def reconciliation(name: str) -> Response:
        return agreement.render(services, name)

    @pages.get("/<name>/<dimension>")
    def full(name: str, dimension: str) -> AnyResponse:
        return list_page.render(services, name, dimension)

    return pages
