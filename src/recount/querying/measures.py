"""Sums of rollup rows to the metrics of the Stats API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from recount.counting.rollup import OTHER, SUMS
from recount.querying.query import OF_VISITS, Filter, Order, is_event_scoped

Row = dict[str, Any]

METRIC: Final = "metric:"
MICROS: Final = 1_000_000
COUNTS: Final = ("visitors", "visits", "pageviews", "events", "exits", "conversions")
ALL_VISITORS: Final = "all_visitors"
"""Of rows whose conversion rate is asked for: the visitors that could have converted."""

SUMMED: Final = ("visitors", *SUMS)


def _ratio(above: str, below: str, scale: float = 1.0) -> pl.Expr:
    """`above` / (`below` x scale); null where there is nothing to divide by."""
    return pl.when(pl.col(below) > 0).then(pl.col(above) / (pl.col(below) * scale))


EXPRESSIONS: Final[Mapping[str, pl.Expr]] = {
    **{name: pl.col(name) for name in ("visitors", "visits", "pageviews", "events", "exits")},
    "bounce_rate": _ratio("bounces", "ended_visits").round(4),
    "visit_duration": _ratio("duration_ms", "ended_visits", 1000.0).round(1),
    "views_per_visit": _ratio("pageviews", "visits").round(2),
    "engagement": _ratio("engaged_ms", "visitors", 1000.0).round(1),
    "scroll": _ratio("scroll_sum", "scroll_count", 100.0).round(4),
    "conversions": pl.col("accepted"),
    "conversion_rate": _ratio("visitors", ALL_VISITORS).round(4),
}


def sums(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Rows added up by some of their keys; every other number is a sum."""
    return rows.group_by(by).agg(pl.col(*SUMMED, "live").sum())


def measured(added: pl.DataFrame, metrics: Sequence[str], dimension: str | None) -> pl.DataFrame:
    """`added` with a column for each metric but revenue; visits of an event-scoped dimension are null."""
    without = OF_VISITS if dimension is not None and is_event_scoped(dimension) else ()
    named = [
        (pl.lit(None, pl.Float64) if name in without else EXPRESSIONS[name]).alias(METRIC + name)
        for name in metrics
        if name != "revenue"
    ]
    return added.with_columns(named)


def saying(metrics: Sequence[str], dimension: str | None) -> pl.Expr:
    """Whether a row of `measured` says anything in what is asked for: where a visit only ends in the range,
    its country has a bounce rate and no visitors."""
    of_events = dimension is not None and is_event_scoped(dimension)
    return pl.any_horizontal([_says(name, of_events) for name in metrics])


def _says(metric: str, of_events: bool) -> pl.Expr:
    if metric == "revenue" or (of_events and metric in OF_VISITS):
        return pl.col("accepted") > 0
    column = pl.col(METRIC + metric)
    return column > 0 if metric in (*COUNTS, "conversion_rate") else column.is_not_null()


def fitting(filters: Sequence[Filter]) -> pl.Expr:
    """Whether a row's `value` passes every filter."""
    return pl.all_horizontal([pl.lit(True), *map(_fits, filters)])


def _fits(one: Filter) -> pl.Expr:
    value = pl.col("value")
    values = list(one.values)
    match one.operator:
        case "equals":
            return value.is_in(values)
        case "not":
            return ~value.is_in(values)
        case "contains":
            return pl.any_horizontal([value.str.contains(text, literal=True) for text in values])
        case "matches":
            return pl.any_horizontal([value.str.contains(_pattern(text)) for text in values])


def _pattern(text: str) -> str:
    """`*` is any text, everything else is itself."""
    parts = (
        "".join(c if c.isalnum() or ord(c) > 127 else f"\\x{{{ord(c):x}}}" for c in p)
        for p in text.split("*")
    )
    return "(?s)^" + ".*".join(parts) + "$"


def ranked(table: pl.DataFrame, order: Sequence[Order]) -> pl.DataFrame:
    """By metrics and by the dimension's values, `(other)` last, ties by value."""
    metrics = {name for name in table.columns if name.startswith(METRIC)}
    keys = [METRIC + one.by if METRIC + one.by in metrics else "value" for one in order]
    return table.sort(
        pl.col("value") == OTHER,
        *keys,
        "value",
        descending=[False, *(one.descending for one in order), False],
        nulls_last=True,
    )


def amounts(revenue: pl.DataFrame) -> dict[str, str]:
    """Currency -> exact decimal amount."""
    added = revenue.group_by("currency").agg(pl.col("micros").sum()).sort("currency")
    return {currency: decimal(micros) for currency, micros in added.iter_rows()}


def decimal(micros: int) -> str:
    """1_500_000 -> `1.50`: at least two decimals, as many as needed."""
    whole, rest = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"
