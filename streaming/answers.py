"""The answer of `/v1/live/<site>` from the rollup of a site: pure, time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from recount.counting import sketch
from recount.counting.rollup import SERIES, TOTAL, VERDICT, Rollup, empty, merge
from recount.periods import HOUR_MS, MINUTE_MS, QUARTER_MS, hour_of, hour_start_ms

BUCKET_MS: Final = 5 * MINUTE_MS  # totals and dimensions
SERIES_MS: Final = MINUTE_MS
CURRENT_MINUTES: Final = 5
MINUTES_DEFAULT: Final = 30
TOP_MAX: Final = 20

Answer = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """The last `minutes` up to a moment; totals and top values count whole buckets, from `from_ms` on."""

    now_ms: int
    minutes: int = MINUTES_DEFAULT

    @property
    def first_minute(self) -> int:
        return self.now_ms // MINUTE_MS * MINUTE_MS - (self.minutes - 1) * MINUTE_MS

    @property
    def from_ms(self) -> int:
        return self.first_minute // BUCKET_MS * BUCKET_MS


def answer(rollup: Rollup, window: Window) -> Answer:
    """`rollup`: one site's, buckets from `window.from_ms` on. Freshness is added by the caller."""
    recent = pl.col("at") >= window.from_ms
    rows = rollup.rows.filter(recent)
    series = rows.filter(pl.col("dimension") == SERIES)
    whole = merge(
        [Rollup(rows.filter(pl.col("dimension") != SERIES), rollup.revenue.filter(recent))],
        regroup=pl.lit(window.from_ms),
    )
    return {
        "from": window.from_ms,
        "current_visitors": _current(series, window),
        "totals": _totals(whole),
        "minutes": _minutes(series, window),
        "top": _top(whole.rows),
    }


def by_hours(rollup: Rollup, hours: list[str], zone_quarters: bool) -> Rollup:
    """The rollup in the buckets of the archive: series by the quarter, the rest by the hour (or quarter)."""
    starts = [hour_start_ms(hour) for hour in hours]
    wanted = (pl.col("at") // HOUR_MS * HOUR_MS).is_in(starts)
    at = pl.col("at")
    unit = QUARTER_MS if zone_quarters else HOUR_MS
    bucket = (
        pl.when(pl.col("dimension") == SERIES)
        .then(at // QUARTER_MS * QUARTER_MS)
        .otherwise(at // unit * unit)
    )
    return merge([Rollup(rollup.rows.filter(wanted), rollup.revenue.filter(wanted))], regroup=bucket)


def covered_hours(horizon_ms: int, now_ms: int) -> list[str]:
    """The hours that the live state holds from their beginning."""
    first = -(-horizon_ms // HOUR_MS) * HOUR_MS
    return [hour_of(start) for start in range(first, now_ms + 1, HOUR_MS)]


def off_the_hour(timezone: str, moment_ms: int) -> bool:
    """Whether a time zone's clock is off the full hour then: its days are made of quarters."""
    offset = datetime.fromtimestamp(moment_ms / 1000, ZoneInfo(timezone)).utcoffset()
    return offset is not None and offset.total_seconds() % 3600 != 0


def _current(series: pl.DataFrame, window: Window) -> int:
    """Visitors of the last five minutes, the running one included."""
    first = window.now_ms // MINUTE_MS * MINUTE_MS - (CURRENT_MINUTES - 1) * MINUTE_MS
    rows = series.filter(pl.col("at") >= first)
    return _visitors(merge([Rollup(rows, empty().revenue)], regroup=pl.lit(first)).rows)


def _visitors(rows: pl.DataFrame) -> int:
    count = rows.select(sketch.count(pl.col("visitors")).sum()).item()
    return int(count or 0)


def _totals(whole: Rollup) -> Answer:
    rows = whole.rows.filter(pl.col("dimension") == TOTAL)
    names = ("visits", "pageviews", "events", "ended_visits", "bounces", "engaged_ms")
    sums = {name: int(rows[name].sum()) for name in names}
    ended, bounces = sums.pop("ended_visits"), sums.pop("bounces")
    money = (
        whole.revenue.filter(pl.col("dimension") == TOTAL).group_by("currency").agg(pl.col("micros").sum())
    )
    return {
        "visitors": _visitors(rows),
        **sums,
        "bounce_rate": round(bounces / ended, 4) if ended else None,
        "revenue": {
            currency: format(Decimal(micros).scaleb(-6), "f")
            for currency, micros in sorted(money.iter_rows())
        },
    }


def _minutes(series: pl.DataFrame, window: Window) -> list[Answer]:
    counted = series.select("at", sketch.count(pl.col("visitors")), "pageviews")
    known = {at: (visitors, pageviews) for at, visitors, pageviews in counted.iter_rows()}
    moments = range(window.first_minute, window.first_minute + window.minutes * MINUTE_MS, MINUTE_MS)
    return [
        {"at": at, "visitors": visitors, "pageviews": pageviews}
        for at in moments
        for visitors, pageviews in [known.get(at, (0, 0))]
    ]


def _top(rows: pl.DataFrame) -> dict[str, list[Answer]]:
    """The values of each dimension with most visitors, most first."""
    counted = (
        rows.filter(~pl.col("dimension").is_in([TOTAL, SERIES, VERDICT]))
        .select("dimension", "value", sketch.count(pl.col("visitors")), "visits", "pageviews", "events")
        .sort(
            ["dimension", "visitors", "pageviews", "events", "value"],
            descending=[False, True, True, True, False],
        )
        .group_by("dimension", maintain_order=True)
        .head(TOP_MAX)
    )
    top: dict[str, list[Answer]] = {}
    for row in counted.iter_rows(named=True):
        top.setdefault(row.pop("dimension"), []).append(row)
    return top
