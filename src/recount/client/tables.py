"""Rows of an answer as columns with types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]

COUNTS: Final = frozenset({"visitors", "visits", "pageviews", "events", "exits", "conversions"})
RATES: Final = frozenset(
    ("bounce_rate", "visit_duration", "views_per_visit", "engagement", "scroll", "conversion_rate")
)
REVENUE: Final = "revenue"
MONEY: Final = pa.decimal128(38, 6)
COMPARISON: Final = "comparison"
CHANGE: Final = "change"
BEFORE: Final = "_before"
CHANGED: Final = "_change"
METADATA: Final = b"recount"


def table(rows: Sequence[Row], zone: str, about: Mapping[str, Any], asked: Iterable[str] = ()) -> pa.Table:
    """A column for everything that rows have, and for what was `asked` where there are no rows.

    Counts are int64, rates float64, `at` a timestamp in `zone`, `date` a date32 (of hours: local time),
    `revenue_<currency>` decimals, all else text; those of a comparison end in `_before` and `_change`. The
    schema's metadata has `about` under `recount`, as JSON.
    """
    rows = [_flat(row) for row in rows]
    columns: dict[str, pa.Array] = {}
    for name in _names(rows) or dict.fromkeys(asked):
        values = [row.get(name) for row in rows]
        columns |= _columns(name, values, zone)
    made: pa.Table = pa.table(columns)
    return made.replace_schema_metadata({METADATA: json.dumps(about, default=_text)})


def frame(made: pa.Table, about: Mapping[str, Any]) -> pd.DataFrame:
    """The same as a data frame with `about` as `attrs`. Counts are `Int64`: some dimensions lack some."""
    import pandas as pd

    found: pd.DataFrame = made.replace_schema_metadata(None).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype()}.get, date_as_object=False
    )
    found.attrs.update(about)
    return found


def _flat(row: Row) -> Row:
    """A comparison's values beside those that they are compared with, as `<metric>_before` and `_change`."""
    flat = {name: value for name, value in row.items() if name not in (COMPARISON, CHANGE)}
    for name, ending in ((COMPARISON, BEFORE), (CHANGE, CHANGED)):
        flat |= {inside + ending: value for inside, value in (row.get(name) or {}).items()}
    return flat


def _names(rows: Sequence[Row]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row)


def _columns(name: str, values: list[Any], zone: str) -> dict[str, pa.Array]:
    if name == REVENUE or name == REVENUE + BEFORE:
        return _revenue(name, values)
    return {name: _column(name.removesuffix(BEFORE), values, zone)}


def _column(name: str, values: list[Any], zone: str) -> pa.Array:
    if name in COUNTS:
        return pa.array(values, pa.int64())
    if name in RATES or name.endswith(CHANGED):
        return pa.array(values, pa.float64())
    if name == "at":
        return pa.array(values, pa.timestamp("ms", tz=zone))
    if name == "date":
        return _dates(values)
    return pa.array(values) if values else pa.array(values, pa.string())


def _dates(texts: Sequence[str]) -> pa.Array:
    of_hours = any("T" in text for text in texts)
    return pa.array(map(datetime.fromisoformat, texts), pa.timestamp("s") if of_hours else pa.date32())


def _revenue(name: str, values: Sequence[Mapping[str, str] | None]) -> dict[str, pa.Array]:
    """A column a currency, with 0 for rows without; one without a currency where no row has any."""
    amounts = [value or {} for value in values]
    currencies = sorted({currency for value in amounts for currency in value})
    if not currencies:
        return {name: pa.array([None] * len(values), MONEY)}
    return {
        f"{name}_{currency}": pa.array([Decimal(value.get(currency, "0")) for value in amounts], MONEY)
        for currency in currencies
    }


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
