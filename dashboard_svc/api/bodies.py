"""Bodies of requests, read strictly: what could be understood in two ways is refused."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson
from flask import Request

from dashboard_svc.problem_types import Problem

BODY_MAX_BYTES: Final = 64 * 1024
DEPTH_MAX: Final = 16
JSON: Final = "application/json"
TOO_DEEP: Final = f"the JSON has more than {DEPTH_MAX} levels"


def json_of(request: Request) -> Any:
    """The JSON of a body. Raises Problem."""
    if request.mimetype not in ("", JSON):
        raise Problem(
            "unsupported-media-type", f"the body is {request.mimetype}; send JSON, as Content-Type: {JSON}"
        )
    body = request.get_data()
    if len(body) > BODY_MAX_BYTES:
        raise Problem("too-large", f"a body has at most {BODY_MAX_BYTES} bytes; this one has {len(body)}")
    return parsed(body)


def parsed(body: bytes) -> Any:
    """Raises Problem for all but UTF-8 JSON without repeated names, at most DEPTH_MAX deep."""
    try:
        orjson.loads(body)  # the stricter of the two: no NaN, no half of a surrogate pair, nothing bottomless
        made = json.loads(body, object_pairs_hook=_each_once)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid-json", f"the body is no JSON: {error}") from None
    except RecursionError:
        raise Problem("invalid-json", TOO_DEEP) from None
    if _depth(made, DEPTH_MAX + 1) > DEPTH_MAX:
        raise Problem("invalid-json", TOO_DEEP)
    return made


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("invalid-json", f"{twice!r} is given twice; which one is meant?", field=twice)
    return made


def _depth(value: Any, most: int) -> int:
    """How many levels of lists and objects, counted no further than `most`."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None or most == 0:
        return 0
    return 1 + max((_depth(one, most - 1) for one in inside), default=0)
