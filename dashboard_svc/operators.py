"""`/operator`: reprocessings and what they would change, and the rules in force. For operators alone.

Who comes through the front has passed its password, and the front says so in a header that it takes from
everybody else. Who comes without any proxy has to be on this machine, as with Dagster's own port.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from flask import Blueprint, Request, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from dashboard_svc import operator_pages, operator_rules
from dashboard_svc.desk import Desk
from recount.errors import InvalidInput
from recount.publishing.comparison import Comparison

OPERATOR_HEADER: Final = "Recount-Operator"  # set by the front once the password was right
PROXIED: Final = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-Ip")
PREFIX: Final = "/operator"
REFRESH_S: Final = 2
CHANGES_MAX: Final = 2_000_000  # in a CSV
KINDS: Final[Mapping[str, str]] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def blueprint(desk: Desk) -> Blueprint:
    pages = Blueprint("operators", __name__, url_prefix=PREFIX)
    pages.before_request(_only_operators)

    @pages.get("/")
    @pages.get("")
    def index() -> Response:
        found = [operator_pages.line(r, desk.reprocessings.hours(r.id)) for r in desk.reprocessings.all()]
        return _kept_by_nobody(render_template("operator/reprocessings.html", requests=found))

    @pages.get("/rules")
    def rules() -> Response:
        found = operator_rules.rules(desk)
        return _kept_by_nobody(render_template("operator/rules.html", rules=found))

    @pages.get("/reprocessings/<name>")
    def reprocessing(name: str) -> Response:
        page = operator_pages.page(desk, name, request.args)
        answer = _kept_by_nobody(render_template("operator/reprocessing.html", page=page))
        if page.progress is not None:
            answer.headers["Refresh"] = str(REFRESH_S)
        return answer

    @pages.get("/reprocessings/<name>/changes.<kind>")
    def changes(name: str, kind: str) -> AnyResponse:
        """Every change of an open reprocessing, or those of `?site=`; its page while it is compared."""
        if kind not in KINDS:
            abort(404)
        found = desk.comparisons.of(desk.reprocessings.open(name)).result
        if found is None:
            return redirect(url_for("operators.reprocessing", name=name))
        data = _written(operator_pages.of_site(found, request.args.get("site")), kind)
        answer = _kept_by_nobody(data)
        answer.headers["Content-Type"] = KINDS[kind]
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}-changes.{kind}"'
        return answer

    return pages


def is_operator(asked: Request) -> bool:
    """Whether a request comes from an operator, see above."""
    if any(asked.headers.get(name) for name in PROXIED):
        return bool(asked.headers.get(OPERATOR_HEADER))
    try:
        return ip_address(asked.remote_addr or "").is_loopback
    except ValueError:
        return False


def _only_operators() -> None:
    if not is_operator(request):
        abort(403, "This page is for operators: open it through the front, with the operator's password.")


def _written(found: Comparison, kind: str) -> bytes:
    if found.changes.height > CHANGES_MAX and kind == "csv":
        raise InvalidInput(
            f"{found.changes.height:,} changes are too many for a CSV of one answer; take the Parquet file, "
            "or ?site=",
            field="site",
        )
    out = io.BytesIO()
    found.changes.write_csv(out) if kind == "csv" else found.changes.write_parquet(out)
    return out.getvalue()


def _kept_by_nobody(body: str | bytes) -> Response:
    return Response(body, headers={"Cache-Control": "private, no-store"})
