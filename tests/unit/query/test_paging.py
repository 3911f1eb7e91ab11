from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recount.errors import InvalidInput
from recount.periods import hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.described import described
from recount.querying.paging import go_on, next_cursor
from recount.querying.query import Query, Span
from tests.publishing import SITES, SLOTS, Press
from tests.rollups import PAGES, hour_rollup, rollup, row

HOUR = "2026-10-15T10"
QUERY = Query(Span("2026-10-15", "2026-10-15"), ("pageviews",), ("page",), limit=2)
SITE = SITES["utc"]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path)
    press.publish({HOUR: hour_rollup(HOUR, ["utc"], views=60)})
    return press


@pytest.fixture
def answerer(press: Press) -> Answerer:
    now = hour_start_ms("2026-11-20T00")
    return Answerer(press.manifests, press.segments, site_slots=SLOTS, root_kept_s=0, now_ms=lambda: now)


def pages(answerer: Answerer, query: Query) -> list[list[str]]:
    """All pages of a listing, each asked for with the cursor of the one before."""
    found = []
    begin = query
    while True:
        answers = answerer.answer(SITE, query)
        found.append([row["page"] for row in answers.tables[0]])
        cursor = described(SITE, [query], answers)[0]["next"]
        if cursor is None:
            return found
        query = go_on(begin, cursor)


def test_pages_hold_every_row_once(answerer: Answerer) -> None:
    whole = answerer.answer(SITE, replace(QUERY, limit=100))
    found = pages(answerer, QUERY)
    assert [len(page) for page in found] == [2, 2, 1]
    assert [value for page in found for value in page] == [row["page"] for row in whole.tables[0]]
    assert set(PAGES) == {row["page"] for row in whole.tables[0]}
    assert answerer.answer(SITE, QUERY).about[0].total == len(PAGES)


def test_an_offset_leaves_out_rows(answerer: Answerer) -> None:
    whole = answerer.answer(SITE, replace(QUERY, limit=100)).tables[0]
    assert answerer.answer(SITE, replace(QUERY, offset=3)).tables[0] == whole[3:5]
    assert answerer.answer(SITE, replace(QUERY, offset=100)).tables[0] == []


def test_a_publication_between_pages_changes_none_of_them(press: Press, answerer: Answerer) -> None:
    whole = answerer.answer(SITE, replace(QUERY, limit=100)).tables[0]
    first = answerer.answer(SITE, QUERY)
    cursor = next_cursor(QUERY, first.root, first.about[0].total)
    at = hour_start_ms(HOUR)
    corrected = [row("utc", at, "page", page, [n], pageviews=n + 1) for n, page in enumerate(PAGES)]
    press.publish({HOUR: rollup([row("utc", at, "total", "", [1], pageviews=9), *corrected])})
    assert answerer.answer(SITE, replace(QUERY, limit=100)).tables[0] != whole
    second = answerer.answer(SITE, go_on(QUERY, cursor))
    assert second.tables[0] == whole[2:4]
    assert second.root == first.root
    assert any("A newer state" in note for note in second.notes)


def test_a_cursor_of_another_query_is_refused(answerer: Answerer) -> None:
    first = answerer.answer(SITE, QUERY)
    cursor = next_cursor(QUERY, first.root, first.about[0].total)
    assert go_on(replace(QUERY, limit=50), cursor).offset == 2
    for other in (
        replace(QUERY, span=Span("2026-10-14", "2026-10-15")),
        replace(QUERY, metrics=("visitors",)),
        replace(QUERY, timezone="Asia/Tokyo"),
    ):
        with pytest.raises(InvalidInput, match="another query") as caught:
            go_on(other, cursor)
        assert caught.value.field == "cursor"


@pytest.mark.parametrize("cursor", ["", "x", "####", 7, [], "AAAA", "kwGhYaFi", "\u00e4"])
def test_what_is_no_cursor_is_refused(cursor: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        go_on(QUERY, cursor)
    assert caught.value.field == "cursor"


def test_a_state_that_is_not_known_is_refused(answerer: Answerer) -> None:
    with pytest.raises(InvalidInput, match="begin again") as caught:
        answerer.answer(SITE, replace(QUERY, root="nothing"))
    assert caught.value.field == "cursor"


def test_totals_series_and_last_pages_have_no_next(answerer: Answerer) -> None:
    assert next_cursor(QUERY, "r", 2) is None
    assert next_cursor(QUERY, None, 20) is None
    assert next_cursor(replace(QUERY, dimensions=()), "r", 20) is None
    assert next_cursor(QUERY, "r", 3) is not None
