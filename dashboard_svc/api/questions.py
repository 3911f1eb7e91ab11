"""Schemas of what can be asked, made of the constants that the parser checks with."""

from __future__ import annotations

from typing import Any, Final

from recount.counting.rollup import PROP_PREFIX
from recount.querying import query as asked
from recount.store.catalog import ID_MAX

Schema = dict[str, Any]

_MOMENT: Final = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2})?$"
_NAMED_RANGE: Final = r"^(today|yesterday|month|\d{1,4}(d|mo))$"
_CUSTOM: Final[Schema] = {
    "type": "array",
    "items": {"type": "string", "pattern": _MOMENT},
    "minItems": 2,
    "maxItems": 2,
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def query() -> Schema:
    """The body of a question; `FIELDS` are those that the parser takes."""
    return {
        "type": "object",
        "required": ["site"],
        "properties": {name: _fields()[name] for name in asked.FIELDS},
        "additionalProperties": False,
    }


def parameters() -> dict[str, tuple[Schema, str]]:
    """The same in an address, with what is said of each: lists have commas, filters are JSON."""
    fields = _fields()
    pairs: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": asked.ORDER_MAX}
    in_address: dict[str, Schema] = {
        "site": fields["site"],
        "metrics": {"type": "array", "items": ref("Metric"), "minItems": 1},
        "dimensions": _dimensions() | {"minItems": 1},
        "date_range": {"type": "string"},
        "timezone": {"type": "string"},
        "interval": {"type": "string", "enum": list(asked.INTERVALS)},
        "filters": fields["filters"],
        "compare": {"type": "string"},
        "order_by": pairs,
        "limit": fields["limit"],
        "offset": fields["offset"],
        "cursor": {"type": "string"},
    }
    written = {
        "date_range": " As from,to in an address.",
        "filters": " As JSON in an address.",
        "compare": " As from,to in an address.",
        "order_by": " As visitors:desc,page:asc in an address.",
    }
    return {
        name: (schema, fields[name]["description"] + written.get(name, ""))
        for name, schema in in_address.items()
    }


def site_id() -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": ID_MAX, "description": "The site's id."}


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


def _fields() -> dict[str, Schema]:
    return {
        "site": site_id(),
        "metrics": {
            "type": "array",
            "items": ref("Metric"),
            "minItems": 1,
            "default": list(asked.DEFAULT_METRICS),
            "description": "The first one sorts the rows, largest first.",
        },
        "dimensions": _dimensions() | {"default": []},
        "date_range": _date_range(),
        "timezone": {
            "type": ["string", "null"],
            "description": "An IANA zone: whose dates and hours are meant; the site's unless given.",
        },
        "interval": {
            "type": ["string", "null"],
            "enum": [*asked.INTERVALS, None],
            "description": "A row for each of these instead of a dimension; hours for at most "
            f"{asked.HOURLY_DAYS_MAX} days.",
        },
        "filters": {
            "type": "array",
            "items": ref("Filter"),
            "maxItems": asked.FILTERS_MAX,
            "default": [],
            "description": "Rows keep what passes all of them.",
        },
        "compare": _compare(),
        "order_by": _order_by(),
        "limit": _number("At most so many rows.", 1, asked.LIMIT_MAX, asked.DEFAULT_LIMIT),
        "offset": _number("Leave out so many rows first.", 0, asked.OFFSET_MAX, 0),
        "cursor": {
            "type": ["string", "null"],
            "description": "Go on where the page before ended, with its `next`.",
        },
        "explain": {"type": "boolean", "default": False, "description": "Say where the numbers come from."},
    }


def _dimensions() -> Schema:
    return {
        "type": "array",
        "items": ref("Dimension"),
        "maxItems": asked.DIMENSIONS_MAX,
        "uniqueItems": True,
        "description": "A row per value. Without any: one row, the total.",
    }


def _date_range() -> Schema:
    return {
        "description": f"A name ({', '.join(asked.RANGES)}); [from, to], local dates, both included; or "
        f"local times, the second one not included. At most {asked.DAYS_MAX:,} days.",
        "anyOf": [{"type": "string", "pattern": _NAMED_RANGE}, _CUSTOM],
        "default": asked.DEFAULT_RANGE,
    }


def _compare() -> Schema:
    return {
        "description": f"What the range is compared with: {', '.join(asked.COMPARISONS)}, or [from, to].",
        "anyOf": [{"type": "string", "enum": list(asked.COMPARISONS)}, _CUSTOM, {"type": "null"}],
    }


def _order_by() -> Schema:
    direction: Schema = {"type": "string", "enum": list(asked.DIRECTIONS)}
    pair: Schema = {
        "type": "array",
        "prefixItems": [{"type": "string"}, direction],
        "items": False,
        "minItems": 2,
        "maxItems": 2,
    }
    return {
        "type": "array",
        "items": pair,
        "maxItems": asked.ORDER_MAX,
        "default": [],
        "description": 'Pairs such as ["visitors", "desc"], of metrics and dimensions that are asked for.',
    }


def _number(description: str, least: int, most: int, default: int) -> Schema:
    return {
        "type": "integer",
        "minimum": least,
        "maximum": most,
        "default": default,
        "description": description,
    }
