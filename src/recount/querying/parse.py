"""From a request to a query, checked.

{"site": "demo", "metrics": ["visitors", "pageviews"], "dimensions": ["page"], "date_range": "7d",
 "filters": [{"dimension": "page", "operator": "contains", "values": ["/docs"]}], "limit": 20}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from recount.counting.rollup import PROP_PREFIX
from recount.errors import InvalidInput
from recount.periods import day_of
from recount.querying.query import (
    DAYS_MAX,
    DEFAULT_LIMIT,
    DEFAULT_METRICS,
    DEFAULT_RANGE,
    DIMENSIONS,
    DIMENSIONS_MAX,
    FIELDS,
    FILTER_VALUES_MAX,
    FILTERS_MAX,
    HOURLY_DAYS_MAX,
    LIMIT_MAX,
    METRICS,
    OPERATORS,
    RANGES,
    Filter,
    Interval,
    Query,
    Span,
    is_dimension,
)
from recount.store.catalog import Site

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBERED: Final = re.compile(r"(\d{1,4})(d|mo)")


def parse(body: object, site_of: Callable[[str], Site | None], now_ms: int) -> tuple[Site, Query]:
    """The query of a JSON body. Raises InvalidInput naming the field at fault and what is possible."""
    if not isinstance(body, dict):
        raise InvalidInput("a query is a JSON object")
    unknown = sorted(body.keys() - set(FIELDS))
    if unknown:
        raise InvalidInput(f"unknown field {unknown[0]!r}; known: {', '.join(FIELDS)}", field=str(unknown[0]))
    if not isinstance(body.get("explain", False), bool):
        raise InvalidInput("explain is true or false", field="explain")
    site = _site(body.get("site"), site_of)
    dimensions = _dimensions(body.get("dimensions", []))
    span = parse_range(body.get("date_range", DEFAULT_RANGE), day_of(now_ms, site.timezone))
    query = Query(
        span=span,
        metrics=_metrics(body.get("metrics", list(DEFAULT_METRICS))),
        dimensions=dimensions,
        interval=_interval(body.get("interval"), dimensions, span),
        filters=_filters(body.get("filters", [])),
        limit=_limit(body.get("limit", DEFAULT_LIMIT)),
    )
    return site, query


def parse_range(given: object, today: str) -> Span:
    """A named range that ends today (or yesterday), or `[from, to]`, local dates, both included."""
    if isinstance(given, list):
        return _custom_range(given)
    if given == "today":
        return Span(today, today)
    this = date.fromisoformat(today)
    if given == "yesterday":
        day = (this - timedelta(days=1)).isoformat()
        return Span(day, day)
    if given == "month":
        return Span(this.replace(day=1).isoformat(), today)
    numbered = _NUMBERED.fullmatch(given) if isinstance(given, str) else None
    if numbered is None or int(numbered[1]) < 1:
        known = ", ".join(RANGES)
        raise InvalidInput(f"no such range; known: {known}, [from, to] as YYYY-MM-DD", field="date_range")
    count = int(numbered[1])
    if numbered[2] == "d":
        return _bounded(Span((this - timedelta(days=count - 1)).isoformat(), today))
    month = this.year * 12 + this.month - count
    if month < 12:
        raise InvalidInput(f"a range has at most {DAYS_MAX} days", field="date_range")
    return _bounded(Span(date(month // 12, month % 12 + 1, 1).isoformat(), today))


def _custom_range(given: list[Any]) -> Span:
    if len(given) != 2:
        raise InvalidInput("a range is two dates, [from, to]", field="date_range")
    first, last = (_date(text) for text in given)
    if last < first:
        raise InvalidInput("the range ends before it begins", field="date_range")
    return _bounded(Span(first, last))


def _date(text: object) -> str:
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise InvalidInput(f"{text!r} is no date such as 2026-11-23", field="date_range")


def _bounded(span: Span) -> Span:
    days = (date.fromisoformat(span.last) - date.fromisoformat(span.first)).days + 1
    if days > DAYS_MAX:
        raise InvalidInput(f"a range has at most {DAYS_MAX} days", field="date_range")
    return span


def _site(given: object, site_of: Callable[[str], Site | None]) -> Site:
    if not isinstance(given, str) or not given:
        raise InvalidInput("name the site", field="site")
    site = site_of(given)
    if site is None:
        raise InvalidInput(f"there is no site {given!r}", field="site")
    return site


def _metrics(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise InvalidInput("metrics is a list with at least one name", field="metrics")
    for name in given:
        if name not in METRICS:
            raise InvalidInput(f"no metric {name!r}; known: {', '.join(METRICS)}", field="metrics")
    return tuple(dict.fromkeys(given))


def _dimensions(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise InvalidInput("dimensions is a list of names", field="dimensions")
    for name in given:
        if not is_dimension(name):
            known = ", ".join((*DIMENSIONS, f"{PROP_PREFIX}<name>"))
            raise InvalidInput(f"no dimension {name!r}; known: {known}", field="dimensions")
    if len(given) > DIMENSIONS_MAX or len(set(given)) < len(given):
        raise InvalidInput(f"dimensions are up to {DIMENSIONS_MAX} different ones", field="dimensions")
    return tuple(given)


def _interval(given: object, dimensions: tuple[str, ...], span: Span) -> Interval | None:
    if given is None:
        return None
    if given not in ("hour", "day"):
        raise InvalidInput("an interval is hour or day", field="interval")
    if dimensions:
        raise InvalidInput("a series has no dimensions; leave out one of the two", field="interval")
    if given == "hour" and len(span.days) > HOURLY_DAYS_MAX:
        raise InvalidInput(
            f"hours are given for at most {HOURLY_DAYS_MAX} days; ask by day", field="interval"
        )
    return "hour" if given == "hour" else "day"


def _filters(given: object) -> tuple[Filter, ...]:
    if not isinstance(given, list) or len(given) > FILTERS_MAX:
        raise InvalidInput(f"filters is a list of at most {FILTERS_MAX} objects", field="filters")
    return tuple(_filter(one, f"filters[{index}]") for index, one in enumerate(given))


def _filter(given: object, where: str) -> Filter:
    if not isinstance(given, Mapping):
        raise InvalidInput("a filter has dimension, operator and values", field=where)
    operator, name, values = (given.get(key) for key in ("operator", "dimension", "values"))
    if operator not in OPERATORS:
        raise InvalidInput(f"an operator is one of {', '.join(OPERATORS)}", field=f"{where}.operator")
    if not isinstance(name, str) or not is_dimension(name):
        raise InvalidInput(f"no dimension {name!r}", field=f"{where}.dimension")
    if not isinstance(values, list) or not 1 <= len(values) <= FILTER_VALUES_MAX:
        raise InvalidInput(f"values is a list of 1 to {FILTER_VALUES_MAX} texts", field=f"{where}.values")
    if not all(isinstance(value, str) for value in values):
        raise InvalidInput("values are texts", field=f"{where}.values")
    return Filter(name, operator, tuple(values))


def _limit(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= LIMIT_MAX:
        raise InvalidInput(f"a limit is a number from 1 to {LIMIT_MAX}", field="limit")
    return given
