"""The chart of a page: a metric over time beside the period before, and where each value is from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from dashboard_svc import chart
from dashboard_svc.chart import Value
from dashboard_svc.corrected import notes
from dashboard_svc.freshness import PUBLISHED, Freshness
from dashboard_svc.panels import Kind, Metric
from dashboard_svc.ranges import Range
from recount.corrections import Correction, moves
from recount.periods import HOUR_MS, day_of, day_span_ms, days_in_words
from recount.querying.measures import Row
from recount.querying.query import Span
from recount.store.catalog import Site


@dataclass(frozen=True)
class Point:
    """One row of the chart's table."""

    label: str
    value: str
    y: float | None
    before_label: str
    before: str
    tip: str
    corrected: str


@dataclass(frozen=True)
class Mark:
    """A stretch of the chart whose numbers were corrected; `id`: the newest publication that did."""

    id: str
    x: float
    width: float
    tip: str
    is_late: bool


@dataclass(frozen=True)
class ChartView:
    metric: Metric
    drawing: chart.Chart
    points: list[Point]
    x_ticks: list[chart.Tick]
    y_ticks: list[chart.Tick]
    has_previous: bool
    marks: list[Mark]


def view(
    site: Site,
    shown: Range,
    metric: Metric,
    rows: Sequence[Row],
    rows_before: Sequence[Row],
    fresh: Freshness,
    corrections: Sequence[Correction] = (),
) -> ChartView:
    """`rows` are the series of the range, `rows_before` that of the period before, if there is one;
    `corrections` (newest first) are marked where they changed the range."""
    buckets = _buckets(shown.span, shown.hourly, site.timezone)
    known = {row["at"]: row for row in rows}
    values = _values(known, buckets, metric, fresh.now_ms)
    earlier, before = _before(site, shown, metric, rows_before, fresh.now_ms)
    top = _axis_top(metric, [*values, *before])
    ends = [*buckets[1:], shown.span.bounds_ms(site.timezone)[1]]
    drawing = chart.draw(values, before[: len(values)], _settled(known, buckets, ends, fresh.now_ms), top)
    words_at = partial(_bucket_words, hourly=shown.hourly, zone=site.timezone, long=True)
    touched = [[c for c in corrections if c.overlaps(*bucket)] for bucket in zip(buckets, ends, strict=True)]
    then = [(words_at(at), metric.exact(value)) for at, value in zip(earlier, before, strict=True)]
    then += [("", "")] * (len(buckets) - len(then))
    points = [
        Point(
            label=words_at(at),
            value=metric.exact(values[i]),
            y=drawing.ys[i],
            before_label=then[i][0],
            before=then[i][1],
            tip=_point_tip(known.get(at), at, ends[i], fresh),
            corrected=_corrected(touched[i], day_of(at, site.timezone), metric, hourly=shown.hourly),
        )
        for i, at in enumerate(buckets)
    ]
    is_day = shown.hourly and len(shown.span.days) == 1
    return ChartView(
        metric,
        drawing,
        points,
        x_ticks=chart.spaced([_bucket_words(at, hourly=is_day, zone=site.timezone) for at in buckets]),
        y_ticks=[chart.Tick(y, _axis_text(metric, value)) for y, value in chart.steps(top)],
        has_previous=bool(before),
        marks=_marks(touched),
    )


def _marks(touched: Sequence[Sequence[Correction]]) -> list[Mark]:
    """A mark for each stretch that the same corrections changed."""
    keys = [",".join(c.publication for c in found) for found in touched]
    return [
        Mark(
            id=touched[stretch.first][0].publication,
            x=stretch.x,
            width=stretch.width,
            tip=" ".join(notes(touched[stretch.first])),
            is_late=all(c.kind == "late" for c in touched[stretch.first]),
        )
        for stretch in chart.stretches(keys)
    ]


def _corrected(found: Sequence[Correction], day: str, metric: Metric, *, hourly: bool) -> str:
    """What is said at a point: when it was corrected, and how the metric of that day moved."""
    if not found:
        return ""
    newest = found[0]
    on = day_of(newest.at_ms, newest.zone)
    pair = None if hourly else newest.days.get(day, {}).get(metric.name)
    moved = f": {moves(metric.name, *pair)}" if pair else ""
    more = f", and {len(found) - 1} time{'' if len(found) == 2 else 's'} before" if len(found) > 1 else ""
    return f"Corrected on {days_in_words(on, on)}{moved}{more}"


def _settled(known: Mapping[int, Row], buckets: Sequence[int], ends: Sequence[int], now_ms: int) -> int:
    """How many points are final: up to the first that live numbers are in, or that is still running."""
    for index, (at, end) in enumerate(zip(buckets, ends, strict=True)):
        if end > now_ms or known.get(at, {}).get("origin", PUBLISHED) != PUBLISHED:
            return index
    return len(buckets)


def _point_tip(row: Row | None, at: int, end: int, fresh: Freshness) -> str:
    if at >= fresh.now_ms:
        return "Not yet"
    return fresh.sentence(PUBLISHED if row is None else str(row["origin"]), end)


def _before(
    site: Site, shown: Range, metric: Metric, rows: Sequence[Row], now_ms: int
) -> tuple[list[int], list[Value]]:
    """The buckets of the period before, whole, and its values."""
    if shown.previous is None:
        return [], []
    whole = Span(shown.previous.first, shown.previous.last)
    buckets = _buckets(whole, shown.hourly, site.timezone)
    known = {row["at"]: row for row in rows}
    return buckets, _values(known, buckets, metric, now_ms)


def _axis_top(metric: Metric, values: Sequence[Value]) -> float:
    seconds, at_most = metric.kind is Kind.SECONDS, 1.0 if metric.kind is Kind.SHARE else None
    return chart.axis_top(values, seconds=seconds, at_most=at_most)


def _axis_text(metric: Metric, value: float) -> str:
    if value == 0:
        return "0"
    if metric.kind is Kind.RATIO:
        return f"{value:g}"
    return metric.text(value)


def _buckets(span: Span, hourly: bool, zone: str) -> list[int]:
    """The start of every bucket, ms UTC: local hours (23, 24 or 25 a day) or local days."""
    start, end = span.bounds_ms(zone)
    if hourly:
        return list(range(start, end, HOUR_MS))
    return [day_span_ms(day, zone)[0] for day in span.days]


def _values(known: Mapping[int, Row], at: Sequence[int], metric: Metric, until_ms: int) -> list[Value]:
    """The metric of every bucket: counts are 0 where nothing happened, rates are unknown; the future too."""
    nothing = 0 if metric.kind is Kind.COUNT else None
    return [known.get(ms, {}).get(metric.name, nothing) if ms < until_ms else None for ms in at]


def _bucket_words(ms: int, *, hourly: bool, zone: str, long: bool = False) -> str:
    at = datetime.fromtimestamp(ms / 1000, ZoneInfo(zone))
    if hourly:
        return f"{at:%a} {at.day} {at:%b}, {at:%H:%M}" if long else f"{at:%H:%M}"
    return f"{at:%a} {at.day} {at:%b %Y}" if long else f"{at.day} {at:%b}"
