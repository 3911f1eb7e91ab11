"""What an answer says besides its rows, as the Stats API gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from recount.querying.answers import About, Answers
from recount.querying.paging import next_cursor
from recount.querying.query import Query, Span
from recount.store.catalog import Site


def described(site: Site, queries: list[Query], answers: Answers) -> list[dict[str, Any]]:
    """For each query: its `range` and `compared_range`, `from` and `to` (not included) in its time zone; how
    many rows there are on all pages (`total`), `next`, the cursor of the next page; `confidence`."""
    about = answers.about or tuple(About(len(rows), {}) for rows in answers.tables)
    return [_described(site, query, one, answers.root) for query, one in zip(queries, about, strict=True)]


def _described(site: Site, query: Query, about: About, root: str | None) -> dict[str, Any]:
    zone = query.zone(site)
    return {
        "range": _range(query.span, zone),
        "compared_range": None if query.compared is None else _range(query.compared, zone),
        "total": about.total,
        "next": next_cursor(query, root, about.total),
        "confidence": about.confidence,
    }


def _range(span: Span, zone: str) -> dict[str, str]:
    start, end = span.bounds_ms(zone)
    return {"from": _local(start, zone), "to": _local(end, zone)}


def _local(ms: int, zone: str) -> str:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")
