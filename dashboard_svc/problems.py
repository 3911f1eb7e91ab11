"""What went wrong, as a page for people or as application/problem+json (RFC 9457) under /api."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import structlog
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from dashboard_svc import problem_types
from dashboard_svc.asking import UnknownSite
from dashboard_svc.problem_types import OF_STATUS, TYPES, Problem
from recount.errors import InvalidInput, Unavailable

RETRY_AFTER_S = "5"


def register(app: Flask) -> None:
    app.register_error_handler(Problem, _problem_of)
    app.register_error_handler(InvalidInput, _invalid)
    app.register_error_handler(UnknownSite, _unknown)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(500, _unexpected)


def _problem_of(error: Problem) -> Response:
    return problem(error.kind, error.detail, error.field, error.headers)


def _invalid(error: InvalidInput) -> Response:
    if _is_api():
        return problem("invalid-query", error.detail, error.field)
    actions = [("Show the last 7 days", request.path)]
    return _page(400, "That range cannot be shown", _sentence(error.detail), actions)


def _unknown(error: UnknownSite) -> Response:
    detail = f"There is no site “{error.name}” here. A site is added on the command line:"
    command = f"./recount sites add {error.name if '.' in error.name else 'example.com'}"
    return _page(404, "No such site", detail, [("All sites", "/")], command=command, near=error.near)


def _unavailable(error: Unavailable) -> Response:
    structlog.get_logger().warning("unavailable", part=error.part)
    if _is_api():
        answer = problem("unavailable", str(error))
    else:
        detail = (
            f"{error.part} does not answer, so no numbers can be read now. Nothing is lost: events are still "
            "collected. This page works again as soon as it is back."
        )
        actions = [("Try again", request.full_path)]
        answer = _page(503, "The numbers cannot be reached", detail, actions, command="./recount status")
    answer.headers["Retry-After"] = RETRY_AFTER_S
    return answer


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    detail = error.description or ""
    if _is_api() and status in OF_STATUS:
        answer = problem(OF_STATUS[status].kind, detail)
    elif _is_api():
        answer = _json(
            status, {"type": "about:blank", "title": error.name, "status": status, "detail": detail}
        )
    else:
        answer = _page(status, error.name, detail, [("All sites", "/")])
    if status == 405:
        answer.headers["Allow"] = ", ".join(getattr(error, "valid_methods", None) or ())
    return answer


def _unexpected(error: Exception) -> Response:
    cause = getattr(error, "original_exception", None) or error
    structlog.get_logger().error("unexpected", exc_info=cause)
    detail = "The reason is in the dashboard's log: ./recount logs dashboard"
    if _is_api():
        return problem("unexpected", detail)
    return _page(500, "Something went wrong", detail, [("All sites", "/")])


def _is_api() -> bool:
    return request.path.startswith("/api/")


def problem(
    kind: str, detail: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of the catalogue's `kind`."""
    answer = _json(TYPES[kind].status, problem_types.body(kind, detail, field))
    answer.headers.update(headers or {})
    return answer


def _json(status: int, body: Mapping[str, object]) -> Response:
    return Response(
        orjson.dumps(body),
        status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )


def _page(
    status: int,
    title: str,
    detail: str,
    actions: list[tuple[str, str]],
    *,
    command: str = "",
    near: list[str] | None = None,
) -> Response:
    body = render_template(
        "message.html", title=title, detail=detail, actions=actions, command=command, near=near or []
    )
    return Response(body, status, headers={"Cache-Control": "no-store"})


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
