"""The Stats API's account of corrections: `GET /api/v1/corrections/<site>`."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from dashboard_svc.api.answers import json_answer, moment
from dashboard_svc.problem_types import Problem
from dashboard_svc.services import Services
from recount.corrections import MICROS, REVENUE_PREFIX, Correction, Numbers, sentence
from recount.errors import InvalidInput
from recount.periods import HOUR_MS, hour_start_ms
from recount.querying.ranges import parse_range
from recount.store.correction_log import LISTED_MAX

PATH: Final = "/api/v1/corrections/"
LIMIT_DEFAULT: Final = 100
PARAMETERS: Final = frozenset({"date_range", "limit"})


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("corrections_api", __name__)

    @api.get(f"{PATH}<site_id>")
    def corrections(site_id: str) -> Response:
        """Newest first; with `date_range=from,to` (or a name) those that changed a day of it."""
        site = services.sites.get(site_id)
        if site is None:
            raise Problem("not-found", f"there is no site {site_id!r}", field="site")
        unknown = sorted(set(request.args) - PARAMETERS)
        if unknown:
            raise InvalidInput(f"no parameter {unknown[0]!r}", field=unknown[0])
        limit, given = _limit(request.args), request.args.get("date_range")
        if given is None:
            found = services.corrections.of_site(site.id, limit)
        else:
            dates = given.split(",") if "," in given else given
            span = parse_range(dates, services.today(site), site.timezone)
            found = services.corrections.touching(site.id, span.first, span.last)[:limit]
        return json_answer({"corrections": [as_json(correction) for correction in found]})

    return api


def as_json(correction: Correction) -> dict[str, Any]:
    """Moments in UTC, dates in the site's zone, amounts of money as exact decimals."""
    return {
        "publication": correction.publication,
        "corrected": moment(correction.at_ms),
        "kind": correction.kind,
        "text": sentence(correction),
        "reason": correction.reason or None,
        "late_events": correction.late_events,
        "from": correction.first_day,
        "to": correction.last_day,
        "timezone": correction.zone,
        "hours": [
            [moment(hour_start_ms(first)), moment(hour_start_ms(last) + HOUR_MS)]
            for first, last in correction.spans
        ],
        "changes": _numbers(correction.moved),
        "days": {day: _numbers(moved) for day, moved in correction.days.items()},
        "dimensions": correction.dimensions,
        "is_complete": correction.whole,
    }


def _numbers(moved: Numbers) -> dict[str, Any]:
    return {m: {"from": _value(m, old), "to": _value(m, new)} for m, (old, new) in moved.items()}


def _value(metric: str, value: int) -> int | str:
    return f"{value / MICROS:.2f}" if metric.startswith(REVENUE_PREFIX) else value


def _limit(args: MultiDict[str, str]) -> int:
    text = args.get("limit", str(LIMIT_DEFAULT))
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= LISTED_MAX:
        raise InvalidInput(f"a limit is a number from 1 to {LISTED_MAX}", field="limit")
    return int(text)
