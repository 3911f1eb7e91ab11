"""What is described of the resources that read a site's archive: funnels and exports."""

from __future__ import annotations

from typing import Any, Final

from dashboard_svc.api import exports, funnels, questions
from dashboard_svc.api.operations import JSON, operation, parameter
from dashboard_svc.api.questions import Schema, ref
from recount.scanning.events import FORMATS, MEDIA_TYPES
from recount.scanning.funnel import KINDS, STEP_MAX_CHARS, STEPS_MAX, STEPS_MIN, WINDOW_MAX_DAYS

_FORMAT: Final[Schema] = {
    "type": "string",
    "enum": list(FORMATS),
    "default": FORMATS[0],
    "description": "Of the file.",
}
_BINARY: Final[Schema] = {"type": "string", "contentMediaType": "application/octet-stream"}


def paths() -> dict[str, Any]:
    return {
        funnels.PATH: {"post": _funnel()},
        exports.QUERY_PATH: {
            "post": _export("export-query", "All rows of a query as a file", questions.query()),
            "get": _export("export-query-by-address", "All rows of a query as a file"),
        },
        exports.EVENTS_PATH: {
            "post": _export("export-events", "Events of a site as a file", _of_events()),
            "get": _export("export-events-by-address", "Events of a site as a file", names=_EVENT_FIELDS),
        },
    }


def components() -> dict[str, Schema]:
    return {"Funnel": _funnel_asked(), "FunnelStep": _step(), "FunnelAnswer": _funnel_answer()}


_EVENT_FIELDS: Final = ("site", "date_range", "timezone")
_ROW_FIELDS: Final = ("site", "metrics", "dimensions", "date_range", "timezone", "interval")


def _funnel() -> dict[str, Any]:
    return operation(
        "funnel",
        "How many get from step to step",
        description="Counted from the archive: steps in order, within a visit or a window of days.",
        body={"required": True, "content": {JSON: {"schema": ref("Funnel")}}},
        answer=ref("FunnelAnswer"),
        refusals=(400, 413, 415),
    )


def _export(
    name: str, summary: str, asked: Schema | None = None, *, names: tuple[str, ...] = _ROW_FIELDS
) -> dict[str, Any]:
    """By POST with a body, else with everything in the address."""
    known = questions.parameters()
    given = [
        parameter(field, schema, said, required=field == "site")
        for field, (schema, said) in known.items()
        if field in names
    ]
    return operation(
        name,
        summary,
        description="Takes the scope `export`. `Recount-Published-Until` says how far the numbers reach.",
        parameters=() if asked else [*given, parameter("format", _FORMAT)],
        body={"required": True, "content": {JSON: {"schema": _with_format(asked)}}} if asked else None,
        content={media: {"schema": _BINARY} for media in MEDIA_TYPES.values()},
        refusals=(400, 413, 415) if asked else (400,),
    )


def _with_format(asked: Schema) -> Schema:
    return asked | {"properties": {**asked["properties"], "format": _FORMAT}}


def _of_events() -> Schema:
    return _of_query(_EVENT_FIELDS)


def _of_query(names: tuple[str, ...], **more: Schema) -> Schema:
    """An object with some of a query's fields."""
    fields = questions.query()["properties"]
    return {
        "type": "object",
        "required": ["site"],
        "properties": {name: fields[name] for name in names} | more,
        "additionalProperties": False,
    }


def _funnel_asked() -> Schema:
    text: Schema = {"type": "string", "minLength": 1}
    named: Schema = {
        "type": "object",
        "properties": dict.fromkeys(KINDS, text),
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    steps: Schema = {
        "type": "array",
        "items": {"anyOf": [text, named]},
        "minItems": STEPS_MIN,
        "maxItems": STEPS_MAX,
        "description": "Pages such as /pricing*, `event:Signup`, `goal:Bought`; * is any text. A step has at "
        f"most {STEP_MAX_CHARS:,} characters.",
    }
    window: Schema = {
        "type": ["string", "null"],
        "pattern": r"^(visit|\d{1,3}d)$",
        "description": f"`visit`, or days from 1d to {WINDOW_MAX_DAYS}d.",
    }
    asked = _of_query(("site", "date_range", "timezone", "filters"), steps=steps, window=window)
    return asked | {"required": ["site", "steps"]}


def _step() -> Schema:
    count: Schema = {"type": "integer"}
    share: Schema = {"type": ["number", "null"]}
    fields: dict[str, Schema] = {
        "step": {"type": "string"},
        "visitors": count,
        "visits": {"type": ["integer", "null"]},
        "of_first": share,
        "of_previous": share,
        "dropped": count,
        "median_seconds": share | {"description": "From the first step to this one."},
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _funnel_answer() -> Schema:
    fields: dict[str, Schema] = {
        "steps": {"type": "array", "items": ref("FunnelStep")},
        "visits": {"type": "integer"},
        "conversion_rate": {"type": ["number", "null"]},
        "published_until": {"type": ["string", "null"], "format": "date-time"},
        "scanned_bytes": {"type": "integer"},
        "notes": {"type": "array", "items": {"type": "string"}},
    }
    return {"type": "object", "required": list(fields), "properties": fields}
