"""The memory of sources gives what is interpreted without it, also when it is full or too small."""

from __future__ import annotations

import polars as pl
import pytest

from recount.interpret import Interpreter, sources

ENTRIES = pl.DataFrame(
    {
        "entry_url": ["?utm_source=a", None, None, "?utm_source=a", "?ref=b&utm_medium=cpc"],
        "entry_referrer": [None, "https://www.google.com/", None, None, "https://t.co/x"],
    },
    schema={"entry_url": pl.String, "entry_referrer": pl.String},
)


@pytest.mark.parametrize("cache_max_rows", [0, 20, 24, 1_000])
def test_remembered_or_not_the_sources_are_the_same(cache_max_rows: int) -> None:
    plain = sources.interpret(ENTRIES)
    interpreter = Interpreter(cache_max_rows)
    for entries in (ENTRIES, ENTRIES.reverse(), ENTRIES.head(2), ENTRIES):
        wanted = entries.join(plain, on=entries.columns, how="left", nulls_equal=True, maintain_order="left")
        assert interpreter.sources(entries).equals(wanted.select(sources.DIMENSIONS))
