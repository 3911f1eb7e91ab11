"""Golden files: real samples with what each must be interpreted as, one CSV a module, empty = null."""

from __future__ import annotations

from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent / "golden"


def samples(name: str) -> pl.DataFrame:
    return pl.read_csv(FOLDER / f"{name}.csv", infer_schema=False)


def differences(want: pl.DataFrame, got: pl.DataFrame) -> list[str]:
    """What differs, row by row, readable in a failing test's report."""
    shown = got.select(pl.col(want.columns).cast(pl.String))
    assert shown.height == want.height
    pairs = zip(want.iter_rows(), shown.iter_rows(), strict=True)
    return [f"want {wanted}\n got {found}" for wanted, found in pairs if wanted != found]
