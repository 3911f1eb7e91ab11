"""What went wrong, as a page for people or as application/problem+json (RFC 9457) under /api."""

from __future__ import annotations

from typing import Any

import orjson
import structlog
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from dashboard_svc.asking import UnknownSite
from recount.errors import InvalidInput, Unavailable

RETRY_AFTER_S = "5"


def register(app: Flask) -> None:
    app.register_error_handler(InvalidInput, _invalid)
    app.register_error_handler(UnknownSite, _unknown)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(500, _unexpected)


def _invalid(error: InvalidInput) -> Response:
    if _is_api():
        return _problem(400, "invalid-query", "The query cannot be answered", error.detail, error.field)
    actions = [("Show the last 7 days", request.path)]
    return _page(400, "That range cannot be shown", _sentence(error.detail), actions)


def _unknown(error: UnknownSite) -> Response:
    detail = f"There is no site “{error.name}” here. A site is added on the command line:"
    command = f"./recount sites add {error.name if '.' in error.name else 'example.com'}"
    return _page(404, "No such site", detail, [("All sites", "/")], command=command, near=error.near)


def _unavailable(error: Unavailable) -> Response:
    structlog.get_logger().warning("unavailable", part=error.part)
    if _is_api():
        answer = _problem(503, "unavailable", "A part is away", str(error), None)
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
    if _is_api():
        answer = _problem(status, "http", error.name, detail, None)
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
        return _problem(500, "unexpected", "Something went wrong", detail, None)
    return _page(500, "Something went wrong", detail, [("All sites", "/")])


def _is_api() -> bool:
    return request.path.startswith("/api/")


def _problem(status: int, kind: str, title: str, detail: str, field: str | None) -> Response:
    body: dict[str, Any] = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail}
    if field is not None:
        body["field"] = field
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
