"""A comparison at a glance: totals over all days, and the values that move most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from recount.counting.rollup import TOTAL
from recount.errors import InvalidInput
from recount.publishing.comparison import REVENUE_PREFIX, Comparison

MOVED_FIRST: Final = (pl.col("new") - pl.col("old")).abs()


def totals(found: Comparison, metrics: Sequence[str]) -> pl.DataFrame:
    """`site, metric, old, new` over all days, of some metrics and every revenue; sites that move most first.

    Visitors of several days are the sum of daily visitors.
    """
    wanted = pl.col("metric").is_in(list(metrics)) | pl.col("metric").str.starts_with(REVENUE_PREFIX)
    summed = found.totals.filter(wanted).group_by("site", "metric").agg(pl.col("old", "new").sum())
    place = {name: number for number, name in enumerate(metrics)}
    ordered = summed.with_columns(
        pl.col("metric").replace_strict(place, default=len(place), return_dtype=pl.Int64).alias("_place"),
        MOVED_FIRST.max().over("site").alias("_moved"),
    ).sort("_moved", "site", "_place", "metric", descending=[True, False, False, False])
    return ordered.select("site", "metric", "old", "new")


def by_day(found: Comparison, metrics: Sequence[str]) -> pl.DataFrame:
    """`day, metric, old, new` of all sites together, day by day."""
    wanted = found.totals.filter(pl.col("metric").is_in(list(metrics)))
    place = {name: number for number, name in enumerate(metrics)}
    summed = wanted.group_by("day", "metric").agg(pl.col("old", "new").sum())
    order = pl.col("metric").replace_strict(place, default=len(place), return_dtype=pl.Int64)
    return summed.sort("day", order).select("day", "metric", "old", "new")


def of_site(found: Comparison, site: str | None) -> Comparison:
    """What is known of one site. Raises InvalidInput where it is not among those compared."""
    if site is None:
        return found
    if site not in set(found.totals["site"]):
        raise InvalidInput(f"no row of site {site!r} was computed again", field="site")
    here = pl.col("site") == site
    return Comparison(found.changes.filter(here), found.totals.filter(here), found.rows.filter(here))


def largest(found: Comparison, metric: str, limit: int) -> pl.DataFrame:
    """`day, site, dimension, value, old, new` of the values whose metric moves most, largest first."""
    moved = found.changes.filter((pl.col("metric") == metric) & (pl.col("dimension") != TOTAL))
    ranked = moved.sort(
        MOVED_FIRST, "day", "site", "dimension", "value", descending=[True, False, False, False, False]
    )
    return ranked.select("day", "site", "dimension", "value", "old", "new").head(limit)


def appeared_and_vanished(found: Comparison) -> tuple[int, int]:
    """How many (day, site, dimension, value) rows are new, and how many are no longer there."""
    return int(found.rows["appeared"].sum()), int(found.rows["vanished"].sum())


def unchanged_share(found: Comparison) -> float:
    """The share of rows that stay as they are; 1 where there are none."""
    rows = int(found.rows["rows"].sum())
    return 1 - int(found.rows["changed"].sum()) / rows if rows else 1.0
