"""Redaction at the door, by the site's policy: what is removed here is never stored anywhere.

Of a query only the allow-listed parameters stay. What looks like an e-mail address or a token (a session id,
a password-reset link, a JWT, a UUID) is replaced, in paths, parameters, properties and names. User names and
passwords in addresses go, and so do fragments that carry parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from recount.errors import Refused
from recount.event import URL_MAX_CHARS, PropValue
from recount.reasons import Reason
from recount.store.catalog import Redaction

CACHED_URLS: Final = 16_384
RAW_URL_MAX_CHARS: Final = 8_192
EMAIL_MASK: Final = "(email)"
TOKEN_MASK: Final = "(token)"

# Bounded repetitions: the time to search stays linear, whatever is sent.
_EMAIL: Final = re.compile(
    r"[^\s/?#&=@:,;<>\"'()]{1,64}(?:@|%40)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,7}\.[a-z]{2,24}",
    re.IGNORECASE,
)
_JWT: Final = r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_UUID: Final = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
# Long runs of letters and digits mixed: words and slugs have no digits inside, dates and numbers no letters.
_HEX: Final = r"(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{16,}"
_MIXED: Final = r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}"
_CASED: Final = r"(?=[A-Za-z]*[0-9])(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{16,}"
_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_JWT}|{_UUID}|(?:{_HEX}|{_MIXED}|{_CASED})(?![A-Za-z0-9]))")
_LONG_RUN: Final = re.compile(r"[\w.-]{16}")
_ADDRESS: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)


def mask(text: str) -> str:
    """The text with what looks like an e-mail address or a token replaced."""
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(EMAIL_MASK, text)
    if _LONG_RUN.search(text) is not None:
        text = _TOKEN.sub(TOKEN_MASK, text)
    return text


class Redactor:
    """One site's policy, with a memory of the addresses seen lately."""

    def __init__(self, policy: Redaction) -> None:
        self._keep = frozenset(name.lower() for name in policy.keep_params)
        self._mask: Callable[[str], str] = mask if policy.mask_personal else _unchanged
        self.url = lru_cache(CACHED_URLS)(self._url)
        self.referrer = lru_cache(CACHED_URLS)(self._referrer)
        self.text = self._mask

    def props(self, props: dict[str, PropValue]) -> dict[str, PropValue]:
        return {self._mask(n): self._mask(v) if isinstance(v, str) else v for n, v in props.items()}

    def _url(self, url: str) -> tuple[str, str]:
        """(redacted address, host name in lower case); raises Refused where it is no absolute address."""
        parts = _ADDRESS.fullmatch(url) if len(url) <= RAW_URL_MAX_CHARS else None
        if parts is None:
            raise Refused(Reason.BAD_EVENT, "url must be absolute, such as https://example.com/", field="url")
        scheme, authority, path, query, fragment = parts.groups()
        host = authority.rpartition("@")[2]
        name = _host_name(host)
        if not name:
            raise Refused(Reason.BAD_EVENT, "url names no host", field="url")
        redacted = f"{scheme.lower()}://{host.lower()}{self._mask(path)}{self._query(query)}{self._fragment(fragment)}"
        if len(redacted) > URL_MAX_CHARS:
            raise Refused(Reason.BAD_EVENT, f"url is longer than {URL_MAX_CHARS} characters", field="url")
        return redacted, name

    def _referrer(self, referrer: str) -> str | None:
        """The redacted referrer; only its origin where it is too long, None where it is no address."""
        parts = _ADDRESS.match(referrer[:RAW_URL_MAX_CHARS])
        if parts is None:
            return None
        scheme, authority, path, query, _ = parts.groups()
        origin = f"{scheme.lower()}://{authority.rpartition('@')[2].lower()}"
        redacted = f"{origin}{self._mask(path)}{self._query(query)}"
        if len(redacted) <= URL_MAX_CHARS:
            return redacted
        return f"{origin}/" if len(origin) < URL_MAX_CHARS else None

    def _query(self, query: str | None) -> str:
        if not query:
            return ""
        kept = []
        for pair in query.split("&"):
            name, equals, value = pair.partition("=")
            if unquote_plus(name).lower() in self._keep:
                kept.append(f"{name}{equals}{self._value(value)}")
        return "?" + "&".join(kept) if kept else ""

    def _value(self, value: str) -> str:
        """A parameter, masked as it reads decoded: encoding must not hide an address."""
        masked = self._mask(value)
        if masked == value and "%" in value:
            decoded = unquote_plus(value)
            return value if self._mask(decoded) == decoded else TOKEN_MASK
        return masked

    def _fragment(self, fragment: str | None) -> str:
        """Routes of single-page applications stay; parameters behind a `#` are as private as a query."""
        route = (fragment or "").partition("?")[0]
        return "#" + self._mask(route) if route and "=" not in route and "&" not in route else ""


def _host_name(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.partition(":")[0].lower()


def _unchanged(text: str) -> str:
    return text
