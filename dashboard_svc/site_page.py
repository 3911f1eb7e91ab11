"""The page of a site: totals, chart, panels, and what was corrected in the range."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

from flask import Response, render_template, request

from dashboard_svc import agreement, asking, ranges, report, words
from dashboard_svc.services import Services
from recount.metrics import QUERY_SECONDS
from recount.querying.query import Query
from recount.store.catalog import Site


def render(services: Services, name: str) -> Response:
    """Raises UnknownSite, InvalidInput."""
    started = time.perf_counter()
    site = asking.known(services, name)
    now_ms = services.now_ms()
    shown = asking.asked_range(services, site)
    questions = report.questions(shown)
    asked = asking.asked(site, shown, now_ms, f"{shown.today}|{_menu(services)}")
    unchanged = asked.unchanged(lambda: services.answerer.stamp(site, questions.queries))
    if unchanged is not None:
        return unchanged
    answers = services.answerer.answer_many(site, questions.queries)
    answered = time.perf_counter()
    made = report.build(site, shown, questions, answers, args=request.args, now_ms=now_ms)
    named: dict[str, str] = {}
    if asked.is_settled(answers):
        named = asking.named(site, services.answerer.stamp(site, [Query(shown.span)]))
    response = Response(render_template("site.html", **_page(services, site, shown, made, named, now_ms)))
    done = time.perf_counter()
    response.headers["Server-Timing"] = _timing(query=answered - started, page=done - answered)
    services.metrics.histogram(QUERY_SECONDS).labels("page").observe(answered - started)
    return asked.answer(response, answers)


def _page(
    services: Services,
    site: Site,
    shown: ranges.Range,
    made: report.Report,
    named: dict[str, str],
    now_ms: int,
) -> dict[str, Any]:
    """What the page's template needs besides the report."""
    kept = asking.kept_state()
    page: dict[str, Any] = {
        "site": site,
        "sites": sorted(services.sites.all().values(), key=lambda other: other.domain),
        "shown": shown,
        "report": made,
        "choices": ranges.CHOICES,
        "kept": kept,
        "link": asking.linker(kept),
        "full": asking.linker(shown.parameters() | named),
        "ranged": asking.linker({k: value for k, value in kept.items() if k not in ranges.PARAMETERS}),
        "now_ms": now_ms,
        "as_of": words.moment(now_ms, site.timezone, now_ms),
        "previous_words": ranges.words_of(shown.previous) if shown.previous else "",
    }
    if shown.is_running:
        page["agreement"] = agreement.look(services, site, agreement.PANEL_HOURS)
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


def _menu(services: Services) -> str:
    return ",".join(sorted(site.domain for site in services.sites.all().values()))


def _timing(**seconds: float) -> str:
    return ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in seconds.items())
