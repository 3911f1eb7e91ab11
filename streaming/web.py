"""The HTTP routes of the live service, but for its streams (see `streaming.service`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import orjson
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from recount.errors import InvalidInput
from recount.metrics import Metrics
from recount.periods import HOUR_FORMAT
from recount.store.catalog import Site
from recount.store.segments import encode
from streaming.answers import MINUTES_DEFAULT
from streaming.peers import AS_OF, SERVED, join
from streaming.views import Asked, Known, Views

HOURS_COVERED: Final = "Recount-Hours"
COMPLETE: Final = "Recount-Complete"
PREFIX: Final = "/v1/live/"


class UnknownSite(LookupError):
    """No such site in the catalog."""


def create_app(views: Views, ready: Callable[[], bool], metrics: Metrics, *, minutes_max: int) -> Flask:
    """The application; `minutes_max` bounds the window that can be asked for."""
    app = Flask("streaming", static_folder=None)
    app.register_error_handler(InvalidInput, _invalid)
    app.register_error_handler(UnknownSite, _unknown_site)
    app.register_error_handler(HTTPException, _http_error)

    def site_of(site_id: str) -> Site:
        site = views.site(site_id)
        if site is None:
            raise UnknownSite(site_id)
        return site

    def live(site_id: str) -> Response:
        site = site_of(site_id)
        minutes = _number("minutes", MINUTES_DEFAULT, 1, minutes_max)
        return _uncached(Response(views.snapshot(site, minutes, _asked()).body, mimetype="application/json"))

    app.add_url_rule(f"{PREFIX}<site_id>", view_func=live)
    # A question that can be answered here opens a stream in the service.
    app.add_url_rule(f"{PREFIX}<site_id>/stream", "stream", view_func=live)

    @app.get(f"{PREFIX}<site_id>/rollup")
    def rollup(site_id: str) -> Response:
        site = site_of(site_id)
        if "since" in request.args:
            known = views.since(site, _number("since", 0, 0, 2**53), _asked())
        else:
            known = views.hours(site, _hours(), _asked())
        return _rollup(known, views.covered_hours)

    @app.get("/v1/totals")
    def hour_totals() -> Response:
        """Every site's totals of whole hours, as this instance alone counted them."""
        return _uncached(
            Response(orjson.dumps(views.totals(_hours()).as_json()), mimetype="application/json")
        )

    _add_health(app, ready, metrics)
    return app


def _add_health(app: Flask, ready: Callable[[], bool], metrics: Metrics) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        if ready():
            return Response("ready\n", mimetype="text/plain")
        return _problem(503, "Not ready", "the last hours are being read again from Kafka")

    @app.get("/metrics")
    def exposition() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, content_type=content_type)


def _rollup(known: Known, covered: Sequence[str]) -> Response:
    answer = Response(encode(known.rollup).to_bytes(), mimetype="application/octet-stream")
    answer.headers[AS_OF] = str(known.as_of_ms)
    answer.headers[SERVED] = join(known.partitions)
    answer.headers[COMPLETE] = "1" if known.complete else "0"
    answer.headers[HOURS_COVERED] = ",".join(covered)
    return _uncached(answer)


def _uncached(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _asked() -> Asked:
    named = request.args.get("partitions")
    if named is None:
        return Asked(local=request.args.get("local") == "1")
    if not all(n.isascii() and n.isdigit() and len(n) <= 6 for n in named.split(",")):
        raise InvalidInput("partitions are numbers, as in ?partitions=0,3", field="partitions")
    return Asked(local=True, partitions=frozenset(map(int, named.split(","))))


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= most:
        raise InvalidInput(f"{name} is a whole number from {least} to {most}", field=name)
    return int(text)


def _hours() -> list[str]:
    hours = [hour for hour in request.args.get("hours", "").split(",") if hour]
    for hour in hours:
        try:
            datetime.strptime(hour, HOUR_FORMAT)  # noqa: DTZ007 - only its form matters
        except ValueError:
            raise InvalidInput(f"{hour!r} is not an hour such as 2026-11-22T23", field="hours") from None
    if not hours:
        raise InvalidInput("name the hours, as in ?hours=2026-11-22T23", field="hours")
    return hours


def _problem(status: int, title: str, detail: str, field: str | None = None) -> Response:
    body = {"type": "about:blank", "title": title, "detail": detail}
    if field is not None:
        body["field"] = field
    return _uncached(Response(orjson.dumps(body), status, mimetype="application/problem+json"))


def _invalid(error: InvalidInput) -> Response:
    return _problem(400, "Invalid request", error.detail, error.field)


def _unknown_site(error: UnknownSite) -> Response:
    return _problem(404, "Unknown site", f"there is no site {error.args[0]!r}", "site")


def _http_error(error: HTTPException) -> Response:
    return _problem(error.code or 500, error.name, error.description or "")
