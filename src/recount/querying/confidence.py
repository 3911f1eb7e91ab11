"""How far the numbers of a table can be trusted: a word for each metric, and notes for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from recount.counting import sketch
from recount.counting.rollup import OTHER
from recount.querying.data import Data
from recount.querying.measures import COUNTS
from recount.querying.query import OF_VISITS, Query, is_event_scoped

Confidence = dict[str, Any]

STANDARD_ERROR: Final = round(1 / math.sqrt(sketch.K - 2), 4)
KINDS: Final = ("exact", "estimate", "lower_bound", "incomplete")
OF_ENDED: Final = ("bounce_rate", "visit_duration", "exits")
OF_VISITORS: Final = ("visitors", "engagement", "conversion_rate")


def confidence(query: Query, data: Data, added: pl.DataFrame) -> dict[str, Confidence]:
    """`kind` of each metric, one of KINDS, with its measure; `added`: the sums of all values, unfiltered.

    estimate: `standard_error`, a share. lower_bound: rare values of some periods were folded; a row may lack
    up to `missing_at_most` visitors. incomplete: visits that have not ended are missing.
    """
    missing = folded_max(added) if data.segments > 1 else 0
    estimated = is_estimated(data, added)
    return {name: _of_metric(name, missing, estimated, data.is_open) for name in query.metrics}


def _of_metric(name: str, missing: int, is_estimate: bool, is_open: bool) -> Confidence:
    if name in OF_ENDED and is_open:
        return {"kind": "incomplete"}
    if name in COUNTS and missing:
        bound = {"missing_at_most": missing} if name == "visitors" else {}
        return {"kind": "lower_bound"} | bound
    if name in OF_VISITORS and is_estimate:
        return {"kind": "estimate", "standard_error": STANDARD_ERROR}
    return {"kind": "exact"}


def notes(query: Query, data: Data, added: pl.DataFrame, dimension: str) -> Iterator[str]:
    """What must be said of a table."""
    if "visitors" in query.metrics and query.interval is None and not data.united and data.is_of_several_days:
        yield "Visitors of several days are the sum of daily visitors: nobody is recognised on another day."
    if is_event_scoped(dimension):
        without = [name for name in query.metrics if name in OF_VISITS]
        if without:
            yield f"{', '.join(without)}: counted for whole visits, not for each {dimension}."
    if most := folded_max(added):
        yield f"Rare values of {dimension} are counted in {OTHER}, with up to {most} visitors for each."
    if is_estimated(data, added):
        percent = STANDARD_ERROR * 100
        yield f"Visitors above {sketch.EXACT_MAX:,} a day are estimates, standard error {percent:.1f} %."


def folded_max(added: pl.DataFrame) -> int:
    """How many visitors a value may have that is not shown, or besides those shown; 0: none was folded."""
    if "value" not in added.columns:
        return 0
    return int(added.filter(pl.col("value") == OTHER)["folded_max"].sum())


def is_estimated(data: Data, added: pl.DataFrame) -> bool:
    return bool((added["visitors"] > sketch.EXACT_MAX).any()) and data.has_estimates
