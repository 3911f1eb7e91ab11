"""One page as data: the questions it asks, all at once, and what the answers look like on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dashboard_svc import timeline, words
from dashboard_svc.corrected import CorrectedAnswers, notes
from dashboard_svc.freshness import PUBLISHED, Freshness
from dashboard_svc.lists import ROWS, PanelView, panel_view
from dashboard_svc.panels import METRICS, PANELS, Kind, Metric
from dashboard_svc.ranges import Range
from recount.interpret.bots import HUMAN
from recount.querying.answers import Answers
from recount.querying.measures import Row
from recount.querying.query import LIMIT_MAX, Query, Span
from recount.rules import EXCLUDED_PREFIX
from recount.store.catalog import Site

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
class Report:
    """Everything a page shows that is not live. `corrected`: what was changed on purpose in the range; late
    events are told among the `notes`."""

    range: Range
    totals: list[Total]
    chart: timeline.ChartView
    panels: list[PanelView]
    origin: str
    tip: str
    notes: list[str]
    corrected: list[str]
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
            asked.add(tab.dimension, Query(shown.span, metrics, (tab.dimension,), limit=ROWS + 1))
    asked.add("verdict", Query(shown.span, ("pageviews", "visits"), ("verdict",), limit=50))
    return asked


def build(
    site: Site,
    shown: Range,
    asked: Questions,
    answers: CorrectedAnswers,
    *,
    args: Mapping[str, str],
    now_ms: int,
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
    corrections = [c for c in answers.corrections if c.touches(shown.span.first, shown.span.last)]
    late = [c for c in corrections if c.kind == "late"]
    series, series_before = tables["series"], tables.get("series before", [])
    return Report(
        range=shown,
        totals=[_total(m, total, before, tip, is_chosen=m is metric) for m in METRICS],
        chart=timeline.view(site, shown, metric, series, series_before, fresh, corrections),
        panels=[panel_view(panel, tables, total, fresh, end_ms, args) for panel in PANELS],
        origin=fresh.origin(of_total, end_ms),
        tip=tip,
        notes=[*answers.notes, *notes(late)],
        corrected=notes([c for c in corrections if c.kind != "late"]),
        is_empty=not total.get("pageviews") and not any(tables[t.dimension] for p in PANELS for t in p.tabs),
        bots=_bots(tables["verdict"]),
    )


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
    moved = value - before if metric.kind is Kind.SHARE else (value - before) / before
    if abs(moved) < 0.0005:
        return "no change", "flat"
    if metric.kind is Kind.SHARE:
        text = f"{abs(moved) * 100:.1f} pts"
    elif abs(moved) >= 10:
        text = f"×{value / before:,.0f}"
    else:
        text = words.percent(abs(moved)).replace("<0.1%", "0.1%")
    is_good = (moved > 0) is not metric.lower_is_better
    return f"{'↑' if moved > 0 else '↓'} {text}", "good" if is_good else "bad"


def _is_bot(verdict: str) -> bool:
    return verdict != HUMAN and not verdict.startswith(EXCLUDED_PREFIX)


def _bots(rows: Sequence[Row]) -> str:
    """`312 pageviews by bots left out (crawler, headless)`; empty where there were none."""
    found = [row for row in rows if _is_bot(str(row["verdict"])) and row.get("pageviews")]
    if not found:
        return ""
    names = ", ".join(words.label("verdict", str(row["verdict"])).lower() for row in found[:3])
    views = sum(row["pageviews"] for row in found)
    return f"{words.number(views)} pageviews by bots are left out ({names}{', …' if len(found) > 3 else ''})"
