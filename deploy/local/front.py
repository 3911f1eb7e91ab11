"""Where a stack is reached: through its front once that is open, until then on the services' own ports."""

from __future__ import annotations

from typing import Final

import httpx

from recount.settings import DAGSTER_PREFIX, Settings

ASK_TIMEOUT_S: Final = 1.0
# Answered by an ingest, kept by no cache, and without any effect.
PROBE: Final = ("OPTIONS", "/v1/events")


def is_open(settings: Settings) -> bool:
    """Whether a request to the front reaches an ingest."""
    method, path = PROBE
    url = settings.public_url + path
    try:
        # The certificate is for visitors, and may name another host than the one asked here.
        answer = httpx.request(method, url, timeout=ASK_TIMEOUT_S, trust_env=False, verify=False)
    except httpx.TransportError:
        return False
    return answer.is_success


def collecting_url(settings: Settings) -> str:
    """Where visitors' browsers and servers send events."""
    if settings.front_url or is_open(settings):
        return settings.public_url
    return f"http://{settings.host}:{settings.ingest_port}"


def reading_url(settings: Settings) -> str:
    """Where people read the numbers."""
    if is_open(settings):
        return settings.public_url
    return f"http://{settings.host}:{settings.dashboard_port}"


def dagster_url(settings: Settings) -> str:
    """Dagster itself, which needs no password on this machine."""
    return f"http://{settings.host}:{settings.dagster_port}{DAGSTER_PREFIX}"
