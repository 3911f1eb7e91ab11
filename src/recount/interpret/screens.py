"""Screen size -> class of screen, by the width in CSS pixels."""

from __future__ import annotations

from typing import Final

import polars as pl

from recount.interpret.values import UNKNOWN, distinct

CLASSES: Final = ((576, "Mobile"), (992, "Tablet"), (1440, "Laptop"))
"""Widths below the first number fall in the class beside it; what is wider is `WIDEST`."""

WIDEST: Final = "Desktop"


def interpret(screen: pl.Series) -> pl.DataFrame:
    """[screen, screen_class], one row per distinct value such as "1920x1080" (the width alone will do)."""
    width = pl.col("screen").str.extract(r"^\s*([0-9]{1,5})(?:[^0-9]|$)").cast(pl.Int32)
    branches = (pl.when(width.is_between(1, below - 1)).then(pl.lit(name)) for below, name in CLASSES)
    widest = pl.when(width >= CLASSES[-1][0]).then(pl.lit(WIDEST))
    return distinct(screen, "screen").with_columns(
        pl.coalesce(*branches, widest, pl.lit(UNKNOWN)).alias("screen_class")
    )
