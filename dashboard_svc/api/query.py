"""`/api/v1/query`: numbers of a site."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from dashboard_svc import caching
from dashboard_svc.api.answers import json_answer, moment
from dashboard_svc.api.bodies import FILTERS, filters_of, json_of
from dashboard_svc.bridge import IS_GONE
from dashboard_svc.corrected import CorrectedAnswers, notes
from dashboard_svc.services import Services
from recount.errors import InvalidInput
from recount.metrics import QUERY_SECONDS
from recount.querying.described import described
from recount.querying.parse import parse
from recount.querying.query import Query
from recount.scanning.gate import never
from recount.store.catalog import Site

QUERIES_MAX: Final = 50
PATH: Final = "/api/v1/query"
_LISTS: Final = ("metrics", "dimensions")
_TEXTS: Final = ("site", "interval", "timezone", "cursor")
_RANGES: Final = ("date_range", "compare")
_NUMBERS: Final = ("limit", "offset")
SALT: Final = "api"
VERSION: Final = "Recount-Version"


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("api", __name__)

    @api.post(PATH)
    def post() -> Response:
        """One query, or a list of queries of one site, answered from one state of what is published."""
        body = json_of(request)
        now_ms = services.now_ms()
        if not isinstance(body, list):
            site, query = parse(body, services.sites.get, now_ms)
            answers = _answered(services, site, [query])
            return json_answer(_answer(site, query, answers) | _explained(services, [body], site, answers))
        site, queries = _queries(body, services, now_ms)
        answers = _answered(services, site, queries)
        said = described(site, queries, answers)
        tables = zip(answers.tables, said, strict=True)
        whole = {"answers": [{"rows": rows} | about for rows, about in tables]}
        return json_answer(whole | _fresh(answers) | _explained(services, body, site, answers))

    @api.get(PATH)
    def get() -> Response:
        """The same with parameters: lists are comma-separated, `date_range` is a name or `from,to`, filters
        are JSON."""
        now_ms = services.now_ms()
        site, query = parse(_parameters(request.args), services.sites.get, now_ms)
        asked = caching.Asked(request, query.reaches_ms(site), now_ms, SALT)
        unchanged = asked.unchanged(lambda: services.answerer.stamp(site, [query]))
        if unchanged is not None:
            return unchanged
        answers = _answered(services, site, [query])
        answer = json_answer(_answer(site, query, answers))
        answer.headers[VERSION] = caching.name(answers, SALT)
        return asked.answer(answer, answers)

    return api


def _answered(services: Services, site: Site, queries: list[Query]) -> CorrectedAnswers:
    with services.metrics.histogram(QUERY_SECONDS).labels("api").time():
        return services.answerer.answer_many(site, queries, request.environ.get(IS_GONE, never))


def _explained(
    services: Services, bodies: list[Any], site: Site, answers: CorrectedAnswers
) -> dict[str, Any]:
    if not any(body.get("explain") for body in bodies):
        return {}
    return {"explain": services.explainer.explain(site, answers.used)}


def _queries(body: list[Any], services: Services, now_ms: int) -> tuple[Site, list[Query]]:
    if not 1 <= len(body) <= QUERIES_MAX:
        raise InvalidInput(f"a list has 1 to {QUERIES_MAX} queries")
    parsed = [parse(one, services.sites.get, now_ms) for one in body]
    if len({site.id for site, _ in parsed}) > 1:
        raise InvalidInput("the queries of a list are all of one site", field="site")
    return parsed[0][0], [query for _, query in parsed]


def _parameters(args: MultiDict[str, str]) -> dict[str, Any]:
    twice = next((name for name in args if len(args.getlist(name)) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{twice!r} is given twice; a list is one parameter, with commas", field=twice)
    body: dict[str, Any] = {name: args[name] for name in args if name in _TEXTS}
    body |= {name: args[name].split(",") for name in _LISTS if name in args}
    for name in (name for name in _RANGES if name in args):
        body[name] = args[name].split(",") if "," in args[name] else args[name]
    body |= {name: _number(args[name]) for name in _NUMBERS if name in args}
    if "order_by" in args:
        body["order_by"] = [one.split(":") for one in args["order_by"].split(",")]
    body |= filters_of(args)
    known = {*_TEXTS, *_LISTS, *_RANGES, *_NUMBERS, "order_by", FILTERS, caching.NAMED}
    unknown = sorted(set(args) - known)
    if unknown:
        raise InvalidInput(
            f"no parameter {unknown[0]!r}; known: {', '.join(sorted(known))}", field=unknown[0]
        )
    return body


def _answer(site: Site, query: Query, answers: CorrectedAnswers) -> dict[str, Any]:
    [about] = described(site, [query], answers)
    return {"rows": answers.tables[0]} | about | _fresh(answers)


def _fresh(answers: CorrectedAnswers) -> dict[str, Any]:
    return {
        "published_until": moment(answers.published_until_ms),
        "live_as_of": moment(answers.live_as_of_ms),
        "notes": [*answers.notes, *notes(answers.corrections)],
    }


def _number(text: str) -> int | str:
    """What is no number is refused where the query is parsed."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else text
