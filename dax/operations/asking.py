"""Parameters for DynamoDB, made from the options of a request."""

from __future__ import annotations

from typing import Any

from dax.wire.expressions import Expressions
from dax.wire.methods import Options
from dax.wire.paths import Projection, read_projection

Json = dict[str, Any]


def projection_of(options: Options) -> Projection | None:
    return None if options.projection is None else read_projection(options.projection)


def reporting(options: Options) -> Json:
    """What DynamoDB shall report besides the result."""
    asked: Json = {}
    if options.capacity != "NONE":
        asked["ReturnConsumedCapacity"] = options.capacity
    if options.metrics != "NONE":
        asked["ReturnItemCollectionMetrics"] = options.metrics
    return asked


def projected(projection: Projection) -> Json:
    """A projection as it was asked for."""
    expressions = Expressions()
    text = expressions.projection(projection)
    return {"ProjectionExpression": text} | expressions.placeholders


def conditional(options: Options) -> Json:
    """The condition and the update of a write."""
    expressions = Expressions()
    asked: Json = {}
    if options.update is not None:
        asked["UpdateExpression"] = expressions.update(options.update)
    if options.condition is not None:
        asked["ConditionExpression"] = expressions.condition(options.condition)
    return asked | expressions.placeholders


def searching(key_condition: bytes | None, options: Options, projection: Projection | None) -> Json:
    """The expressions of a query or scan."""
    expressions = Expressions()
    asked: Json = {}
    if key_condition is not None:
        asked["KeyConditionExpression"] = expressions.condition(key_condition)
    if options.filter is not None:
        asked["FilterExpression"] = expressions.condition(options.filter)
    if projection is not None:
        asked["ProjectionExpression"] = expressions.projection(projection)
    return asked | expressions.placeholders


def paging(options: Options) -> Json:
    """Which part of the results, in which order."""
    asked = {
        "IndexName": options.index,
        "Limit": options.limit,
        "ScanIndexForward": options.forward,
        "Select": options.select,
        "Segment": options.segment,
        "TotalSegments": options.total_segments,
    }
    return {name: value for name, value in asked.items() if value is not None}
