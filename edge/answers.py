"""Status, headers and bodies of the door's answers, the same from the fast path and from Flask."""

from __future__ import annotations

from typing import Final

import orjson

from edge.door import Answer
from recount.errors import Refused, Unavailable
from recount.reasons import DROP_HEADER, Reason

Headers = list[tuple[str, str]]

GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
RETRY_AFTER_S: Final = 5

STATUS: Final[dict[Reason, str]] = {
    Reason.UNKNOWN_SITE: "404 Not Found",
    Reason.BAD_JSON: "400 Bad Request",
    Reason.BAD_EVENT: "400 Bad Request",
    Reason.TOO_LARGE: "413 Content Too Large",
    Reason.TOO_MANY: "413 Content Too Large",
    Reason.TOO_OLD: "400 Bad Request",
    Reason.IN_THE_FUTURE: "400 Bad Request",
    Reason.NOT_ALLOWED: "403 Forbidden",
    Reason.OPTED_OUT: "202 Accepted",
    Reason.HOSTNAME_NOT_ALLOWED: "403 Forbidden",
    Reason.RATE_LIMITED: "429 Too Many Requests",
    Reason.SPOOL_FULL: "503 Service Unavailable",
    Reason.UNAVAILABLE: "503 Service Unavailable",
}

# No more than is needed: each header costs a microsecond, a twentieth of a request. An image needs no CORS,
# answers to a POST are not cached.
GIF_HEADERS: Final[Headers] = [("Content-Type", "image/gif"), ("Cache-Control", "no-store")]
JSON_HEADERS: Final[Headers] = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
EXPOSE: Final = ("Access-Control-Expose-Headers", f"{DROP_HEADER}, Retry-After")
PREFLIGHT_HEADERS: Final[Headers] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Encoding, Content-Type"),
    ("Access-Control-Max-Age", "86400"),
    ("Content-Length", "0"),
]
ONE_ACCEPTED: Final = b'{"accepted":1,"rejected":[]}'


def as_refused(error: Refused | Unavailable) -> Refused:
    """What is away at the moment, as a refusal that says so."""
    if isinstance(error, Refused):
        return error
    return Refused(Reason.UNAVAILABLE, f"{error.part} is unavailable; try again later")


def refusal_headers(reason: Reason, base: Headers) -> Headers:
    """The headers that go with a refusal. Only the enumerated reason gets there, nothing of what was sent."""
    headers = [*base, (DROP_HEADER, reason.value), EXPOSE]
    if STATUS[reason].startswith(("503", "429")):
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    return headers


def batch(answer: Answer) -> tuple[str, Headers, bytes]:
    """202 where something was taken (or there was nothing to take), else the status of the first refusal."""
    body = orjson.dumps({"accepted": answer.accepted, "rejected": answer.rejected})
    if not answer.rejected:
        return "202 Accepted", JSON_HEADERS, body
    first = Reason(answer.rejected[0]["reason"])
    headers = refusal_headers(first, JSON_HEADERS)
    return ("202 Accepted" if answer.accepted else STATUS[first]), headers, body


def single_refusal(refused: Refused) -> tuple[str, Headers, bytes]:
    body = orjson.dumps(
        {"accepted": 0, "rejected": [{"index": 0, "reason": refused.reason.value, "detail": refused.detail}]}
    )
    return STATUS[refused.reason], refusal_headers(refused.reason, JSON_HEADERS), body
