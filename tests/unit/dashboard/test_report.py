"""The page as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import pytest

from dashboard_svc import lists, ranges, report
from dashboard_svc.corrected import Corrected, CorrectedAnswers
from dashboard_svc.freshness import Freshness
from dashboard_svc.panels import BY_NAME, TABS
from recount.corrections import Correction
from recount.store.catalog import Site
from recount.store.correction_log import CorrectionLog
from recount.store.memory_table import MemoryTable
from tests.unit.dashboard.fake import NOW_MS, FakeAnswerer
from tests.unit.dashboard.some import COMPUTED, CORRECTIONS, LATE

SITE = Site(id="demo", domain="demo.example")


def made(
    query: str = "",
    answerer: FakeAnswerer | None = None,
    site: Site = SITE,
    corrections: Sequence[Correction] = (),
) -> report.Report:
    """The page of a query string."""
    answerer = answerer or FakeAnswerer()
    args = dict(parse_qsl(query))
    shown = ranges.parse(args, zone=site.timezone, now_ms=NOW_MS)
    asked = report.questions(shown)
    log = CorrectionLog(MemoryTable())
    log.put(corrections)
    answers = Corrected(answerer, log).answer_many(site, asked.queries)
    return report.build(site, shown, asked, answers, args=args, now_ms=NOW_MS)


def with_tables(**tables: list[dict[str, Any]]) -> report.Report:
    """A report of one settled day whose tables are those given, the others empty."""
    args = {"from": "2026-11-10", "to": "2026-11-10"}
    shown = ranges.parse(args, zone="UTC", now_ms=NOW_MS)
    asked = report.questions(shown)
    found = [tables.get(name.replace(" ", "_"), []) for name in asked.names]
    answers = CorrectedAnswers(
        tables=found, published_until_ms=NOW_MS, live_as_of_ms=None, notes=(), version="x"
    )
    return report.build(SITE, shown, asked, answers, args=args, now_ms=NOW_MS)


def totals(**values: float | None) -> list[dict[str, Any]]:
    return [dict.fromkeys(report.TOTAL_METRICS, 0) | values | {"origin": "published"}]


def test_a_page_asks_everything_at_once_and_nothing_twice() -> None:
    shown = ranges.parse({}, zone="UTC", now_ms=NOW_MS)
    asked = report.questions(shown)
    assert len(set(asked.names)) == len(asked.names) == len(asked.queries)
    assert len(set(asked.queries)) == len(asked.queries)
    assert not any(
        "before" in name
        for name in report.questions(ranges.parse({"compare": "none"}, zone="UTC", now_ms=NOW_MS)).names
    )


def test_a_total_says_how_it_moved() -> None:
    page = with_tables(
        totals=totals(visitors=120, visits=50, pageviews=10, bounce_rate=0.5, visit_duration=None),
        totals_before=totals(visitors=100, visits=100, pageviews=0, bounce_rate=0.4, visit_duration=3),
    )
    moved = {total.metric.name: (total.change, total.mood) for total in page.totals}
    assert moved["visitors"] == ("↑ 20%", "good")
    assert moved["visits"] == ("↓ 50%", "bad")
    assert moved["pageviews"] == ("new", "flat")
    assert moved["bounce_rate"] == ("↑ 10.0 pts", "bad")
    assert moved["visit_duration"] == ("", "flat")


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (100, 100, "no change"),
        (5000, 10, "↑ ×500"),
        (10_000, 9_999, "no change"),
        (1_003, 1_000, "↑ 0.3%"),
        (10_006, 10_000, "↑ 0.1%"),
        (0, 0, ""),
        (0, 10, "↓ 100%"),
    ],
)
def test_changes_at_the_edges(now: float, before: float, text: str) -> None:
    assert report.change(BY_NAME["visitors"], now, before)[0] == text


def test_hours_of_a_day_that_runs_are_unknown_beyond_now() -> None:
    page = made("period=today")
    assert len(page.chart.points) == 24
    assert page.chart.points[13].value != "–"
    assert page.chart.points[14].value == "–"
    assert page.chart.points[14].tip == "Not yet"
    assert page.chart.points[12].tip.startswith("Published")
    assert "live" in page.chart.points[13].tip
    assert page.chart.drawing.dashed


def test_a_day_with_a_change_of_clocks_has_its_own_number_of_hours() -> None:
    zurich = Site(id="demo", domain="demo.example", timezone="Europe/Zurich")
    assert len(made("from=2026-10-25", site=zurich).chart.points) == 25
    assert len(made("from=2026-03-29", site=zurich).chart.points) == 23


def test_the_line_before_is_never_longer_than_the_chart() -> None:
    page = made("from=2026-02-01&to=2026-02-28")
    assert len(page.chart.points) == 28
    assert "1000 " in page.chart.drawing.previous


def test_a_settled_range_is_drawn_whole() -> None:
    page = made("from=2026-11-10&to=2026-11-12")
    assert page.chart.drawing.dashed == ""
    assert page.origin == "published"


def test_without_the_live_service_the_page_says_what_is_missing() -> None:
    page = made("period=today", FakeAnswerer(live=False))
    assert page.origin == "missing"
    assert "away" in page.tip


def test_rows_have_shares_of_all_and_bars_of_the_longest() -> None:
    rows = [
        {"source": "Google", "visitors": 60, "origin": "published"},
        {"source": "Direct / None", "visitors": 30, "origin": "live"},
    ]
    page = with_tables(totals=totals(visitors=120, pageviews=1), source=rows)
    lines = page.panels[1].lists[0].lines
    assert [(line.text, line.share, line.bar) for line in lines] == [
        ("60", "50%", 100.0),
        ("30", "25%", 50.0),
    ]
    assert "Published" in lines[0].tip
    assert "Live" in lines[1].tip


def test_a_panel_shows_so_many_rows_and_says_that_there_are_more() -> None:
    rows = [{"country": f"C{n}", "visitors": 20 - n, "origin": "published"} for n in range(lists.ROWS + 1)]
    page = with_tables(totals=totals(visitors=100, pageviews=1), country=rows)
    shown = page.panels[2].lists[0]
    assert len(shown.lines) == lists.ROWS
    assert shown.has_more


def test_the_chosen_tab_is_kept_and_an_unknown_one_is_not() -> None:
    assert made("sources=referrer").panels[1].chosen == "referrer"
    assert made("sources=page").panels[1].chosen == "source"


def test_actions_show_how_often_and_the_money() -> None:
    row = {
        "event": "Buy",
        "visitors": 3,
        "events": 4,
        "revenue": {"CHF": "10.50", "EUR": "3"},
        "origin": "live",
    }
    page = with_tables(totals=totals(visitors=10, pageviews=1), event=[row])
    assert page.panels[4].lists[0].lines[0].extra == "CHF10.50 + €3.00  4×"


def test_bots_are_named() -> None:
    rows = [
        {"verdict": "human", "pageviews": 5, "visits": 1},
        {"verdict": "ai_crawler", "pageviews": 1200, "visits": 1},
        {"verdict": "monitoring", "pageviews": 0, "visits": 2},
        {"verdict": "excluded_country", "pageviews": 9, "visits": 2},
    ]
    page = with_tables(totals=totals(pageviews=5), verdict=rows)
    assert page.bots == "1,200 pageviews by bots are left out (ai crawler)"


def test_only_a_page_without_any_number_is_empty() -> None:
    event = {"event": "Ping", "visitors": 1, "events": 1, "revenue": {}, "origin": "published"}
    assert with_tables(totals=totals()).is_empty
    assert not with_tables(totals=totals(), event=[event]).is_empty


def test_rows_lead_outside_only_to_the_web() -> None:
    shown = {
        ("page", "/a?b"): "https://demo.example/a?b",
        ("page", "javascript:alert(1)"): None,
        ("referrer", "news.example/item"): "https://news.example/item",
        ("outbound", "https://x.example/"): "https://x.example/",
        ("outbound", "javascript:alert(1)"): None,
        ("source", "Google"): None,
    }
    for (dimension, value), href in shown.items():
        row = {dimension: value, "visitors": 1, "pageviews": 1, "events": 1, "origin": "published"}
        fresh = Freshness("UTC", NOW_MS, NOW_MS, None)
        line = lists.lines(TABS[dimension], [row], {}, fresh, NOW_MS, SITE)[0]
        assert line.href == href


def test_what_was_corrected_is_told_and_marked() -> None:
    page = made(corrections=CORRECTIONS)
    assert len(page.corrected) == 1
    assert page.corrected[0].startswith("Numbers of 18 – 19 Nov 2026 were corrected on 22 Nov 2026")
    assert [note for note in page.notes if "arrived late" in note] == [
        "Numbers of 22 Nov 2026, 17:00 – 18:00 were corrected on 23 Nov 2026: visitors 1,204 → 1,205, "
        "pageviews 4,010 → 4,013; 3 events arrived late."
    ]
    computed, late = page.chart.marks
    assert (computed.id, computed.is_late) == (COMPUTED.publication, False)
    assert (computed.x, computed.width) == (8.33, 33.33)  # the second and third of seven days
    assert (late.id, late.is_late) == (LATE.publication, True)
    said = [point.corrected for point in page.chart.points]
    assert said[1] == "Corrected on 22 Nov 2026: 600 → 650"
    assert [bool(text) for text in said] == [False, True, True, False, False, True, False]


def test_hours_are_marked_where_they_were_corrected() -> None:
    page = made("from=2026-11-22&to=2026-11-22", corrections=CORRECTIONS)
    (mark,) = page.chart.marks
    assert mark.id == LATE.publication
    assert [i for i, point in enumerate(page.chart.points) if point.corrected] == [17]
    assert page.corrected == []


def test_ranges_without_corrections_say_nothing() -> None:
    assert made().chart.marks == []
    added = made("from=2026-10-01&to=2026-10-04", corrections=CORRECTIONS)
    assert (added.chart.marks, added.corrected) == ([], [])
