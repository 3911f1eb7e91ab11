"""Headers that every answer carries, and the names under which the dashboard may be asked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from flask import Response

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), browsing-topics=()"),
)


LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


def is_own_name(host: str, own: Collection[str]) -> bool:
    """Whether a Host header names this dashboard: without sign-in, a page elsewhere whose name was made to
    point here (DNS rebinding) must not read it. `own`: where it listens, and the name of the front."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.lower() in LOOPBACK or name.lower() in own


def secure(response: Response) -> Response:
    for name, value in HEADERS:
        response.headers.setdefault(name, value)
    return response
