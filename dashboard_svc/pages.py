"""The pages: parse, ask, render."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from dashboard_svc import caching, chart, lists, ranges, report, words
from dashboard_svc.freshness import Freshness
from dashboard_svc.panels import BY_NAME, MORE_TABS, PANELS, TABS, Tab
from dashboard_svc.services import Services
from recount.metrics import QUERY_SECONDS
from recount.querying.measures import Row
from recount.querying.query import Query
from recount.store.catalog import Site

CARDS_MAX: Final = 24
NEAR_MAX: Final = 3
STATE: Final = (*ranges.PARAMETERS, "interval", "metric", "compare", *(panel.name for panel in PANELS))


class UnknownSite(Exception):
    """No site of this name; `near` are names much like it."""

    def __init__(self, name: str, near: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.near = near


@dataclass(frozen=True)
class Card:
    """A site in the list of sites."""

    site: Site
    visitors: str
    change: str
    mood: str
    path: str
    area: str


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("pages", __name__)

    def known(name: str) -> Site:
        site = services.sites.get(name)
        if site is None:
            near = difflib.get_close_matches(name, list(services.sites.all()), NEAR_MAX)
            raise UnknownSite(name, near)
        return site

    def asked_range(site: Site) -> ranges.Range:
        return ranges.parse(
            request.args, zone=site.timezone, now_ms=services.now_ms(), extent=_first_day(services, site)
        )

    @pages.get("/")
    def index() -> AnyResponse:
        sites = sorted(services.sites.all().values(), key=lambda site: site.domain)
        if len(sites) == 1:
            return redirect(url_for("pages.site", name=sites[0].id))
        cards = [_card(services, site) for site in sites[:CARDS_MAX]]
        body = render_template("sites.html", cards=cards, more=max(0, len(sites) - CARDS_MAX))
        return Response(body, headers={"Cache-Control": "no-store"})

    @pages.get("/<name>")
    def site(name: str) -> AnyResponse:
        started = time.perf_counter()
        shown_site = known(name)
        now_ms = services.now_ms()
        shown = asked_range(shown_site)
        questions = report.questions(shown)
        asked = _asked(shown_site, shown, now_ms, f"{shown.today}|{_menu(services)}")
        unchanged = asked.unchanged(lambda: services.answerer.stamp(shown_site, questions.queries))
        if unchanged is not None:
            return unchanged
        answers = services.answerer.answer_many(shown_site, questions.queries)
        answered = time.perf_counter()
        made = report.build(shown_site, shown, questions, answers, args=request.args, now_ms=now_ms)
        named: dict[str, str] = {}
        if asked.is_settled(answers):
            named = _named(shown_site, services.answerer.stamp(shown_site, [Query(shown.span)]))
        body = render_template("site.html", **_page(services, shown_site, shown, made, named, now_ms))
        response = Response(body)
        done = time.perf_counter()
        response.headers["Server-Timing"] = _timing(query=answered - started, page=done - answered)
        services.metrics.histogram(QUERY_SECONDS).labels("page").observe(answered - started)
        return asked.answer(response, answers)

    @pages.get("/<name>/<dimension>")
    def full(name: str, dimension: str) -> AnyResponse:
        shown_site = known(name)
        tab = TABS.get(dimension)
        if tab is None:
            return redirect(url_for("pages.site", name=name))
        now_ms = services.now_ms()
        shown = asked_range(shown_site)
        asked = _asked(shown_site, shown, now_ms)
        table = Query(shown.span, tab.metrics, (tab.dimension,), limit=report.FULL_ROWS_MAX)
        queries = [table, Query(shown.span, report.TOTAL_METRICS)]
        unchanged = asked.unchanged(lambda: services.answerer.stamp(shown_site, queries))
        if unchanged is not None:
            return unchanged
        answers = services.answerer.answer_many(shown_site, queries)
        named = _named(shown_site, answers) if asked.is_settled(answers) else {}
        rows, total = answers.tables[0], report.first(answers.tables[1])
        fresh = Freshness(shown_site.timezone, now_ms, answers.published_until_ms, answers.live_as_of_ms)
        end_ms = shown.span.bounds_ms(shown_site.timezone)[1]
        body = render_template(
            "list.html",
            site=shown_site,
            shown=shown,
            tab=tab,
            kin=_kin(tab),
            metrics=[BY_NAME[m].label if m in BY_NAME else m.capitalize() for m in tab.metrics],
            lines=lists.lines(tab, rows, total, fresh, end_ms, shown_site),
            most=report.FULL_ROWS_MAX,
            tip=fresh.sentence(str(total.get("origin", "published")), end_ms),
            link=_linker(shown.parameters()),
            full=_linker(shown.parameters() | named),
        )
        return asked.answer(Response(body), answers)

    return pages


def _page(
    services: Services,
    site: Site,
    shown: ranges.Range,
    made: report.Report,
    named: dict[str, str],
    now_ms: int,
) -> dict[str, Any]:
    """What the page's template needs besides the report."""
    kept = {name: request.args[name] for name in STATE if request.args.get(name)}
    sites = sorted(services.sites.all().values(), key=lambda other: other.domain)
    page: dict[str, Any] = {
        "site": site,
        "sites": sites,
        "shown": shown,
        "report": made,
        "choices": ranges.CHOICES,
        "kept": kept,
        "link": _linker(kept),
        "full": _linker(shown.parameters() | named),
        "ranged": _linker({name: value for name, value in kept.items() if name not in ranges.PARAMETERS}),
        "now_ms": now_ms,
        "as_of": words.moment(now_ms, site.timezone, now_ms),
        "previous_words": ranges.words_of(shown.previous) if shown.previous else "",
    }
    if made.is_empty:
        page |= _empty(services, site)
    return page


def _empty(services: Services, site: Site) -> dict[str, Any]:
    """What helps on a page without numbers: the days that have some, or the snippet."""
    extent = services.answerer.extent(site)
    if extent is None:
        script = f'<script defer src="{services.front_url()}/recount.js" data-site="{site.id}"></script>'
        return {"has_data": False, "snippet": script}
    first, last = map(date.fromisoformat, extent)
    near = (max(first, date.fromordinal(last.toordinal() - 6)).isoformat(), last.isoformat())
    return {"has_data": True, "first_day": first, "last_day": last, "near": near}


def _first_day(services: Services, site: Site) -> Callable[[], date | None]:
    def first_day() -> date | None:
        extent = services.answerer.extent(site)
        return None if extent is None else date.fromisoformat(extent[0])

    return first_day


def _linker(kept: dict[str, str]) -> Callable[..., str]:
    """Links that keep the page's state but for what is given; None drops a parameter."""

    def link(range_: Mapping[str, str] | None = None, **changes: str | None) -> str:
        state = {name: value for name, value in {**kept, **(range_ or {}), **changes}.items() if value}
        return "?" + urlencode(state, safe=":/")

    return link


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


def _kin(tab: Tab) -> list[Tab]:
    """The dimensions that belong together with this one."""
    groups = [list(panel.tabs) for panel in PANELS]
    for more in MORE_TABS:
        near = {"utm": 1, "hos": 0, "bro": 3, "os_": 3}.get(more.dimension[:3])
        if near is not None:
            groups[near].append(more)
    return next((group for group in groups if tab in group), [tab])


def _asked(site: Site, shown: ranges.Range, now_ms: int, more: str = "") -> caching.Asked:
    end_ms = shown.span.bounds_ms(site.timezone)[1]
    return caching.Asked(request, end_ms, now_ms, _salt(site) + more)


def _salt(site: Site) -> str:
    """What the pages show of a site besides numbers, and the build of the pages."""
    return f"{site.domain}|{site.timezone}|{current_app.config['asset_version']}|"


def _menu(services: Services) -> str:
    return ",".join(sorted(site.domain for site in services.sites.all().values()))


def _named(site: Site, made: caching.Made) -> dict[str, str]:
    """The parameter with which full lists made of the same may be kept for ever."""
    return {caching.NAMED: caching.name(made, _salt(site))}


def _timing(**seconds: float) -> str:
    return ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in seconds.items())
