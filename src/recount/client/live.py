"""The last minutes of a site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from recount.client import tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Live:
    """`minutes`: a row a minute; `top`: by dimension, its values with most visitors; `complete`: whether
    every part of the site's events is known."""

    as_of: datetime
    published_until: datetime | None
    current_visitors: int
    complete: bool
    totals: dict[str, Any]
    minutes: pd.DataFrame
    top: dict[str, pd.DataFrame]


def of(answer: dict[str, Any], zone: str) -> Live:
    """From the answer of `/api/v1/live/<site>`; moments are those of `zone`."""
    totals = dict(answer.get("totals", {}))
    if "revenue" in totals:
        totals["revenue"] = {currency: Decimal(amount) for currency, amount in totals["revenue"].items()}
    as_of = _moment(answer["as_of"])
    assert as_of is not None
    return Live(
        as_of=as_of,
        published_until=_moment(answer.get("published_until")),
        current_visitors=answer["current_visitors"],
        complete=answer.get("complete", True),
        totals=totals,
        minutes=_frame(answer.get("minutes", []), zone),
        top={name: _frame(rows, zone) for name, rows in answer.get("top", {}).items()},
    )


def _frame(rows: list[dict[str, Any]], zone: str) -> pd.DataFrame:
    return tables.frame(tables.table(rows, zone, {}), {})


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
