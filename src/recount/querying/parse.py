"""From a request to a query, checked.

{"site": "demo", "metrics": ["visitors", "pageviews"], "dimensions": ["page"], "date_range": "7d",
 "filters": [{"dimension": "page", "operator": "contains", "values": ["/docs"]}], "limit": 20}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from zoneinfo import available_timezones

from recount.counting.rollup import PROP_PREFIX
from recount.errors import InvalidInput
from recount.periods import day_of
from recount.querying.paging import go_on
from recount.querying.query import (
    DEFAULT_LIMIT,
    DEFAULT_METRICS,
    DEFAULT_RANGE,
    DIMENSIONS,
    DIMENSIONS_MAX,
    DIRECTIONS,
    FIELDS,
    FILTER_VALUES_MAX,
    FILTERS_MAX,
    HOURLY_DAYS_MAX,
    INTERVALS,
    LIMIT_MAX,
    METRICS,
    OFFSET_MAX,
    OPERATORS,
    ORDER_MAX,
    Filter,
    Interval,
    Order,
    Query,
    Span,
    is_dimension,
)
from recount.querying.ranges import parse_compare, parse_range
from recount.store.catalog import Site


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
    timezone = _timezone(body.get("timezone"), site)
    zone = timezone or site.timezone
    span = parse_range(body.get("date_range", DEFAULT_RANGE), day_of(now_ms, zone), zone)
    metrics = _metrics(body.get("metrics", list(DEFAULT_METRICS)))
    query = Query(
        span=span,
        metrics=metrics,
        dimensions=dimensions,
        interval=_interval(body.get("interval"), dimensions, span),
        filters=_filters(body.get("filters", [])),
        limit=_limit(body.get("limit", DEFAULT_LIMIT)),
        offset=_offset(body.get("offset", 0), body),
        order=_order(body.get("order_by", []), dimensions, metrics),
        timezone=timezone,
        compared=parse_compare(body.get("compare"), span, zone, now_ms),
    )
    return site, go_on(query, body["cursor"]) if body.get("cursor") is not None else query


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
    if given not in INTERVALS:
        raise InvalidInput(f"an interval is one of {', '.join(INTERVALS)}", field="interval")
    if dimensions:
        raise InvalidInput("a series has no dimensions; leave out one of the two", field="interval")
    if given == "hour" and len(span.days) > HOURLY_DAYS_MAX:
        raise InvalidInput(
            f"hours are given for at most {HOURLY_DAYS_MAX} days; ask by day", field="interval"
        )
    interval: Interval = given
    return interval


def _timezone(given: object, site: Site) -> str | None:
    """None for the site's own."""
    if given is None or given == site.timezone:
        return None
    if not isinstance(given, str) or given not in available_timezones():
        raise InvalidInput(f"{given!r} is no time zone; try one such as Europe/Berlin", field="timezone")
    return given


def _order(given: object, dimensions: Sequence[str], metrics: Sequence[str]) -> tuple[Order, ...]:
    if not isinstance(given, list) or len(given) > ORDER_MAX:
        raise InvalidInput(f"order_by is a list of at most {ORDER_MAX} pairs", field="order_by")
    if given and not dimensions:
        raise InvalidInput("only the rows of a dimension have another order", field="order_by")
    return tuple(_ordered(one, f"order_by[{n}]", (*metrics, *dimensions)) for n, one in enumerate(given))


def _ordered(given: object, where: str, known: Sequence[str]) -> Order:
    if not isinstance(given, list) or len(given) != 2 or given[1] not in DIRECTIONS:
        raise InvalidInput('an order is a pair such as ["visitors", "desc"]', field=where)
    if given[0] not in known:
        detail = f"rows are ordered by what is asked for: {', '.join(known)}; not by {given[0]!r}"
        raise InvalidInput(detail, field=where)
    return Order(given[0], descending=given[1] == "desc")


def _offset(given: object, body: Mapping[str, object]) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= OFFSET_MAX:
        raise InvalidInput(f"an offset is a number from 0 to {OFFSET_MAX}", field="offset")
    if given and body.get("cursor") is not None:
        raise InvalidInput("a page begins at an offset or a cursor, not at both", field="offset")
    return given


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
