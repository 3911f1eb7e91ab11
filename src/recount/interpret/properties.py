"""Event properties -> one row a property: JSON objects as text in, (key, value) as text out."""

from __future__ import annotations

from typing import Final

import orjson
import polars as pl

from recount.interpret.values import distinct

SCHEMA: Final[dict[str, pl.DataType]] = dict.fromkeys(("props", "key", "value"), pl.String())


def interpret(props: pl.Series) -> pl.DataFrame:
    """[props, key, value]: a row for each property of each distinct object, in the order of the object.

    Numbers and booleans as JSON writes them (3, 2.5, true); a nested value is no property and is left
    out, as is a value that is not a JSON object. The link of an `outbound` or `download` event is its
    property `url`.
    """
    rows: list[int] = []
    keys: list[str] = []
    values: list[str] = []
    texts = distinct(props.drop_nulls(), "props")["props"]
    for row, text in enumerate(texts):
        for key, value in _object(text).items():
            shown = _shown(value)
            if shown is not None:
                rows.append(row)
                keys.append(key)
                values.append(shown)
    return pl.DataFrame({"props": texts.gather(rows), "key": keys, "value": values}, schema=SCHEMA)


def _object(text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _shown(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None
