"""What can go wrong with a request to the API: one catalogue, from which answers, pages and the OpenAPI
document are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote


@dataclass(frozen=True)
class ProblemType:
    """`meaning`: when it is answered; `remedy`: what the sender should do."""

    kind: str
    status: int
    title: str
    meaning: str
    remedy: str

    @property
    def path(self) -> str:
        """Its `type` (RFC 9457), where a page says the same."""
        return f"{PREFIX}{quote(self.kind)}"


PREFIX: Final = "/problems/"
_ALL: Final = (
    ProblemType(
        "invalid-query",
        400,
        "The query cannot be answered",
        "A field is unknown, missing, of the wrong kind, or asks for what cannot be answered.",
        "Change the field that `field` names; `detail` says what is possible.",
    ),
    ProblemType(
        "invalid-json",
        400,
        "The body is no JSON",
        "The body is not UTF-8, no JSON (NaN is none), nested too deep, or names a field twice.",
        "Send one JSON object, or a list of them, with each field once.",
    ),
    ProblemType(
        "unauthorized",
        401,
        "The token opens nothing",
        "The token is unknown, has expired or was revoked, or none was sent where one is required.",
        "Send Authorization: Bearer <token>; make a token with `recount tokens add`.",
    ),
    ProblemType(
        "forbidden",
        403,
        "The token does not open this",
        "The token is good, but not for this site, or it lacks the scope that this takes.",
        "Ask for a site of the token (GET /api/v1/sites), or use a token made for this site and scope.",
    ),
    ProblemType(
        "not-found",
        404,
        "There is no such thing",
        "The address leads to nothing, or names a site that does not exist.",
        "Look the address up at /api/v1/docs, and the sites at /api/v1/sites.",
    ),
    ProblemType(
        "method-not-allowed",
        405,
        "Not with this method",
        "The address takes other methods.",
        "Use one of those that the header Allow lists.",
    ),
    ProblemType(
        "too-large",
        413,
        "The body is too large",
        "The body has more bytes than a question may have.",
        "Ask for less at once: fewer queries in a list, fewer filter values.",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body is said to be something else than JSON",
        "Content-Type names another format.",
        "Send Content-Type: application/json (curl does with --json).",
    ),
    ProblemType(
        "misdirected",
        421,
        "Not a name of this dashboard",
        "The Host header names something else than this dashboard or its front.",
        "Ask under the address that `recount up` prints.",
    ),
    ProblemType(
        "rate-limited",
        429,
        "Too many requests",
        "The token, or without one the address, has used up what a minute allows.",
        "Wait as many seconds as Retry-After says; the headers RateLimit-* say how much is left.",
    ),
    ProblemType(
        "unexpected",
        500,
        "Something went wrong",
        "A fault of the dashboard itself.",
        "The reason is in its log: ./recount logs dashboard.",
    ),
    ProblemType(
        "unavailable",
        503,
        "A part is away",
        "A part that the answer needs does not answer, or too many requests are waiting.",
        "Ask again after as many seconds as Retry-After says. Nothing is lost meanwhile.",
    ),
)
TYPES: Final[Mapping[str, ProblemType]] = {one.kind: one for one in _ALL}
OF_STATUS: Final[Mapping[int, ProblemType]] = {one.status: one for one in reversed(_ALL)}


class Problem(Exception):
    """A request that is answered with a problem of the catalogue."""

    def __init__(
        self, kind: str, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.field = kind, detail, field
        self.headers = headers or {}


def body(kind: str, detail: str, field: str | None = None) -> dict[str, Any]:
    """The members of a problem (RFC 9457), with the remedy and the field at fault."""
    made = TYPES[kind]
    members = {
        "type": made.path,
        "title": made.title,
        "status": made.status,
        "detail": detail,
        "remedy": made.remedy,
    }
    return members if field is None else members | {"field": field}
