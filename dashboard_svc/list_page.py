"""A whole list: every value of a dimension with all its metrics."""

from __future__ import annotations

from flask import Response, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from dashboard_svc import asking, lists, report
from dashboard_svc.freshness import Freshness
from dashboard_svc.panels import BY_NAME, MORE_TABS, PANELS, TABS, Tab
from dashboard_svc.services import Services
from recount.querying.query import Query


def render(services: Services, name: str, dimension: str) -> AnyResponse:
    """Raises UnknownSite, InvalidInput; a dimension that has no list leads to the site."""
    site = asking.known(services, name)
    tab = TABS.get(dimension)
    if tab is None:
        return redirect(url_for("pages.site", name=name))
    now_ms = services.now_ms()
    shown = asking.asked_range(services, site)
    asked = asking.asked(site, shown, now_ms)
    table = Query(shown.span, tab.metrics, (tab.dimension,), limit=report.FULL_ROWS_MAX)
    queries = [table, Query(shown.span, report.TOTAL_METRICS)]
    unchanged = asked.unchanged(lambda: services.answerer.stamp(site, queries))
    if unchanged is not None:
        return unchanged
    answers = services.answerer.answer_many(site, queries)
    named = asking.named(site, answers) if asked.is_settled(answers) else {}
    rows, total = answers.tables[0], report.first(answers.tables[1])
    fresh = Freshness(site.timezone, now_ms, answers.published_until_ms, answers.live_as_of_ms)
    end_ms = shown.span.bounds_ms(site.timezone)[1]
    body = render_template(
        "list.html",
        site=site,
        shown=shown,
        tab=tab,
        kin=_kin(tab),
        metrics=[BY_NAME[m].label if m in BY_NAME else m.capitalize() for m in tab.metrics],
        lines=lists.lines(tab, rows, total, fresh, end_ms, site),
        most=report.FULL_ROWS_MAX,
        tip=fresh.sentence(str(total.get("origin", "published")), end_ms),
        link=asking.linker(shown.parameters()),
        full=asking.linker(shown.parameters() | named),
    )
    return asked.answer(Response(body), answers)


def _kin(tab: Tab) -> list[Tab]:
    """The dimensions that belong together with this one."""
    groups = [list(panel.tabs) for panel in PANELS]
    for more in MORE_TABS:
        near = {"utm": 1, "hos": 0, "bro": 3, "os_": 3}.get(more.dimension[:3])
        if near is not None:
            groups[near].append(more)
    return next((group for group in groups if tab in group), [tab])
