"""The list of sites: a card each, with the visitors of seven days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flask import Response, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from dashboard_svc import chart, ranges, report, words
from dashboard_svc.panels import BY_NAME
from dashboard_svc.services import Services
from recount.querying.measures import Row
from recount.querying.query import Query
from recount.store.catalog import Site

CARDS_MAX: Final = 24


@dataclass(frozen=True)
class Card:
    """A site in the list of sites."""

    site: Site
    visitors: str
    change: str
    mood: str
    path: str
    area: str


def render(services: Services) -> AnyResponse:
    """The list, or the way to the only site there is."""
    sites = sorted(services.sites.all().values(), key=lambda site: site.domain)
    if len(sites) == 1:
        return redirect(url_for("pages.site", name=sites[0].id))
    cards = [_card(services, site) for site in sites[:CARDS_MAX]]
    body = render_template("sites.html", cards=cards, more=max(0, len(sites) - CARDS_MAX))
    return Response(body, headers={"Cache-Control": "no-store"})


def _card(services: Services, site: Site) -> Card:
    shown = ranges.parse({"period": "7d"}, zone=site.timezone, now_ms=services.now_ms())
    metrics = ("visitors",)
    queries = [Query(shown.span, metrics), Query(shown.span, metrics, interval="hour")]
    if shown.previous is not None:
        queries.append(Query(shown.previous, metrics))
    now, series, *before = services.answerer.answer_many(site, queries).tables
    earlier = _visitors(before[0]) if before else None
    change, mood = report.change(BY_NAME["visitors"], _visitors(now), earlier)
    values = _by_quarter_day(series)
    drawing = chart.draw(values, [], len(values), chart.axis_top(values))
    path = drawing.solid if any(values) else ""
    return Card(site, words.compact(_visitors(now)), change, mood, path, drawing.area)


def _visitors(rows: list[Row]) -> int:
    return int(report.first(rows).get("visitors") or 0)


def _by_quarter_day(series: list[Row]) -> list[float | None]:
    """Hours by six: a line of 28 points tells a week."""
    counts = [int(row.get("visitors") or 0) for row in series]
    return [sum(counts[at : at + 6]) for at in range(0, len(counts), 6)]
