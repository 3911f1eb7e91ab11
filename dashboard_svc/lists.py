"""The lists of a page: the values of a dimension with bars, shares and where the numbers come from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboard_svc import words
from dashboard_svc.freshness import Freshness
from dashboard_svc.panels import BY_NAME, REVENUE, Panel, Tab
from recount.querying.measures import Row
from recount.store.catalog import Site

ROWS: Final = 9


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


def lines(
    tab: Tab, rows: Sequence[Row], total: Row, fresh: Freshness, end_ms: int, site: Site | None = None
) -> list[Line]:
    """The rows of a dimension; with a site, also where they lead."""
    longest = max((row.get(tab.counted.name) or 0 for row in rows), default=0)
    return [_line(tab, row, longest, total, fresh.sentence(row["origin"], end_ms), site) for row in rows]


def panel_view(
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
