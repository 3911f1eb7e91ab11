"""Fills in the configuration files of HAProxy and Traefik. Pure: settings in, text out."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge.front import LOOPBACK, OPERATOR, refusals
from edge.front.refusals import RATE_WINDOW_S, RETRY_AFTER_S
from recount.callers import REQUEST_HEADER
from recount.errors import SetupError
from recount.limits import BODY_BATCH_MAX_BYTES, BODY_IMPORT_MAX_BYTES
from recount.settings import Settings

FILES_MAX: Final = 20_000  # two a connection, or as many as the system allows
STOP_WITHIN_S: Final = 5
SLOW_CLIENT_S: Final = 10
ADDRESS_MAX_BYTES: Final = 17_000  # the pixel's query has up to 16 KB
HEADERS_MAX_BYTES: Final = 12_000
BUFFER_BYTES: Final = 32 * 1024  # holds both
BODY_MAX_BYTES: Final = 256 * 1024  # of what is no event; the dashboard takes no more
WHOLE_BODY_MAX_BYTES: Final = 16_000  # which HAProxy holds until it is complete
BODY_HEADER: Final = "Recount-Body"
OPERATOR_HEADER: Final = "Recount-Operator"  # who has passed with the operators' password
TOKEN_FACTOR: Final = 10  # how much more often a server with a token may ask
TRAEFIKS_MAX: Final = 10
CACHE_MAX_MEGABYTES: Final = 64
CACHED_OBJECT_MAX_BYTES: Final = 2_000_000
CACHED_MAX_S: Final = 7 * 24 * 3600

# What a client could claim about itself, and what only proxies may say.
CLAIMS: Final = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    REQUEST_HEADER,
    BODY_HEADER,
    OPERATOR_HEADER,
)
COLLECTING_PATHS: Final = ("/p.gif", "/recount.js", "/v1/events")
# Answered by every service for its own operators; not through the front.
INTERNAL_PATHS: Final = ("/metrics", "/healthz", "/readyz")


def haproxy_config(settings: Settings) -> str:
    """The whole haproxy.cfg. Raises SetupError naming the setting that cannot be used."""
    return _fill(
        "haproxy.cfg",
        bind=f"{settings.host}:{settings.front_port}",
        certificate=settings.front_certificate,
        loopback=LOOPBACK,
        admin_port=settings.front_admin_port,
        consul_dns=settings.consul_dns,
        balancers=" ".join(networks("front_trusted_proxies", settings.front_trusted_proxies)),
        claims=CLAIMS,
        request_id_header=REQUEST_HEADER,
        rate_limit_per_s=settings.rate_limit_per_s,
        rate_window_s=RATE_WINDOW_S,
        token_factor=TOKEN_FACTOR,
        files_max=FILES_MAX,
        stop_within_s=STOP_WITHIN_S,
        slow_client_s=SLOW_CLIENT_S,
        address_max_bytes=ADDRESS_MAX_BYTES,
        headers_max_bytes=HEADERS_MAX_BYTES,
        buffer_bytes=BUFFER_BYTES,
        events_max_bytes=BODY_BATCH_MAX_BYTES,
        import_max_bytes=BODY_IMPORT_MAX_BYTES,
        body_max_bytes=BODY_MAX_BYTES,
        body_header=BODY_HEADER,
        whole_body_max_bytes=WHOLE_BODY_MAX_BYTES,
        retry_after_s=RETRY_AFTER_S,
        traefiks_max=TRAEFIKS_MAX,
        cache_max_megabytes=CACHE_MAX_MEGABYTES,
        cached_object_max_bytes=CACHED_OBJECT_MAX_BYTES,
        cached_max_s=CACHED_MAX_S,
        refuse=refusals.rules,
        collecting=refusals.COLLECTING,
        programs=refusals.PROGRAMS,
        in_words=refusals.IN_WORDS,
    )


def traefik_config(settings: Settings, routes: Path) -> str:
    """Traefik's own settings (YAML); `routes` is the file that holds `traefik_routes`."""
    return _fill(
        "traefik.yaml",
        bind=f"{settings.host}:{settings.traefik_port}",
        admin=f"{LOOPBACK}:{settings.traefik_admin_port}",
        proxies=networks("trusted_proxies", settings.trusted_proxies),
        consul=urlsplit(settings.consul),
        consul_token=settings.consul_token,
        drain_s=settings.drain_s,
        routes=str(routes),
    )


def traefik_routes(settings: Settings, operator_password: str) -> str:
    """Traefik's routes (YAML). The password goes in as a hash only."""
    return _fill(
        "routes.yaml",
        collecting=" || ".join(f"Path(`{path}`)" for path in COLLECTING_PATHS),
        public=" && ".join(["PathPrefix(`/`)", *(f"!Path(`{path}`)" for path in INTERNAL_PATHS)]),
        body_header=BODY_HEADER,
        events_max_bytes=BODY_BATCH_MAX_BYTES,
        import_max_bytes=BODY_IMPORT_MAX_BYTES,
        operator=f"{OPERATOR}:{hashed(operator_password)}",
        operator_header=OPERATOR_HEADER,
        dagster=f"http://{settings.host}:{settings.dagster_port}",
    )


def hashed(password: str) -> str:
    """As htpasswd files have it. A plain digest does: the password is random, not a word to be guessed."""
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "{SHA}" + base64.b64encode(digest).decode()


def networks(setting: str, text: str) -> list[str]:
    """The networks of a comma-separated setting. Raises SetupError naming it."""
    try:
        return [str(ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip()]
    except ValueError:
        name = f"RECOUNT_{setting.upper()}"
        raise SetupError("settings", f"{name}={text!r}", "list networks such as 10.0.0.0/8") from None


def _fill(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # no HTML
    )
    return environment.get_template(template).render(values)
