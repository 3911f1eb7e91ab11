"""What every answer of the API is made with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from flask import Response


def json_answer(body: Any) -> Response:
    return Response(
        orjson.dumps(body), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def moment(ms: int | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
