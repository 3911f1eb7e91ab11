"""What a request for a page asks: site, range, what was chosen; and how far a kept copy still holds."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final
from urllib.parse import urlencode

from flask import current_app, request

from dashboard_svc import caching, ranges
from dashboard_svc.panels import PANELS
from dashboard_svc.services import Services
from recount.store.catalog import Site

NEAR_MAX: Final = 3
STATE: Final = (*ranges.PARAMETERS, "interval", "metric", "compare", *(panel.name for panel in PANELS))


class UnknownSite(Exception):
    """No site of this name; `near` are names much like it."""

    def __init__(self, name: str, near: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.near = near


def known(services: Services, name: str) -> Site:
    """Raises UnknownSite."""
    site = services.sites.get(name)
    if site is None:
        raise UnknownSite(name, difflib.get_close_matches(name, list(services.sites.all()), NEAR_MAX))
    return site


def asked_range(services: Services, site: Site) -> ranges.Range:
    """Raises InvalidInput naming the parameter at fault."""

    def first_day() -> date | None:
        extent = services.answerer.extent(site)
        return None if extent is None else date.fromisoformat(extent[0])

    return ranges.parse(request.args, zone=site.timezone, now_ms=services.now_ms(), extent=first_day)


def kept_state() -> dict[str, str]:
    """What the address keeps of a page: range, interval, metric and tabs, where they were chosen."""
    return {name: request.args[name] for name in STATE if request.args.get(name)}


def linker(kept: dict[str, str]) -> Callable[..., str]:
    """Links that keep the page's state but for what is given; None drops a parameter."""

    def link(range_: Mapping[str, str] | None = None, **changes: str | None) -> str:
        state = {name: value for name, value in {**kept, **(range_ or {}), **changes}.items() if value}
        return "?" + urlencode(state, safe=":/")

    return link


def asked(site: Site, shown: ranges.Range, now_ms: int, more: str = "") -> caching.Asked:
    """`more`: what the page shows besides the numbers of the range."""
    return caching.Asked(request, shown.span.bounds_ms(site.timezone)[1], now_ms, _salt(site) + more)


def named(site: Site, made: caching.Made) -> dict[str, str]:
    """The parameter with which full lists made of the same may be kept for ever."""
    return {caching.NAMED: caching.name(made, _salt(site))}


def _salt(site: Site) -> str:
    """What the pages show of a site besides numbers, and the build of the pages."""
    return f"{site.domain}|{site.timezone}|{current_app.config['asset_version']}|"
