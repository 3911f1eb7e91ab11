"""What HAProxy refuses by itself, said as the service behind it says it: an ingest, the API, or a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

from recount.reasons import DROP_HEADER, Reason

RATE_WINDOW_S: Final = 10
RETRY_AFTER_S: Final = 5

# Whom a request is for, as the ACLs of haproxy.cfg have it.
COLLECTING, API, PAGES = "is_collecting", "is_api", "!is_collecting !is_api"
PROGRAMS: Final = (COLLECTING, API)
EVERYBODY: Final = (*PROGRAMS, PAGES)
# What Traefik answers by itself, and what is said instead; also of those that HAProxy cannot reach.
IN_WORDS: Final[Mapping[int, str]] = {
    413: "The body is too large.",
    502: "The answer broke off behind this door; try again.",
    503: "No instance of the service answers now; try again.",
    504: "The service did not answer in time; try again.",
}


@dataclass(frozen=True)
class _Kind:
    """`kind`, `title`: of the API's catalogue of problems; `remedy`: what the sender should do."""

    kind: str
    title: str
    remedy: str
    reason: Reason
    retry_after_s: int | None = None


_KINDS: Final[Mapping[int, _Kind]] = {
    413: _Kind("too-large", "The body is too large", "Send less at once.", Reason.TOO_LARGE),
    429: _Kind(
        "rate-limited",
        "Too many requests",
        "Wait as many seconds as Retry-After says.",
        Reason.RATE_LIMITED,
        RATE_WINDOW_S,
    ),
    503: _Kind(
        "unavailable",
        "A part is away",
        "Ask again after as many seconds as Retry-After says. Nothing is lost meanwhile.",
        Reason.UNAVAILABLE,
        RETRY_AFTER_S,
    ),
}


def rules(
    status: int,
    detail: str,
    condition: str,
    audiences: tuple[str, ...] = EVERYBODY,
    ruleset: str = "http-request",
) -> str:
    """`return` rules for haproxy.cfg, one a form of answer, for whatever fits the condition."""
    made = (f"{ruleset} {_answer(status, detail, whom)} if {whom} {condition}" for whom in audiences)
    return "\n    ".join(made)


def _answer(status: int, detail: str, whom: str) -> str:
    known = _KINDS.get(status)
    headers = {"Access-Control-Allow-Origin": "*"}  # readable by scripts of every origin
    exposed = []
    if whom == COLLECTING:
        content_type, text = "application/json", _json(_rejected(status, detail))
        headers[DROP_HEADER] = _reason(status).value
        exposed.append(DROP_HEADER)
    elif whom == API:
        content_type, text = "application/problem+json", _json(_problem(status, detail))
        headers["Cache-Control"] = "no-store"
    else:
        content_type, text = "text/plain", detail
    if known is not None and known.retry_after_s is not None:
        headers["Retry-After"] = str(known.retry_after_s)
        exposed.append("Retry-After")
    if exposed:
        headers["Access-Control-Expose-Headers"] = ", ".join(exposed)
    added = " ".join(f'hdr {name} "{value}"' for name, value in headers.items())
    return f"return status {status} content-type {content_type} string '{text}' {added}"


def _rejected(status: int, detail: str) -> dict[str, Any]:
    """As `edge.answers` has it."""
    return {"accepted": 0, "rejected": [{"index": 0, "reason": _reason(status).value, "detail": detail}]}


def _problem(status: int, detail: str) -> dict[str, Any]:
    """As RFC 9457 and the dashboard have it."""
    known = _KINDS.get(status)
    if known is None:
        title = HTTPStatus(status).phrase
        return {"type": "about:blank", "title": title, "status": status, "detail": detail}
    said = {"type": f"/problems/{known.kind}", "title": known.title, "status": status, "detail": detail}
    return said | {"remedy": known.remedy}


def _reason(status: int) -> Reason:
    """Whatever has no kind of its own is a head that is too large, or a part that is away."""
    if status in _KINDS:
        return _KINDS[status].reason
    return Reason.TOO_LARGE if status < HTTPStatus.INTERNAL_SERVER_ERROR else Reason.UNAVAILABLE


def _json(body: dict[str, Any]) -> str:
    return orjson.dumps(body).decode()
