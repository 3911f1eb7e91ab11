"""Texts and the patterns they match, site by site. In a pattern `*` stands for any text, also none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import polars as pl

WILDCARD: Final = "*"
Pattern = tuple[str, str, str]
"""(site, pattern, what a match is called)."""

SCHEMA: Final = dict.fromkeys(("site", "value", "name"), pl.String())


def match(facts: pl.DataFrame, patterns: Iterable[Pattern]) -> pl.DataFrame:
    """[site, value, name] for each distinct (site, value) and name it matches; none, no row."""
    facts = facts.select("site", "value").unique(maintain_order=True)
    listed = list(patterns)
    fixed = [pattern for pattern in listed if WILDCARD not in pattern[1]]
    open_ended = [pattern for pattern in listed if WILDCARD in pattern[1]]
    schema = dict.fromkeys(("site", "pattern", "name"), pl.String())
    asked = facts.join(
        pl.DataFrame(open_ended, schema=schema, orient="row"), on="site", maintain_order="left"
    )
    asked = asked.with_columns(pl.col("pattern").str.strip_suffix(WILDCARD).alias("start"))
    plain = pl.col("start").str.contains(WILDCARD, literal=True).not_()  # most patterns: "/docs/*"
    found = [
        exact(facts, fixed),
        asked.filter(plain & pl.col("value").str.starts_with(pl.col("start"))),
    ]
    for (pattern,), of_pattern in asked.filter(~plain).partition_by("pattern", as_dict=True).items():
        found.append(of_pattern.filter(pl.col("value").str.contains(regex(str(pattern)))))
    return pl.concat(part.select(*SCHEMA) for part in found).unique(maintain_order=True)


def exact(facts: pl.DataFrame, wanted: Iterable[Pattern]) -> pl.DataFrame:
    """[site, value, name] for each fact (site, value) that is one of those wanted."""
    table = pl.DataFrame(list(wanted), schema=SCHEMA, orient="row").unique(maintain_order=True)
    return facts.join(table, on=["site", "value"], maintain_order="left_right")


def regex(pattern: str) -> str:
    """The regular expression of a pattern."""
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in pattern.split(WILDCARD)) + "$"
