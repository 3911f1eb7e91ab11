"""The constants that stand for missing values, and the helpers every interpreter shares."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any, Final

import polars as pl

UNKNOWN: Final = "Unknown"
"""The fact is absent or cannot be read: the row is shown, so that the rows of a dimension add up."""

DIRECT: Final = "Direct / None"
"""The source of a visit that nothing led to."""

NAME_MAX_CHARS: Final = 64
"""Longest part of a browser's or system's name or version; what is longer was made up by the sender."""


def distinct(values: pl.Series, name: str) -> pl.DataFrame:
    """The distinct values (null included) as a one-column frame of strings, in order of first appearance."""
    return values.cast(pl.String).alias(name).to_frame().unique(maintain_order=True)


def or_unknown(expr: pl.Expr) -> pl.Expr:
    """`expr` with null and empty text shown as `UNKNOWN`."""
    return pl.when(expr.str.len_bytes() > 0).then(expr).otherwise(pl.lit(UNKNOWN))


def table(name: str) -> dict[str, Any]:
    """A TOML table shipped beside this module. Callers keep what they make of it, not this."""
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
