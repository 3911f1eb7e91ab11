"""Rows beside those of another range: what they were there, and how much that has changed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from recount.querying.measures import Row
from recount.querying.query import Query
from recount.querying.rows import REVENUE

COMPARISON: Final = "comparison"
CHANGE: Final = "change"


def compared(query: Query, currency: str, rows: Sequence[Row], before: Sequence[Row]) -> list[Row]:
    """Each row with `comparison`, the row before of the same place, and `change`: by which share each metric
    has grown (0.5: half as much again), None where that cannot be said."""
    return [
        row | {COMPARISON: _without_key(query, old), CHANGE: _changes(query, currency, row, old)}
        for row, old in zip(rows, before, strict=True)
    ]


def _without_key(query: Query, row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in query.dimensions}


def _changes(query: Query, currency: str, row: Row, before: Row) -> dict[str, float | None]:
    return {name: _change(*(_number(name, currency, one) for one in (row, before))) for name in query.metrics}


def _number(name: str, currency: str, row: Row) -> float | None:
    if name != REVENUE:
        found: float | None = row.get(name)
        return found
    return float(Decimal(row[name].get(currency, "0")))


def _change(now: float | None, before: float | None) -> float | None:
    return None if now is None or not before else round((now - before) / before, 4)
