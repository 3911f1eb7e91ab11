"""The Stats API's account of corrections: `GET /api/v1/corrections/<site>`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from dashboard_svc.services import Services
from recount.corrections import MICROS, REVENUE_PREFIX, Correction, Numbers, sentence
from recount.errors import InvalidInput
from recount.periods import HOUR_MS, hour_start_ms
from recount.querying.ranges import parse_range
from recount.store.correction_log import LISTED_MAX

PATH: Final = "/api/v1/corrections/<site_id>"
LIMIT_DEFAULT: Final = 100
PARAMETERS: Final = frozenset({"date_range", "limit"})


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("corrections_api", __name__)

    @api.get(PATH)
    def corrections(site_id: str) -> Response:
        """Newest first; with `date_range=from,to` (or a name) those that changed a day of it."""
        site = services.sites.get(site_id)
        if site is None:
            raise InvalidInput(f"there is no site {site_id!r}", field="site")
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
        body = orjson.dumps({"corrections": [as_json(correction) for correction in found]})
        return Response(body, content_type="application/json", headers={"Cache-Control": "no-store"})

    return api


def as_json(correction: Correction) -> dict[str, Any]:
    """Moments in UTC, dates in the site's zone, amounts of money as exact decimals."""
    return {
        "publication": correction.publication,
        "corrected": _moment(correction.at_ms),
        "kind": correction.kind,
        "text": sentence(correction),
        "reason": correction.reason or None,
        "late_events": correction.late_events,
        "from": correction.first_day,
        "to": correction.last_day,
        "timezone": correction.zone,
        "hours": [
            [_moment(hour_start_ms(first)), _moment(hour_start_ms(last) + HOUR_MS)]
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


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
