"""Cache headers: published numbers may be kept by everybody, live ones by nobody.

A range is *settled* when it has ended and all of it is published; only a correction can change it then, which
is why shared caches ask again after SHARED_S. What an ETag names are the generations read.
"""

from __future__ import annotations

import hashlib
from typing import Final

from flask import Request, Response

from recount.querying.answers import Answers

BROWSER_S: Final = 60
SHARED_S: Final = 600


def is_settled(answers: Answers, end_ms: int, now_ms: int) -> bool:
    """Whether a range that ends at `end_ms` has ended and is published as a whole."""
    until = answers.published_until_ms
    return answers.live_as_of_ms is None and end_ms <= now_ms and until is not None and until >= end_ms


def mark(response: Response, request: Request, answers: Answers, *, settled: bool, salt: str) -> Response:
    """Add Cache-Control and ETag; answers 304 where the sender has these numbers. `salt` stands for all else
    that the body depends on."""
    if answers.live_as_of_ms is not None:
        response.headers["Cache-Control"] = "no-store"
        return response
    shared = f"public, max-age={BROWSER_S}, s-maxage={SHARED_S}"
    response.headers["Cache-Control"] = shared if settled else "no-cache"
    digest = hashlib.blake2b(f"{answers.etag}|{salt}|{request.full_path}".encode(), digest_size=12)
    response.set_etag(digest.hexdigest(), weak=True)
    response.make_conditional(request)
    return response
