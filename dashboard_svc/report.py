"""One page as data: the questions it asks, all at once, and what the answers look like on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from dashboard_svc import chart, words
from dashboard_svc.chart import Value
from dashboard_svc.freshness import PUBLISHED, Freshness
from dashboard_svc.panels import BY_NAME, METRICS, PANELS, REVENUE, Kind, Metric, Panel, Tab
from dashboard_svc.ranges import Range
from recount.answers import Answers
from recount.measures import Row
from recount.periods import HOUR_MS, day_span_ms
from recount.query import LIMIT_MAX, Query, Span
from recount.store.catalog import Site

ROWS: Final = 9
FULL_ROWS_MAX: Final = 500
TOTAL_METRICS: Final = tuple(metric.name for metric in METRICS)


@dataclass(frozen=True)
class Total:
    """A tile: a metric over the range and how it moved. `mood` is good, bad or flat."""

    metric: Metric
    text: str
    exact: str
    change: str
    mood: str
    before: str
    tip: str
    is_chosen: bool


@dataclass(frozen=True)
class Point:
    """One row of the chart's table."""

    label: str
    value: str
    y: float | None
    before_label: str
    before: str
    tip: str


@dataclass(frozen=True)
class ChartView:
    metric: Metric
    drawing: chart.Chart
    points: list[Point]
    x_ticks: list[chart.Tick]
    y_ticks: list[chart.Tick]
    has_previous: bool


@dataclass(frozen=True)
class Line:
    """One row of a list. `bar` is in percent of the longest; `cells` are the metrics of a full table."""

    label: str
    code: str
    text: str
    share: str
    bar: float
    extra: str
    tip: str
    cells: list[str]
    href: str | None = None


@dataclass(frozen=True)
class ListView:
    tab: Tab
    lines: list[Line]
    has_more: bool


@dataclass(frozen=True)
class PanelView:
    panel: Panel
    lists: list[ListView]
    chosen: str


@dataclass(frozen=True)
class Report:
    """Everything a page shows that is not live."""

    range: Range
    totals: list[Total]
    chart: ChartView
    panels: list[PanelView]
    origin: str
    tip: str
    notes: tuple[str, ...]
    is_empty: bool
    bots: str = ""


@dataclass
class Questions:
    """The questions of a page, asked together; each is known by a name."""

    names: list[str] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    def add(self, name: str, query: Query) -> None:
        self.names.append(name)
        self.queries.append(query)

    def named(self, answers: Answers) -> dict[str, list[Row]]:
        return dict(zip(self.names, answers.tables, strict=True))


def questions(shown: Range) -> Questions:
    """Everything the page of a range asks."""
    asked = Questions()
    interval: Final = "hour" if shown.hourly else "day"
    asked.add("totals", Query(shown.span, TOTAL_METRICS))
    asked.add("series", Query(shown.span, TOTAL_METRICS, interval=interval, limit=LIMIT_MAX))
    if shown.previous is not None:
        asked.add("totals before", Query(shown.previous, TOTAL_METRICS))
        whole = Span(shown.previous.first, shown.previous.last)
        asked.add("series before", Query(whole, TOTAL_METRICS, interval=interval, limit=LIMIT_MAX))
    for panel in PANELS:
        for tab in panel.tabs:
            metrics = tab.metrics if panel.name == "actions" else tab.metrics[:1]
            asked.add(tab.dimension, Query(shown.span, metrics, tab.dimension, limit=ROWS + 1))
    asked.add("verdict", Query(shown.span, ("pageviews", "visits"), "verdict", limit=50))
    return asked


def build(
    site: Site, shown: Range, asked: Questions, answers: Answers, *, args: Mapping[str, str], now_ms: int
) -> Report:
    """The page; `args` holds what was chosen: `metric`, and a dimension for each panel."""
    tables = asked.named(answers)
    fresh = Freshness(site.timezone, now_ms, answers.published_until_ms, answers.live_as_of_ms)
    end_ms = shown.span.bounds_ms(site.timezone)[1]
    total = first(tables["totals"])
    of_total = str(total.get("origin", PUBLISHED))
    metric = next((m for m in METRICS if m.name == args.get("metric")), METRICS[0])
    before = first(tables["totals before"]) if "totals before" in tables else None
    tip = fresh.sentence(of_total, end_ms)
    return Report(
        range=shown,
        totals=[_total(m, total, before, tip, is_chosen=m is metric) for m in METRICS],
        chart=_chart(site, shown, metric, tables, fresh),
        panels=[_panel(panel, tables, total, fresh, end_ms, args) for panel in PANELS],
        origin=fresh.origin(of_total, end_ms),
        tip=tip,
        notes=answers.notes,
        is_empty=not total.get("pageviews") and not any(tables[t.dimension] for p in PANELS for t in p.tabs),
        bots=_bots(tables["verdict"]),
    )


def lines(
    tab: Tab, rows: Sequence[Row], total: Row, fresh: Freshness, end_ms: int, site: Site | None = None
) -> list[Line]:
    """The rows of a dimension; with a site, also where they lead."""
    longest = max((row.get(tab.counted.name) or 0 for row in rows), default=0)
    return [_line(tab, row, longest, total, fresh.sentence(row["origin"], end_ms), site) for row in rows]


def first(rows: Sequence[Row]) -> Row:
    return rows[0] if rows else {}


def _total(metric: Metric, now: Row, before: Row | None, tip: str, *, is_chosen: bool) -> Total:
    value = now.get(metric.name)
    earlier = None if before is None else before.get(metric.name)
    moved, mood = ("", "flat") if before is None else change(metric, value, earlier)
    exact = metric.exact(value)
    told = "" if before is None else f"{metric.exact(earlier)} in the period before"
    full_tip = f"{metric.help}. {exact}. {tip}."
    return Total(metric, metric.text(value), exact, moved, mood, told, full_tip, is_chosen)


def change(metric: Metric, value: float | None, before: float | None) -> tuple[str, str]:
    """How a metric moved: shares in points, everything else in percent of what it was."""
    if value is None or not before:
        return ("new" if value and before == 0 else "", "flat")
    if metric.kind is Kind.SHARE:
        moved, text = value - before, f"{abs(value - before) * 100:.1f} pts"
    else:
        moved = (value - before) / before
        text = f"{abs(moved):.0%}" if abs(moved) < 10 else f"×{value / before:,.0f}"
    if abs(moved) < 0.0005:
        return "no change", "flat"
    is_good = (moved > 0) is not metric.lower_is_better
    return f"{'↑' if moved > 0 else '↓'} {text}", "good" if is_good else "bad"


def _chart(
    site: Site, shown: Range, metric: Metric, tables: Mapping[str, list[Row]], fresh: Freshness
) -> ChartView:
    buckets = _buckets(shown.span, shown.hourly, site.timezone)
    known = {row["at"]: row for row in tables["series"]}
    values = _values(known, buckets, metric, fresh.now_ms)
    earlier, before = _before(site, shown, metric, tables, fresh.now_ms)
    top = chart.axis_top(
        [*values, *before],
        seconds=metric.kind is Kind.SECONDS,
        at_most=1.0 if metric.kind is Kind.SHARE else None,
    )
    ends = [*buckets[1:], shown.span.bounds_ms(site.timezone)[1]]
    drawing = chart.draw(values, before[: len(values)], _settled(known, buckets, ends, fresh.now_ms), top)
    words_at = partial(_bucket_words, hourly=shown.hourly, zone=site.timezone, long=True)
    points = [
        Point(
            label=words_at(at),
            value=metric.exact(values[i]),
            y=drawing.ys[i],
            before_label=words_at(earlier[i]) if i < len(before) else "",
            before=metric.exact(before[i]) if i < len(before) else "",
            tip=_point_tip(known.get(at), at, ends[i], fresh),
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
    )


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
    site: Site, shown: Range, metric: Metric, tables: Mapping[str, list[Row]], now_ms: int
) -> tuple[list[int], list[Value]]:
    """The buckets of the period before, whole, and its values."""
    if shown.previous is None:
        return [], []
    whole = Span(shown.previous.first, shown.previous.last)
    buckets = _buckets(whole, shown.hourly, site.timezone)
    known = {row["at"]: row for row in tables["series before"]}
    return buckets, _values(known, buckets, metric, now_ms)


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


def _panel(
    panel: Panel,
    tables: Mapping[str, list[Row]],
    total: Row,
    fresh: Freshness,
    end_ms: int,
    args: Mapping[str, str],
) -> PanelView:
    lists = []
    for tab in panel.tabs:
        rows = tables[tab.dimension]
        lists.append(ListView(tab, lines(tab, rows[:ROWS], total, fresh, end_ms), len(rows) > ROWS))
    names = [tab.dimension for tab in panel.tabs]
    chosen = args.get(panel.name, "")
    return PanelView(panel, lists, chosen if chosen in names else names[0])


def _line(tab: Tab, row: Row, longest: float, total: Row, tip: str, site: Site | None) -> Line:
    counted = tab.counted
    value, number = str(row[tab.dimension]), row.get(counted.name) or 0
    whole = total.get("visits" if counted.name == "exits" else counted.name)
    share = words.percent(min(number / whole, 1.0)) if whole else ""
    label = words.label(tab.dimension, value)
    return Line(
        label=label,
        code=value.upper() if tab.dimension == "country" and label != value else "",
        text=counted.text(number),
        share=share,
        bar=round(100 * number / longest, 2) if longest else 0.0,
        extra=_extra(tab, row),
        tip=f"{counted.exact(number)} {counted.label.lower()}, {share or '?'} of all. {tip}.",
        cells=[_cell(row, name) for name in tab.metrics],
        href=_href(tab, value, site),
    )


def _extra(tab: Tab, row: Row) -> str:
    """Beside the bar of an action: how often, and the money."""
    if "events" not in tab.metrics:
        return ""
    parts = [_cell(row, REVENUE), f"{words.compact(row.get('events'))}×" if row.get("events") else ""]
    return "  ".join(part for part in parts if part and part != words.EMPTY)


def _cell(row: Row, name: str) -> str:
    if name == REVENUE:
        amounts = row.get(REVENUE) or {}
        return " + ".join(words.money(a, c) for c, a in sorted(amounts.items())) or words.EMPTY
    return BY_NAME[name].exact(row.get(name))


def _href(tab: Tab, value: str, site: Site | None) -> str | None:
    """Where a row leads outside: the page itself, or the page that links here."""
    if site is None:
        return None
    if tab.dimension in ("page", "entry_page", "exit_page") and value.startswith("/"):
        return f"https://{site.domain}{value}"
    if tab.dimension == "referrer" and "." in value:
        return f"https://{value}"
    if tab.dimension in ("outbound", "download") and value.startswith(("http://", "https://")):
        return value
    return None


def _bots(rows: Sequence[Row]) -> str:
    """`312 pageviews by bots left out (crawler, headless)`; empty where there were none."""
    found = [row for row in rows if row["verdict"] != "human" and row.get("pageviews")]
    if not found:
        return ""
    names = ", ".join(words.label("verdict", str(row["verdict"])).lower() for row in found[:3])
    views = sum(row["pageviews"] for row in found)
    return f"{words.number(views)} pageviews by bots are left out ({names}{', …' if len(found) > 3 else ''})"
