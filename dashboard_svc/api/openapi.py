"""The OpenAPI 3.1 document: what the API takes and answers, made of the constants that it is checked with."""

from __future__ import annotations

from typing import Any, Final

from dashboard_svc import caching
from dashboard_svc.api import corrections, live, query, questions, scans, schemas, sites
from dashboard_svc.api.bodies import BODY_MAX_BYTES
from dashboard_svc.api.operations import (
    JSON,
    list_of,
    operation,
    parameter,
    path_site,
    rate_headers,
)
from dashboard_svc.api.questions import Schema, ref
from recount.store.correction_log import LISTED_MAX

VERSION: Final = "1.0.0"
BEARER: Final = "token"
_QUESTION: Final = {"site": "demo", "metrics": ["visitors", "pageviews"], "dimensions": ["page"], "limit": 5}
_ANSWER: Final = {
    "rows": [{"page": "/", "visitors": 12, "pageviews": 30, "origin": "mixed"}],
    "range": {"from": "2026-11-17T00:00+01:00", "to": "2026-11-24T00:00+01:00"},
    "compared_range": None,
    "total": 1,
    "next": None,
    "confidence": {"visitors": {"kind": "exact"}, "pageviews": {"kind": "exact"}},
    "published_until": "2026-11-23T13:00:00Z",
    "live_as_of": "2026-11-23T13:33:59Z",
    "notes": ["Visitors of several days are the sum of daily visitors: nobody is recognised on another day."],
}


def document(*, tokens_required: bool) -> dict[str, Any]:
    """The document of a dashboard that answers without a token, or not."""
    token: list[Schema] = [{BEARER: []}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Recount Stats API",
            "version": VERSION,
            "description": "Numbers of a site, published and live, in one answer. A body has at most "
            f"{BODY_MAX_BYTES // 1024} KiB.",
        },
        "servers": [{"url": "/"}],
        "security": token if tokens_required else [{}, *token],
        "paths": paths(),
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made with `recount tokens add`; opens the sites that it was made for.",
                }
            },
            "headers": rate_headers(),
        },
    }


def paths() -> dict[str, Any]:
    return {
        query.PATH: {"post": _post_query(), "get": _get_query()},
        f"{live.PATH}{{site}}": {"get": _get_live()},
        **scans.paths(),
        f"{corrections.PATH}{{site}}": {"get": _get_corrections()},
        sites.PATH: {
            "get": operation("sites", "The sites that the token opens", answer=list_of("sites", ref("Site")))
        },
    }


def _post_query() -> dict[str, Any]:
    several = {
        "summary": "Several of one site",
        "value": [{"site": "demo"}, {"site": "demo", "interval": "day"}],
    }
    examples = {"one": {"summary": "One question", "value": _QUESTION}, "several": several}
    schema: Schema = {"oneOf": [ref("Query"), ref("Queries")]}
    return operation(
        "query",
        "Numbers of a site",
        description="One question, or a list of questions of one site, which are answered from one state of "
        "what is published.",
        body={"required": True, "content": {JSON: {"schema": schema, "examples": examples}}},
        answer={"oneOf": [ref("Answer"), ref("Answers")]},
        refusals=(400, 413, 415),
        example=_ANSWER,
    )


def _get_query() -> dict[str, Any]:
    given = [
        parameter(name, schema, said, required=name == "site")
        for name, (schema, said) in questions.parameters().items()
    ]
    version = f"The header {query.VERSION} of an answer: exactly these numbers, which may be kept for ever."
    unchanged = {"description": "The numbers are those of the ETag in If-None-Match."}
    moved = {
        "description": f"Other numbers than `{caching.NAMED}` names have been published; Location has them."
    }
    return operation(
        "query-by-address",
        "Numbers of a site, with everything in the address",
        description="The same: answers about ranges that have ended carry an ETag.",
        parameters=[*given, parameter(caching.NAMED, {"type": "string"}, version)],
        answer=ref("Answer"),
        more={"302": moved, "304": unchanged},
        refusals=(400,),
        example=_ANSWER,
    )


def _get_live() -> dict[str, Any]:
    minutes: Schema = {
        "type": "integer",
        "minimum": 1,
        "maximum": live.MINUTES_MAX,
        "default": live.MINUTES_DEFAULT,
    }
    return operation(
        "live",
        "The last minutes of a site",
        description="As the live service gives them, which says itself how far it goes back.",
        parameters=(path_site(), parameter("minutes", minutes, "How many.")),
        answer=ref("Live"),
        refusals=(400, 404),
    )


def _get_corrections() -> dict[str, Any]:
    limit: Schema = {
        "type": "integer",
        "minimum": 1,
        "maximum": LISTED_MAX,
        "default": corrections.LIMIT_DEFAULT,
    }
    given = (
        path_site(),
        parameter("date_range", {"type": "string"}, "Those that changed a day of it: a name, or from,to."),
        parameter("limit", limit, "At most so many."),
    )
    return operation(
        "corrections",
        "What was changed of published numbers",
        description="Newest first.",
        parameters=given,
        answer=list_of("corrections", ref("Correction")),
        refusals=(400, 404),
    )
