"""Cache headers: who may keep an answer, and for how long.

A range is *settled* when it has ended and all of it is published; only a correction can change it then.

- Its plain address may be kept by shared caches for FRESH_S, about as long as this process itself goes on
  with the root that it read: so a correction is visible everywhere at once. The ETag names the generations
  read; asking with it costs no query.
- With `g=`, the name of those generations, the address says which numbers it means: the answer may be kept
  for ever. Where the generations have changed since, it leads on to the present ones.
- What is not settled, and what was asked for with credentials, is kept by nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlencode

from flask import Request, Response

FRESH_S: Final = 2
FOR_EVER_S: Final = 365 * 24 * 3600
NAMED: Final = "g"
SETTLED: Final = f"public, max-age=0, s-maxage={FRESH_S}"
IMMUTABLE: Final = f"public, max-age={FOR_EVER_S}, immutable"
PERSONAL: Final = "private, no-store"
CREDENTIALS: Final = ("Authorization", "Cookie")


class Made(Protocol):
    """What an answer is made of: of `recount.querying.answers.Stamp`, what counts here."""

    @property
    def version(self) -> str: ...
    @property
    def published_until_ms(self) -> int | None: ...
    @property
    def live_as_of_ms(self) -> int | None: ...


def name(made: Made, salt: str) -> str:
    """The value of `g`: changes with the generations, and with `salt`: all else that the body depends on."""
    return hashlib.blake2b(f"{made.version}|{salt}".encode(), digest_size=12).hexdigest()


class Asked:
    """One request for the numbers of a range that ends at `end_ms`."""

    def __init__(self, request: Request, end_ms: int, now_ms: int, salt: str) -> None:
        self._request = request
        self._end_ms = end_ms
        self._now_ms = now_ms
        self._salt = salt

    def is_settled(self, made: Made) -> bool:
        """Whether the range has ended and is published as a whole."""
        until = made.published_until_ms
        has_ended = made.live_as_of_ms is None and self._end_ms <= self._now_ms
        return has_ended and until is not None and until >= self._end_ms

    def unchanged(self, stamp: Callable[[], Made]) -> Response | None:
        """304 where the sender has these numbers already; `stamp` is only asked for where it could be."""
        if not self._request.if_none_match:
            return None
        made = stamp()
        answer = self._marked(Response(), made)
        return answer if answer.status_code == 304 else None

    def answer(self, response: Response, made: Made) -> Response:
        """The response with its headers; 304, or a way to the present numbers, where that says it all."""
        named = self._request.args.get(NAMED)
        current = name(made, self._salt)
        if named is not None and named != current and self.is_settled(made):
            return self._lead_to(current)
        return self._marked(response, made)

    def _marked(self, response: Response, made: Made) -> Response:
        if not self.is_settled(made):
            response.headers["Cache-Control"] = "no-store"
            return response
        current = name(made, self._salt)
        is_named = self._request.args.get(NAMED) == current
        response.headers["Cache-Control"] = IMMUTABLE if is_named else SETTLED
        digest = hashlib.blake2b(f"{current}|{self._request.full_path}".encode(), digest_size=12)
        response.set_etag(digest.hexdigest(), weak=True)
        response.make_conditional(self._request)
        return response

    def _lead_to(self, current: str) -> Response:
        parameters = self._request.args.to_dict() | {NAMED: current}
        location = f"{self._request.path}?{urlencode(parameters, safe=',:/')}"
        return Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def keep_personal(request: Request, response: Response) -> Response:
    """What somebody who says who they are was answered is given to nobody else."""
    if any(request.headers.get(header) for header in CREDENTIALS):
        response.headers["Cache-Control"] = PERSONAL
    return response
