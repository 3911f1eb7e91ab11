"""Which corrections need somebody's name under them: how far a site's totals may move unapproved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from recount.errors import InvalidInput
from recount.publishing.comparison import MICROS, REVENUE_PREFIX, Comparison


@dataclass(frozen=True)
class Threshold:
    """Blocks where a site's `metric` over the whole range moves by more than `share` of what it was, and by
    more than `least` (small sites move by large shares). `revenue` means every currency, `least` in units."""

    metric: str
    share: float
    least: int = 0


DEFAULTS: Final = (
    Threshold("visitors", 0.05, 20),
    Threshold("visits", 0.05, 20),
    Threshold("pageviews", 0.05, 50),
    Threshold("revenue", 0.01, 1),
)


@dataclass(frozen=True)
class Blocked:
    """A site whose totals moved too far."""

    site: str
    metric: str
    old: int
    new: int
    threshold: Threshold

    def __str__(self) -> str:
        moved = f"by {_percent((self.new - self.old) / self.old)}" if self.old else "from nothing"
        limit = f"{self.threshold.share:.0%}"
        unit = MICROS if self.metric.startswith(REVENUE_PREFIX) else 1
        numbers = f"{self.old / unit:,.10g} -> {self.new / unit:,.10g}"
        return f"{self.site}: {self.metric} moves {moved} ({numbers}), more than {limit} needs an approval"


def parse(text: str) -> tuple[Threshold, ...]:
    """`visitors=5%/20,revenue=1%/1` -> thresholds; empty: the defaults. Raises InvalidInput."""
    if not text.strip():
        return DEFAULTS
    return tuple(_parse_one(part.strip()) for part in text.split(","))


def blocked(found: Comparison, thresholds: Sequence[Threshold] = DEFAULTS) -> list[Blocked]:
    """What a publication needs an approval for, largest sites first."""
    totals = found.totals.group_by("site", "metric").agg(pl.col("old", "new").sum())
    moved = totals.filter(pl.col("old") != pl.col("new")).sort(
        pl.max_horizontal("old", "new"), "site", "metric", descending=[True, False, False]
    )
    return [
        Blocked(site, metric, old, new, threshold)
        for site, metric, old, new in moved.select("site", "metric", "old", "new").iter_rows()
        for threshold in thresholds
        if _is_of(threshold, metric) and _exceeds(threshold, metric, old, new)
    ]


def _is_of(threshold: Threshold, metric: str) -> bool:
    return threshold.metric == metric or (threshold.metric == "revenue" and metric.startswith(REVENUE_PREFIX))


def _exceeds(threshold: Threshold, metric: str, old: int, new: int) -> bool:
    unit = MICROS if metric.startswith(REVENUE_PREFIX) else 1
    distance = abs(new - old)
    return distance > threshold.least * unit and distance > threshold.share * abs(old)


def _percent(share: float) -> str:
    return f"{share:+.1%}"


def _parse_one(text: str) -> Threshold:
    name, equals, limits = text.partition("=")
    share, _, least = limits.partition("/")
    try:
        if not (name and equals and share.endswith("%")):
            raise ValueError
        return Threshold(name.strip(), float(share[:-1]) / 100, int(least or 0))
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no threshold; write METRIC=SHARE%/LEAST, such as visitors=5%/20", field="thresholds"
        ) from None
