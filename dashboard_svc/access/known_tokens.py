"""Tokens as this process knows them: each is read again after KEPT_S, so that a revocation is soon seen."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from recount.errors import Unavailable
from recount.store.catalog import token_digest
from recount.store.tokens import USE_NOTED_EVERY_MS, ApiToken, Tokens

KEPT_S: Final = 2.0
KEPT_MAX: Final = 10_000
V = TypeVar("V")


class KnownTokens:
    """Safe to share between threads."""

    def __init__(
        self, tokens: Tokens, *, clock: Callable[[], float] = time.monotonic, kept_s: float = KEPT_S
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._read: OrderedDict[str, tuple[float, ApiToken | None]] = OrderedDict()
        self._noted: OrderedDict[str, int] = OrderedDict()

    def find(self, secret: str) -> ApiToken | None:
        """The token of a secret, at most KEPT_S old. Raises Unavailable where the catalog is away."""
        digest, now = token_digest(secret), self._clock()
        with self._lock:
            read_at, token = self._read.get(digest, (float("-inf"), None))
        if now - read_at < self._kept_s:
            return token
        token = self._tokens.find(secret)
        with self._lock:
            _keep(self._read, digest, (now, token))
        return token

    def used(self, token: ApiToken, secret: str, now_ms: int) -> None:
        """Note a use, about once a minute; a catalog that is away now is no reason to refuse."""
        with self._lock:
            if now_ms - self._noted.get(token.id, 0) < USE_NOTED_EVERY_MS:
                return
            _keep(self._noted, token.id, now_ms)
        try:
            self._tokens.used(secret, now_ms)
        except Unavailable as error:
            structlog.get_logger().warning("token_use_not_noted", token=token.id, part=error.part)


def _keep(kept: OrderedDict[str, V], key: str, value: V) -> None:
    """The newest KEPT_MAX."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT_MAX:
        kept.popitem(last=False)
