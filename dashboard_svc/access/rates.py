"""How often somebody may ask: requests a minute, counted in this process with `limits`.

Several dashboards count each for itself. As the front spreads requests evenly, a request here counts for as
many as there are instances: so the limits hold for all of them together, and nothing is shared or asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, Literal

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

Of = Literal["token", "client"]
WINDOW_S: Final = 60
CALLERS_MAX: Final = 10_000  # counted one by one within a minute; further ones are counted together
INSTANCES_KEPT_S: Final = 2.0
_OTHERS: Final = "others"
_SUBSCRIBER_BITS: Final = 64  # of an IPv6 address: the rest is for a subscriber to choose


@dataclass(frozen=True)
class Rate:
    """Where a caller stands after a request; `reset_s`: when all of `limit` is free again."""

    of: Of
    limit: int
    remaining: int
    reset_s: int
    is_exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft "RateLimit header fields for HTTP" has them, and as its older versions had."""
        return {
            "RateLimit-Policy": f'"{self.of}";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"{self.of}";r={self.remaining};t={self.reset_s}',
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


class Rates:
    """Safe to share between threads. A limit of 0 is none."""

    def __init__(self, per_token: int, per_client: int, instances: Callable[[], int]) -> None:
        """Both per minute; `instances`: how many dashboards the requests are spread over."""
        self._limits: dict[Of, int] = {"token": per_token, "client": per_client}
        self._instances = instances
        self._known = (-math.inf, 1)
        self._counted = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._counted)

    def count(self, of: Of, who: str) -> Rate | None:
        """One more request of a token's id or a client's address; None where there is no limit."""
        limit = self._limits[of]
        if not limit:
            return None
        item = RateLimitItemPerMinute(limit, namespace=of)
        key = self._key(item, who)
        is_within = self._limiter.hit(item, key, cost=min(limit, self._cost()))
        stats = self._limiter.get_window_stats(item, key)
        reset_s = max(1, math.ceil(stats.reset_time - time.time()))
        return Rate(of, limit, stats.remaining, reset_s, not is_within)

    def _key(self, item: RateLimitItemPerMinute, who: str) -> str:
        counted = self._counted.storage
        is_new = item.key_for(who) not in counted
        return _OTHERS if is_new and len(counted) >= CALLERS_MAX else who

    def _cost(self) -> int:
        read_at, count = self._known
        now = time.monotonic()
        if now - read_at >= INSTANCES_KEPT_S:
            count = max(1, self._instances())
            self._known = (now, count)
        return count


def client_key(address: str) -> str:
    """Whose requests are counted together: an address, of IPv6 the network of a subscriber."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _SUBSCRIBER_BITS), strict=False))
    return address
