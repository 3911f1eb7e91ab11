"""The components of the OpenAPI document: questions, and what answers are made of."""

from __future__ import annotations

from typing import Final, get_args

from dashboard_svc.api import questions, scans
from dashboard_svc.api.query import QUERIES_MAX
from dashboard_svc.api.questions import Schema, ref
from dashboard_svc.freshness import LIVE, MIXED, PUBLISHED
from dashboard_svc.problem_types import TYPES
from recount.corrections import Kind
from recount.querying import query as asked
from recount.querying.confidence import KINDS

MOMENT: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
_AMOUNTS: Final[Schema] = {
    "type": "object",
    "description": "Exact decimal amounts by currency (ISO 4217).",
    "additionalProperties": {"type": "string", "pattern": r"^-?\d+\.\d{2,6}$"},
}


def components() -> dict[str, Schema]:
    """Every named schema of the document."""
    return {
        "Query": questions.query(),
        "Queries": {"type": "array", "items": ref("Query"), "minItems": 1, "maxItems": QUERIES_MAX},
        "Metric": {"type": "string", "enum": list(asked.METRICS)},
        "Dimension": questions.dimension(),
        "Filter": questions.filter_(),
        "Row": row(),
        "Confidence": _confidence(),
        "Answer": _with_freshness(_table()),
        "Answers": _with_freshness({"answers": {"type": "array", "items": _object(_table(), [*_table()])}}),
        "Site": _site(),
        "Live": _live(),
        "Correction": _correction(),
        **scans.components(),
        "Problem": problem(),
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
            "comparison": {
                "type": ["object", "null"],
                "description": "With `compare`: the metrics in the other range.",
            },
            "change": {
                "type": ["object", "null"],
                "description": "By which share each metric has grown; null where there was nothing.",
            },
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


def _table() -> dict[str, Schema]:
    moment: Schema = {"type": "string", "description": "Local, with the offset of the time zone asked for."}
    span = _object({"from": moment, "to": moment}, ["from", "to"])
    return {
        "rows": {"type": "array", "items": ref("Row")},
        "range": span | {"description": "The first moment, and the first one after."},
        "compared_range": {"oneOf": [span, {"type": "null"}], "description": "The same of `compare`."},
        "total": {"type": "integer", "description": "How many rows there are on all pages."},
        "next": {"type": ["string", "null"], "description": "The `cursor` of the next page."},
        "confidence": {"type": "object", "additionalProperties": ref("Confidence")},
    }


def _confidence() -> Schema:
    fields: dict[str, Schema] = {
        "kind": {"type": "string", "enum": list(KINDS)},
        "standard_error": {"type": "number", "description": "Of an estimate, a share."},
        "missing_at_most": {"type": "integer", "description": "Visitors that a row may lack."},
    }
    return _object(fields, ["kind"]) | {"description": "How far the numbers of a metric can be trusted."}


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
