"""The gate of the API: every request below `/api/` passes `Gate.admit` before its view.

Views look sites up in `ReadableSites`: so none can give away a site that the token does not open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from flask import Flask, Request, Response, g, request

from dashboard_svc.access.known_tokens import KnownTokens
from dashboard_svc.access.rates import Rate, Rates, client_key
from dashboard_svc.problem_types import Problem
from dashboard_svc.sites import KnownSites
from recount.callers import Proxies
from recount.errors import SetupError
from recount.store.catalog import Site
from recount.store.tokens import SITE_PREFIX, ApiToken, Scope

PREFIX: Final = "/api/"
MODES: Final = ("", "optional", "required")
REALM: Final = 'Bearer realm="Recount"'
EXPORTS: Final = "/api/v1/export"
DESCRIPTIONS: Final = ("/api/v1/openapi.json", "/api/v1/docs")


@dataclass(frozen=True)
class Caller:
    """Who asks; without a token everything may be read (where none is required)."""

    token: ApiToken | None

    def may_read(self, site_id: str) -> bool:
        return self.token is None or site_id in self.token.sites


class Gate:
    """Safe to share between threads."""

    def __init__(
        self,
        tokens: KnownTokens,
        rates: Rates,
        proxies: Proxies,
        *,
        required: bool,
        now_ms: Callable[[], int],
    ) -> None:
        self._tokens = tokens
        self._rates = rates
        self._proxies = proxies
        self.required = required
        self._now_ms = now_ms

    def register(self, app: Flask) -> None:
        app.before_request(self._admit)
        app.after_request(_rated)

    def _admit(self) -> None:
        if request.path.startswith(PREFIX):
            g.caller = self.admit(request, scope_of(request.path))

    def admit(self, asked: Request, scope: Scope | None) -> Caller:
        """Who asks, counted. Raises Problem: 401, 403 or 429; Unavailable where the catalog is away."""
        secret = _secret(asked.headers.get("Authorization"))
        token = None if secret is None else self._tokens.find(secret)
        opens = token is not None and token.state(self._now_ms()) == "active"
        if opens and token is not None and secret is not None:
            self._count("token", token.id)
            self._tokens.used(token, secret, self._now_ms())
            _check_scope(token, scope)
            return Caller(token)
        self._count("client", client_key(self._proxies.client_address(asked.environ)))
        if secret is not None:
            raise _opens_nothing(secret, token, self._now_ms())
        if self.required and scope is not None:
            raise Problem(
                "unauthorized", "this dashboard answers to tokens only", headers={"WWW-Authenticate": REALM}
            )
        return Caller(None)

    def _count(self, of: Any, who: str) -> None:
        rate = g.rate = self._rates.count(of, who)
        if rate is not None and rate.is_exceeded:
            detail = f"a {rate.of} may ask {rate.limit} times a minute; go on in {rate.reset_s} s"
            raise Problem("rate-limited", detail, headers={"Retry-After": str(rate.reset_s)})


class ReadableSites:
    """The sites that the request's caller may read."""

    def __init__(self, sites: KnownSites) -> None:
        self._sites = sites

    def all(self) -> dict[str, Site]:
        caller = _caller()
        return {name: site for name, site in self._sites.all().items() if caller.may_read(name)}

    def get(self, site_id: str) -> Site | None:
        """Raises Problem for one that the token does not open, whether it exists or not."""
        if not _caller().may_read(site_id):
            raise Problem("forbidden", f"the token does not open the site {site_id[:64]!r}", field="site")
        return self._sites.get(site_id)

    def read(self) -> dict[str, Site]:
        self._sites.read()
        return self.all()


def are_required(mode: str, host: str) -> bool:
    """Whether the API answers to tokens only: as the setting says, else unless only this machine can ask.

    Raises SetupError for a mode that is none, and for one that would show numbers to everybody.
    """
    if mode not in MODES:
        remedy = "set it to optional or required, or leave it out"
        raise SetupError("settings", f"RECOUNT_API_TOKENS={mode!r} is no mode", remedy)
    is_local = is_loopback(host)
    if mode == "optional" and not is_local:
        raise SetupError(
            "settings",
            f"RECOUNT_API_TOKENS=optional on {host} would show the numbers of every site to everybody",
            "set RECOUNT_API_TOKENS=required, or RECOUNT_HOST to an address of this machine alone",
        )
    return mode == "required" or not is_local


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def scope_of(path: str) -> Scope | None:
    """What a token needs for an address below `/api/`; None: it is open to all."""
    if path in DESCRIPTIONS:
        return None
    return "export" if path == EXPORTS or path.startswith(f"{EXPORTS}/") else "stats:read"


def _caller() -> Caller:
    """Who asks; of what is not below `/api/`, nobody in particular."""
    caller: Caller = g.get("caller", Caller(None))
    return caller


def _secret(authorization: str | None) -> str | None:
    """The token of the header; None where there is none."""
    if authorization is None:
        return None
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise _refused("the header Authorization is to be: Bearer <token>")
    return secret.strip()


def _opens_nothing(secret: str, token: ApiToken | None, now_ms: int) -> Problem:
    if secret.startswith(SITE_PREFIX):
        return _refused("this is a site token, for sending events; one for reading: recount tokens add")
    if token is None:
        return _refused("there is no such token")
    return _refused(f"the token {token.id} " + ("was revoked" if token.revoked_ms else "has expired"))


def _refused(detail: str) -> Problem:
    challenge = f'{REALM}, error="invalid_token", error_description="{detail}"'
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": challenge})


def _check_scope(token: ApiToken, scope: Scope | None) -> None:
    if scope is not None and scope not in token.scopes:
        challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
        detail = f"this takes the scope {scope}; the token has {', '.join(token.scopes)}"
        raise Problem("forbidden", detail, headers={"WWW-Authenticate": challenge})


def _rated(response: Response) -> Response:
    rate: Rate | None = g.get("rate")
    if rate is not None:
        response.headers.update(rate.headers)
    return response
