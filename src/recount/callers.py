"""Who is asking: the client's address, believing X-Forwarded-For only where a configured proxy wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from recount.errors import SetupError

CACHED_ADDRESSES: Final = 65_536
BEARER: Final = "Bearer "
REQUEST_HEADER: Final = "Recount-Request"  # the front's name for a request, the same when it is sent again


def normalise(address: str) -> str | None:
    """The address in its shortest form, IPv4 out of IPv6 clothing; None where it is none."""
    try:
        parsed = ip_address(address.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def bearer_token(authorization: str) -> str:
    """The token of an Authorization header (RFC 6750); empty where there is none."""
    return authorization[len(BEARER) :].strip() if authorization.startswith(BEARER) else ""


class Proxies:
    """The addresses whose X-Forwarded-For counts, as the setting `trusted_proxies` lists them."""

    def __init__(self, setting: str) -> None:
        self._networks = [_network(part.strip()) for part in setting.split(",") if part.strip()]
        self._trusts = lru_cache(CACHED_ADDRESSES)(self._is_trusted)
        self._clean = lru_cache(CACHED_ADDRESSES)(normalise)

    def client_address(self, environ: Mapping[str, Any]) -> str:
        """The nearest address that is not a trusted proxy; proxies append theirs at the right."""
        peer = self._clean(environ["REMOTE_ADDR"]) or ""
        if not self._networks or not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            address = self._clean(hop) if hop else None
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _is_trusted(self, address: str) -> bool:
        if not address:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise SetupError(
            "settings",
            f"RECOUNT_TRUSTED_PROXIES holds {text!r}",
            "list networks such as 10.0.0.0/8",
        ) from None
