"""Made rollups for tests of the store: small, complete, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, SUMS, Rollup, merge
from recount.periods import QUARTER_MS, hour_start_ms

PAGES: Final = ("/", "/about", "/äöü", "/a?b=c", "(other) pages")
SOURCES: Final = ("Direct / None", "Google", "")


def row(
    site: str, at: int, dimension: str, value: str = "", visitors: Iterable[int] = (), **sums: int
) -> dict[str, Any]:
    """One row of a rollup; metrics that are not given are 0."""
    key = {"site": site, "at": at, "dimension": dimension, "value": value, "visitors": sorted(set(visitors))}
    return key | dict.fromkeys(SUMS, 0) | sums


def rollup(rows: Sequence[Mapping[str, Any]], revenue: Sequence[Mapping[str, Any]] = ()) -> Rollup:
    return Rollup(
        pl.DataFrame(rows, schema=dict(ROLLUP_SCHEMA)).sort(KEYS),
        pl.DataFrame(revenue, schema=dict(REVENUE_SCHEMA)).sort(*KEYS, "currency"),
    )


def hour_rollup(hour: str, sites: Iterable[str], seed: int = 0, views: int = 6, bucket_ms: int = 0) -> Rollup:
    """A believable hour: pageviews of a few visitors on a few pages, in all quarters, some with revenue.

    `bucket_ms` other than 0 gives dimensions that bucket instead of the hour.
    """
    start = hour_start_ms(hour)
    rows: list[dict[str, Any]] = []
    revenue: list[dict[str, Any]] = []
    for site in sites:
        rng = random.Random(f"{seed}/{hour}/{site}")
        for _ in range(views):
            visitor, quarter = rng.randrange(1, 40) * 2**57 + 7, start + rng.randrange(4) * QUARTER_MS
            at = start if not bucket_ms else quarter - quarter % bucket_ms
            shown = [("total", "", at), ("series", "", quarter), ("page", rng.choice(PAGES), at)]
            shown += [("source", rng.choice(SOURCES), at), ("verdict", "human", at)]
            sums = {
                "pageviews": 1,
                "accepted": 1,
                "visits": rng.randrange(2),
                "engaged_ms": rng.randrange(9_000),
            }
            rows += [row(site, moment, name, value, [visitor], **sums) for name, value, moment in shown]
            if rng.random() < 0.3:
                revenue += [
                    dict(
                        zip(KEYS, (site, moment, name, value), strict=True),
                        currency="EUR",
                        micros=rng.randrange(10**8),
                    )
                    for name, value, moment in shown[:3]
                ]
    return merge([rollup(rows[:0]), rollup(rows, revenue)], regroup=pl.col("at"))
