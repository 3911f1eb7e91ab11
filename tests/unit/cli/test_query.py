from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

import cli.query
from cli.context import CliContext
from recount.errors import InvalidInput

ANSWER: dict[str, Any] = {
    "rows": [
        {
            "at": 1_795_149_000_000,
            "page": "/",
            "visitors": 12,
            "bounce_rate": None,
            "origin": "published",
            "comparison": {"visitors": 8, "bounce_rate": 0.5, "origin": "published"},
            "change": {"visitors": 0.5, "bounce_rate": None},
        }
    ],
    "total": 40,
    "next": "k8w",
    "notes": [],
    "published_until": None,
}


def asked(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], str]:
    bodies: list[dict[str, Any]] = []

    def answer(_: str, body: dict[str, Any]) -> dict[str, Any]:
        bodies.append(body)
        return ANSWER

    monkeypatch.setattr(cli.query, "ask", answer)
    monkeypatch.setattr(CliContext, "dashboard_url", lambda _: "http://nobody")
    result = CliRunner().invoke(
        cli.query.query, ["demo", *arguments], obj=CliContext(), catch_exceptions=False
    )
    return bodies[0], result.output


def test_options_become_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _ = asked(
        *("--dimension", "page", "--range", "2026-11-20T10:00,2026-11-20T18:00", "--timezone", "Asia/Tokyo"),
        *("--compare", "2026-11-19,2026-11-19", "--order-by", "pageviews:asc,page", "--offset", "20"),
        *("--filter", "page=/docs/*", "--filter", "prop:plan!=pro|free", "--filter", "page~a=b"),
        monkeypatch=monkeypatch,
    )
    assert body == {
        "site": "demo",
        "metrics": ["visitors", "visits", "pageviews"],
        "dimensions": ["page"],
        "date_range": ["2026-11-20T10:00", "2026-11-20T18:00"],
        "timezone": "Asia/Tokyo",
        "compare": ["2026-11-19", "2026-11-19"],
        "order_by": [["pageviews", "asc"], ["page", "desc"]],
        "offset": 20,
        "limit": 20,
        "explain": False,
        "filters": [
            {"dimension": "page", "operator": "matches", "values": ["/docs/*"]},
            {"dimension": "prop:plan", "operator": "not", "values": ["pro", "free"]},
            {"dimension": "page", "operator": "contains", "values": ["a=b"]},
        ],
    }


def test_defaults_ask_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    body, _ = asked(monkeypatch=monkeypatch)
    assert set(body) == {"site", "metrics", "date_range", "limit", "explain"}


def test_changes_and_the_next_page_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    _, output = asked("--dimension", "page", monkeypatch=monkeypatch)
    assert "visitors before" in " ".join(output.split())
    assert "+50.0 %" in output
    assert "1795149000000" not in output.replace(",", "")
    assert "1 of 40 rows; the next ones: --cursor k8w" in output


@pytest.mark.parametrize("text", ["country", "=DE", "Country=DE", "country="])
def test_what_is_no_filter_says_how_one_looks(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((InvalidInput, click.UsageError), match="no filter such as country=DE"):
        asked("--filter", text, monkeypatch=monkeypatch)
