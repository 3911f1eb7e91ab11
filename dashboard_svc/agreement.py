"""Live against published, hour by hour: both numbers, and the reasons why they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Response, render_template

from dashboard_svc import asking, words
from dashboard_svc.services import Services
from recount.periods import HOUR_MS, hour_of, hour_start_ms
from recount.reconciliation import Compared, HourCompared, Side, aside, explain
from recount.store.catalog import Site

PANEL_HOURS: Final = 6
PAGE_HOURS: Final = 48
NOT_COMPARED: Final = {
    "live_away": "Live was away, or had not seen the hour from its start",
    "live_behind": "Live had not read the whole hour yet",
}
NO_SIDE: Final = words.EMPTY


@dataclass(frozen=True)
class HourRow:
    """An hour of a site. `state`: agrees, explained, unexplained, unknown; `left_out`: events in neither."""

    hour: str
    live: tuple[str, ...]
    published: tuple[str, ...]
    by: str
    state: str
    reasons: list[str]
    left_out: str


@dataclass(frozen=True)
class Agreement:
    """The newest hours first; `sentence` sums them up."""

    rows: list[HourRow]
    sentence: str


def render(services: Services, name: str) -> Response:
    """Raises UnknownSite."""
    site = asking.known(services, name)
    found = look(services, site, PAGE_HOURS)
    body = render_template("reconciliation.html", site=site, agreement=found, hours=PAGE_HOURS)
    return Response(body, headers={"Cache-Control": "no-store"})


def look(services: Services, site: Site, hours: int) -> Agreement:
    """The last hours of a site that were compared."""
    now_ms = services.now_ms()
    found = services.reconciliations.of_site(site.id, hour_of(now_ms - hours * HOUR_MS), hour_of(now_ms))
    rows = [_row(hour, one, site, now_ms) for hour, one in found if one is not None]
    return Agreement(rows, _sentence(rows))


def _row(hour: HourCompared, one: Compared, site: Site, now_ms: int) -> HourRow:
    start = words.moment(hour_start_ms(hour.hour), site.timezone, now_ms)
    left_out = ", ".join(aside(one))
    if hour.state != "compared":
        reasons = [NOT_COMPARED[hour.state]]
        return HourRow(start, (NO_SIDE, NO_SIDE), _side(one.published), "", "unknown", reasons, left_out)
    explained = explain(one, hour.late_max)
    reasons = [reason.words for reason in explained.reasons]
    if explained.unexplained:
        reasons.append(f"{explained.unexplained:,} without a known reason")
    state = "unexplained" if explained.unexplained else "explained" if reasons else "agrees"
    by = one.live.pageviews - one.published.pageviews
    text = "=" if not by else f"{'+' if by > 0 else '−'}{abs(by):,}"
    return HourRow(start, _side(one.live), _side(one.published), text, state, reasons, left_out)


def _side(side: Side) -> tuple[str, ...]:
    """Visitors and pageviews."""
    return words.number(side.visitors), words.number(side.pageviews)


def _sentence(rows: Sequence[HourRow]) -> str:
    states = [row.state for row in rows]
    compared = len(states) - states.count("unknown")
    if not compared:
        return "No hour could be compared with live lately." if states else ""
    if wrong := states.count("unexplained"):
        return f"{wrong} of {compared} hours differ from live for no known reason."
    same = states.count("agrees")
    return f"Live and published agree in {same} of {compared} hours; every other difference has its reason."
