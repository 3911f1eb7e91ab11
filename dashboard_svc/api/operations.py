"""What operations of the OpenAPI document are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dashboard_svc.access.rates import WINDOW_S
from dashboard_svc.api import questions
from dashboard_svc.api.questions import Schema, ref
from dashboard_svc.problem_types import OF_STATUS

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
ALWAYS: Final = (401, 403, 405, 421, 429, 500, 503)
"""What every operation may answer."""


def operation(
    name: str,
    summary: str,
    *,
    answer: Schema | None = None,
    content: Mapping[str, Any] | None = None,
    description: str = "",
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
    more: Mapping[str, Any] | None = None,
    refusals: Sequence[int] = (),
    example: Any = None,
) -> dict[str, Any]:
    """One operation; `refusals`: statuses of problems besides those of ALWAYS, `more`: further answers,
    `content`: of an answer that is no JSON."""
    ok = content or json_content(answer or {}, example)
    made: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": description or f"{summary}.",
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "The answer.", "headers": _rate_refs(), "content": ok},
            **(more or {}),
            **{str(status): refusal(status) for status in sorted({*ALWAYS, *refusals})},
        },
    }
    return made if body is None else made | {"requestBody": body}


def json_content(schema: Schema, example: Any = None) -> dict[str, Any]:
    return {JSON: {"schema": schema} | ({} if example is None else {"example": example})}


def refusal(status: int) -> dict[str, Any]:
    """The problem that a status is answered with."""
    return {"description": OF_STATUS[status].meaning, "content": {PROBLEM: {"schema": ref("Problem")}}}


def rate_headers() -> dict[str, Any]:
    number: Schema = {"type": "integer", "minimum": 0}
    described = {
        "RateLimit-Limit": (number, f"Requests that {WINDOW_S} seconds allow."),
        "RateLimit-Remaining": (number, "How many of them are left."),
        "RateLimit-Reset": (number, "Seconds until all are there again."),
        "RateLimit-Policy": (
            {"type": "string"},
            "The same in the form of the IETF's draft: quota and window.",
        ),
        "RateLimit": ({"type": "string"}, "The same in the form of the IETF's draft: what is left."),
    }
    return {name: {"description": text, "schema": schema} for name, (schema, text) in described.items()}


def parameter(name: str, schema: Schema, description: str = "", *, required: bool = False) -> Schema:
    """A parameter of the address; lists are comma-separated, filters JSON."""
    said = description or str(schema.get("description", ""))
    made: Schema = {"name": name, "in": "query", "required": required, "description": said}
    if schema.get("items") == ref("Filter"):
        return made | {"content": {JSON: {"schema": schema}}}
    made |= {"schema": schema}
    return made | {"style": "form", "explode": False} if schema.get("type") == "array" else made


def path_site() -> Schema:
    return {"name": "site", "in": "path", "required": True, "schema": questions.site_id()}


def _rate_refs() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in rate_headers()}


def list_of(name: str, item: Schema) -> Schema:
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": item}}}
