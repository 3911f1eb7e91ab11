"""JSON of requests, read strictly: what could be understood in two ways is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson
from flask import Request

from dashboard_svc.problem_types import Problem

BODY_MAX_BYTES: Final = 64 * 1024
DEPTH_MAX: Final = 16
JSON: Final = "application/json"
FILTERS: Final = "filters"
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


def filters_of(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The filters of an address, if there are any: the same JSON as in a body. Raises Problem."""
    return {FILTERS: parsed(parameters[FILTERS].encode(), FILTERS)} if FILTERS in parameters else {}


def parsed(text: bytes, parameter: str | None = None) -> Any:
    """Of a body, or of a parameter. Raises Problem for all but UTF-8 JSON without repeated names, at most
    DEPTH_MAX deep."""
    try:
        orjson.loads(text)  # the stricter of the two: no NaN, no half of a surrogate pair, nothing bottomless
        made = json.loads(text, object_pairs_hook=_each_once)
    except orjson.JSONDecodeError as error:
        what = parameter or "the body"
        raise Problem("invalid-json", f"{what} is no JSON: {error}", field=parameter) from None
    except RecursionError:
        raise Problem("invalid-json", TOO_DEEP, field=parameter) from None
    if _depth(made, DEPTH_MAX + 1) > DEPTH_MAX:
        raise Problem("invalid-json", TOO_DEEP, field=parameter)
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
