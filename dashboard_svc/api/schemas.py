"""The components of the OpenAPI document, made of the constants that requests are checked with."""

from __future__ import annotations

from typing import Any, Final, get_args

from dashboard_svc.api.query import QUERIES_MAX
from dashboard_svc.freshness import LIVE, MIXED, PUBLISHED
from dashboard_svc.problem_types import TYPES
from recount.corrections import Kind
from recount.counting.rollup import PROP_PREFIX
from recount.querying import query as asked
from recount.store.catalog import ID_MAX

Schema = dict[str, Any]

MOMENT: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_DATE: Final[Schema] = {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_NAMED_RANGE: Final = r"^(today|yesterday|month|\d{1,4}(d|mo))$"
_AMOUNTS: Final[Schema] = {
    "type": "object",
    "description": "Exact decimal amounts by currency (ISO 4217).",
    "additionalProperties": {"type": "string", "pattern": r"^-?\d+\.\d{2,6}$"},
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def components() -> dict[str, Schema]:
    """Every named schema of the document."""
    return {
        "Query": query(),
        "Queries": {"type": "array", "items": ref("Query"), "minItems": 1, "maxItems": QUERIES_MAX},
        "Metric": {"type": "string", "enum": list(asked.METRICS)},
        "Dimension": dimension(),
        "Filter": filter_(),
        "Row": row(),
        "Answer": _with_freshness({"rows": _rows()}),
        "Answers": _with_freshness(
            {"answers": {"type": "array", "items": _object({"rows": _rows()}, ["rows"])}}
        ),
        "Site": _site(),
        "Live": _live(),
        "Correction": _correction(),
        "Problem": problem(),
    }


def query() -> Schema:
    """The body of a question; `FIELDS` are those that the parser takes."""
    return {
        "type": "object",
        "required": ["site"],
        "properties": {name: _query_fields()[name] for name in asked.FIELDS},
        "additionalProperties": False,
    }


def date_range() -> Schema:
    return {
        "description": "Local dates. A name ("
        + ", ".join(asked.RANGES)
        + f"), or [from, to], both included; at most {asked.DAYS_MAX:,} days.",
        "anyOf": [
            {"type": "string", "pattern": _NAMED_RANGE},
            {"type": "array", "items": _DATE, "minItems": 2, "maxItems": 2},
        ],
        "default": asked.DEFAULT_RANGE,
    }


def limit() -> Schema:
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": asked.LIMIT_MAX,
        "default": asked.DEFAULT_LIMIT,
        "description": "At most so many rows.",
    }


def site_id() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": ID_MAX, "description": "The site's id."}


def interval(*, nullable: bool) -> Schema:
    names: list[str | None] = list(get_args(asked.Interval))
    return {
        "type": ["string", "null"] if nullable else "string",
        "enum": [*names, None] if nullable else names,
        "description": "A row for each of these instead of a dimension; hours for at most "
        f"{asked.HOURLY_DAYS_MAX} days.",
    }


def dimension() -> Schema:
    return {
        "description": f"{PROP_PREFIX}<name> is a property of custom events.",
        "anyOf": [
            {"type": "string", "enum": list(asked.DIMENSIONS)},
            {"type": "string", "pattern": f"^{PROP_PREFIX}[\\s\\S]+$"},
        ],
    }


def filter_() -> Schema:
    values = {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "maxItems": asked.FILTER_VALUES_MAX,
    }
    return {
        "type": "object",
        "description": "Keeps what any of the values fits; with `not`: none. In `matches` * is any text.",
        "required": ["dimension", "operator", "values"],
        "properties": {
            "dimension": ref("Dimension"),
            "operator": {"type": "string", "enum": list(asked.OPERATORS)},
            "values": values,
        },
    }


def row() -> Schema:
    """A row has the dimensions' values (or `at` and `date`) and the metrics under their names."""
    metrics: dict[str, Schema] = {name: {"type": ["number", "null"]} for name in asked.METRICS}
    return {
        "type": "object",
        "description": "The dimensions' values (of a series: `at` and `date`) and the metrics asked for.",
        "required": ["origin"],
        "properties": {
            **metrics,
            "revenue": _AMOUNTS,
            "at": {"type": "integer", "description": "The first moment of the bucket, ms UTC."},
            "date": {
                "type": "string",
                "pattern": r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2})?$",
                "description": "The local date, of hours with the time.",
            },
            "origin": {"type": "string", "enum": [PUBLISHED, LIVE, MIXED]},
        },
    }


def problem() -> Schema:
    return {
        "type": "object",
        "description": "What is wrong, where, and what to do (RFC 9457).",
        "required": ["type", "title", "status", "detail", "remedy"],
        "properties": {
            "type": {"type": "string", "enum": [one.path for one in TYPES.values()]},
            "title": {"type": "string"},
            "status": {"type": "integer", "enum": sorted({one.status for one in TYPES.values()})},
            "detail": {"type": "string"},
            "remedy": {"type": "string"},
            "field": {"type": "string", "description": "The field or parameter at fault."},
        },
    }


def _query_fields() -> dict[str, Schema]:
    return {
        "site": site_id(),
        "metrics": {
            "type": "array",
            "items": ref("Metric"),
            "minItems": 1,
            "default": list(asked.DEFAULT_METRICS),
            "description": "The first one sorts the rows, largest first.",
        },
        "dimensions": {
            "type": "array",
            "items": ref("Dimension"),
            "maxItems": asked.DIMENSIONS_MAX,
            "uniqueItems": True,
            "default": [],
            "description": "A row per value. Without any: one row, the total.",
        },
        "date_range": date_range(),
        "interval": interval(nullable=True),
        "filters": {
            "type": "array",
            "items": ref("Filter"),
            "maxItems": asked.FILTERS_MAX,
            "default": [],
            "description": "Rows keep what passes all of them.",
        },
        "limit": limit(),
        "explain": {"type": "boolean", "default": False, "description": "Say where the numbers come from."},
    }


def _with_freshness(properties: dict[str, Schema]) -> Schema:
    fresh: dict[str, Schema] = {
        "published_until": MOMENT | {"description": "The end of the newest published hour."},
        "live_as_of": MOMENT | {"description": "The moment of the live numbers, if any were needed."},
        "notes": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What a careful reader should know.",
        },
    }
    explain: Schema = {"type": "object", "description": "Only where it was asked for."}
    return _object(properties | fresh | {"explain": explain}, [*properties, *fresh])


def _rows() -> Schema:
    return {"type": "array", "items": ref("Row")}


def _site() -> Schema:
    text: Schema = {"type": "string"}
    fields = dict.fromkeys(("id", "domain", "timezone", "currency"), text)
    return _object(fields | {"goals": {"type": "array", "items": text}}, [*fields, "goals"])


def _live() -> Schema:
    moment: Schema = {"type": ["integer", "null"], "description": "ms UTC"}
    number: Schema = {"type": "integer"}
    minute = _object({"at": number, "visitors": number, "pageviews": number}, ["at", "visitors", "pageviews"])
    fields: dict[str, Schema] = {
        "as_of": moment,
        "published_until": moment,
        "current_visitors": number | {"description": "Seen in the last five minutes."},
        "complete": {"type": "boolean", "description": "Whether every part of the site's events is known."},
        "totals": {"type": "object"},
        "minutes": {"type": "array", "items": minute},
        "top": {"type": "object", "description": "Up to 20 values of each dimension."},
    }
    return _object(fields, ["as_of", "current_visitors"])


def _correction() -> Schema:
    text: Schema = {"type": "string"}
    moment: Schema = {"type": "string", "format": "date-time"}
    day: Schema = {"type": "string", "format": "date"}
    changes: Schema = {"type": "object", "description": "By metric, `from` what it was and `to` what it is."}
    fields: dict[str, Schema] = {
        "publication": text,
        "corrected": moment,
        "kind": {"type": "string", "enum": list(get_args(Kind))},
        "text": text | {"description": "The correction in a sentence."},
        "reason": {"type": ["string", "null"]},
        "late_events": {"type": "integer"},
        "from": day,
        "to": day,
        "timezone": text,
        "hours": {"type": "array", "items": {"type": "array", "items": moment, "minItems": 2, "maxItems": 2}},
        "changes": changes,
        "days": {"type": "object", "description": "By day, the same.", "additionalProperties": changes},
        "dimensions": {"type": "array", "items": text},
        "is_complete": {
            "type": "boolean",
            "description": "False where what was shown was not kept.",
        },
    }
    return _object(fields, list(fields))


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {"type": "object", "required": required, "properties": properties}
