"""What can go wrong when numbers are asked for.

ApiError
├── InvalidQuery      `field` is at fault; the message says what is possible
├── Unauthorized      the token is unknown, expired or revoked, or there is none
├── Forbidden         the token is for other sites, or lacks the scope
├── NotFound          no such site or address
├── RateLimited       too many requests, also after waiting
├── Unavailable       a part is away, also after waiting
└── NotReachable      nobody answers at the address
"""

from __future__ import annotations

from typing import Any, Final

import httpx

from recount.errors import RecountError


class ApiError(RecountError):
    """An answer without numbers: `kind` of the problem (docs/api.md), `field` at fault, `remedy`."""

    def __init__(
        self, detail: str, *, status: int = 0, kind: str = "", field: str | None = None, remedy: str = ""
    ) -> None:
        where = f" (field: {field})" if field else ""
        super().__init__(f"{detail}{where}" + (f"\n  What to do: {remedy}" if remedy else ""))
        self.detail, self.status, self.kind, self.field, self.remedy = detail, status, kind, field, remedy


class InvalidQuery(ApiError):
    """The question cannot be answered as it is."""


class Unauthorized(ApiError):
    """The token opens nothing."""


class Forbidden(ApiError):
    """The token does not open this."""


class NotFound(ApiError):
    """There is no such site or address."""


class RateLimited(ApiError):
    """Too many requests; asking again did not help."""


class Unavailable(ApiError):
    """A part is away; asking again did not help."""


class NotReachable(ApiError):
    """Nobody answers at the address."""


OF_STATUS: Final[dict[int, type[ApiError]]] = {
    400: InvalidQuery,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    413: InvalidQuery,
    415: InvalidQuery,
    429: RateLimited,
    503: Unavailable,
}


def of(answer: httpx.Response) -> ApiError:
    """The error of an answer that is none."""
    problem = _problem(answer)
    made = OF_STATUS.get(answer.status_code, ApiError)
    return made(
        str(problem.get("detail") or answer.text[:200].strip() or answer.reason_phrase),
        status=answer.status_code,
        kind=str(problem.get("type", "")).rpartition("/")[2],
        field=problem.get("field"),
        remedy=str(problem.get("remedy", "")),
    )


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
