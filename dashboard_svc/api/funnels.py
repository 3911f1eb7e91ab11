"""`/api/v1/funnel`: how many get from step to step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flask import Blueprint, Response, request

from dashboard_svc.api.answers import json_answer, moment
from dashboard_svc.api.bodies import json_of
from dashboard_svc.bridge import IS_GONE
from dashboard_svc.services import Services
from recount.errors import InvalidInput
from recount.querying.parse import parse
from recount.scanning.answer import note_of_end
from recount.scanning.funnel import Answer, Funnel, Reached, count, funnel_of
from recount.scanning.gate import never
from recount.store.catalog import Site

PATH: Final = "/api/v1/funnel"
FIELDS: Final = ("site", "steps", "window", "date_range", "timezone", "filters")
_OF_QUERIES: Final = ("site", "date_range", "timezone", "filters")


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("funnel", __name__)

    @api.post(PATH)
    def post() -> Response:
        """A funnel over a range: `steps` in order, within a visit or a `window` of days."""
        body = json_of(request)
        if not isinstance(body, dict):
            raise InvalidInput("a funnel is a JSON object")
        unknown = sorted(body.keys() - set(FIELDS))
        if unknown:
            raise InvalidInput(f"unknown field {unknown[0]!r}; known: {', '.join(FIELDS)}", field=unknown[0])
        asked = {name: body[name] for name in _OF_QUERIES if name in body}
        site, query = parse(asked, services.sites.get, services.now_ms())
        funnel = funnel_of(
            *(site, query.span, query.zone(site), body.get("steps"), body.get("window"), query.filters),
            common=services.scanner.common(),
        )
        is_gone = request.environ.get(IS_GONE, never)
        answer = _answer(site, funnel, count(services.scanner, site, funnel, is_gone))
        return json_answer(answer)

    return api


def _answer(site: Site, funnel: Funnel, answer: Answer) -> dict[str, Any]:
    first = answer.steps[0]
    before = (first, *answer.steps)
    steps = [_step(one, first, last) for one, last in zip(answer.steps, before, strict=False)]
    return {
        "steps": steps,
        "visits": answer.visits,
        "conversion_rate": steps[-1]["of_first"],
        "published_until": moment(answer.published_until_ms),
        "scanned_bytes": answer.bytes,
        "notes": list(_notes(site, funnel, answer)),
    }


def _step(one: Reached, first: Reached, before: Reached) -> dict[str, Any]:
    return {
        "step": one.step.name,
        "visitors": one.visitors,
        "visits": one.visits,
        "of_first": _share(one.people, first.people),
        "of_previous": _share(one.people, before.people),
        "dropped": before.people - one.people,
        "median_seconds": None if one.median_ms is None else round(one.median_ms / 1000, 1),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _notes(site: Site, funnel: Funnel, answer: Answer) -> Iterator[str]:
    if site.identity == "daily_hash" and funnel.window_days is not None:
        yield "Visitors are known for one local day: nobody is followed past midnight."
    if site.identity == "daily_hash" and len(funnel.span.days) > 1:
        yield "Visitors of several days are the sum of daily visitors: nobody is recognised on another day."
    yield from note_of_end(funnel.span.bounds_ms(funnel.zone)[1], answer.published_until_ms)
