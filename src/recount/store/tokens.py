"""API tokens: who may read which sites, kept in the table `catalog`. Only a token's SHA-256 is kept.

    api-token / <digest>      the token, without itself
    api-token-id / <id>       which digest an id stands for
    api-token-use / <digest>  when it was used last, to a minute

Site tokens (`recount.store.catalog`) are others: they send events, these read numbers.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from typing import Final, Literal, cast

import msgspec

from recount.errors import InvalidInput
from recount.store.catalog import token_digest
from recount.store.table import Table

Scope = Literal["stats:read", "export"]
SCOPES: Final[tuple[Scope, ...]] = ("stats:read", "export")
PREFIX: Final = "rcs_"
SITE_PREFIX: Final = "rt_"
TOKENS: Final = "api-token"
IDS: Final = "api-token-id"
USES: Final = "api-token-use"
NAME_MAX: Final = 100
SITES_MAX: Final = 100
DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 3_650
USE_NOTED_EVERY_MS: Final = 60_000
_DAYS: Final = re.compile(r"(\d{1,4})d")


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token opens, and for how long; `id` names it without opening anything."""

    id: str
    name: str
    sites: tuple[str, ...]
    scopes: tuple[Scope, ...]
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None

    def state(self, now_ms: int) -> Literal["active", "expired", "revoked"]:
        if self.revoked_ms is not None:
            return "revoked"
        return "expired" if self.expires_ms is not None and self.expires_ms <= now_ms else "active"


class Tokens:
    """Makes, finds, lists and revokes tokens; every read is of what is stored now."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(
        self,
        name: str,
        sites: Collection[str],
        scopes: Collection[str],
        *,
        now_ms: int,
        expires_ms: int | None = None,
    ) -> tuple[ApiToken, str]:
        """A new token and its secret, which is never to be seen again. Raises InvalidInput."""
        made = ApiToken(
            id=secrets.token_hex(4),
            name=_name(name),
            sites=_sites(sites),
            scopes=_scopes(scopes),
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
        secret = PREFIX + secrets.token_urlsafe(32)
        digest = token_digest(secret)
        self._table.put({"pk": IDS, "sk": made.id, "digest": digest}, if_absent=True)
        self._table.put(_item(digest, made), if_absent=True)
        return made, secret

    def find(self, secret: str) -> ApiToken | None:
        """The token of a secret as it was sent, whatever its state; None where there is none."""
        item = self._table.get((TOKENS, token_digest(secret)), consistent=True)
        return None if item is None else _token(item["token"])

    def all(self) -> list[tuple[ApiToken, int | None]]:
        """Every token with the moment of its last use (ms UTC), oldest first."""
        uses = {item["sk"]: int(item["at"]) for item in self._table.query(USES, consistent=True)}
        found = [
            (_token(item["token"]), uses.get(item["sk"]))
            for item in self._table.query(TOKENS, consistent=True)
        ]
        return sorted(found, key=lambda one: (one[0].created_ms, one[0].id))

    def revoke(self, token_id: str, now_ms: int) -> ApiToken:
        """Close a token for good; fine where it was closed before. Raises InvalidInput for an unknown id."""
        known = self._table.get((IDS, token_id), consistent=True) if token_id else None
        item = None if known is None else self._table.get((TOKENS, known["digest"]), consistent=True)
        if item is None:
            raise InvalidInput(f"there is no token {token_id!r}; `recount tokens list` shows all", field="id")
        token = _token(item["token"])
        if token.revoked_ms is None:
            token = msgspec.structs.replace(token, revoked_ms=now_ms)
            self._table.put(_item(item["sk"], token))
        return token

    def used(self, secret: str, now_ms: int) -> None:
        """Note that a token was used. Beside the token, so that it can never undo a revocation."""
        self._table.put({"pk": USES, "sk": token_digest(secret), "at": now_ms})


def expiry(text: str, now_ms: int) -> int:
    """The moment (ms UTC) that `90d` is from now. Raises InvalidInput."""
    given = _DAYS.fullmatch(text)
    if given is None or not 1 <= int(given[1]) <= DAYS_MAX:
        raise InvalidInput(f"{text!r} is no lifetime; give days, from 1d to {DAYS_MAX}d", field="expires")
    return now_ms + int(given[1]) * DAY_MS


def _name(given: str) -> str:
    name = given.strip()
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise InvalidInput(f"a name has 1 to {NAME_MAX} printable characters", field="name")
    return name


def _sites(given: Collection[str]) -> tuple[str, ...]:
    if not 1 <= len(given) <= SITES_MAX:
        raise InvalidInput(f"a token is for 1 to {SITES_MAX} sites", field="sites")
    return tuple(sorted(set(given)))


def _scopes(given: Collection[str]) -> tuple[Scope, ...]:
    unknown = sorted(set(given) - set(SCOPES))
    if unknown or not given:
        what = f"no scope {unknown[0]!r}" if unknown else "a token needs a scope"
        raise InvalidInput(f"{what}; known: {', '.join(SCOPES)}", field="scopes")
    return tuple(scope for scope in SCOPES if scope in given)


def _item(digest: str, token: ApiToken) -> dict[str, object]:
    return {"pk": TOKENS, "sk": digest, "token": msgspec.json.encode(token).decode()}


def _token(text: object) -> ApiToken:
    return msgspec.json.decode(cast("str", text), type=ApiToken)
