"""Scans of what is published: the same numbers as rollups, and what they say when they cannot answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recount.errors import InvalidInput, Unavailable
from recount.metrics import Metrics
from recount.periods import HOUR_MS, QUARTER_MS, hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.measures import Row
from recount.querying.query import Filter, Order, Query, Span, span_of
from recount.scanning.answer import Numbers, asked_of, rows_of, table_of
from recount.scanning.answering import Answering
from recount.scanning.asked import Asked
from recount.scanning.gate import Busy, Cancelled, Gate, Stop, TooSlow
from recount.scanning.reading import Columns, together
from recount.scanning.scanner import Scanner
from recount.scanning.sources import Vanished
from tests.archived import hours_of, publish
from tests.publishing import Press
from tests.unit.scanning.conftest import ROWS, SITES, scanner_of

NOW = hour_start_ms("2026-11-26T12")
WHOLE = Span("2026-11-22", "2026-11-25")
PARTS = (
    *("page", "entry_page", "exit_page", "source", "channel", "country", "browser", "event", "goal"),
    *("prop:plan", "prop:seats", "verdict", "hostname"),
)
METRICS = (
    *("visitors", "visits", "pageviews", "events", "bounce_rate", "visit_duration", "views_per_visit"),
    *("engagement", "scroll", "revenue"),
)


def from_rollups(press: Press, site: str, query: Query) -> list[Row]:
    answerer = Answerer(press.manifests, press.segments, site_slots=press.slots, now_ms=lambda: NOW)
    return answerer.answer(SITES[site], query).tables[0]


def from_archive(scanner: Scanner, site: str, query: Query) -> list[Row]:
    asked = asked_of(SITES[site], query, query.span)
    numbers = Numbers(asked, scanner.numbers(SITES[site], asked))
    whole = table_of(SITES[site], query, numbers)
    return rows_of(SITES[site], query, numbers, whole, NOW)


@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.parametrize("dimension", PARTS)
def test_rows_are_those_of_the_rollups(press: Press, scanner: Scanner, site: str, dimension: str) -> None:
    query = Query(WHOLE, METRICS, (dimension,))
    found = from_archive(scanner, site, query)
    assert found
    assert found == from_rollups(press, site, query)


@pytest.mark.parametrize("site", sorted(SITES))
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("interval", [None, "hour", "day", "week", "month"])
def test_totals_and_series_are_those_of_the_rollups(
    press: Press, scanner: Scanner, site: str, interval: Any, zone: str | None
) -> None:
    metrics = ("visitors", "visits", "pageviews", "bounce_rate", "revenue")
    query = Query(WHOLE, metrics, interval=interval, timezone=zone)
    assert from_archive(scanner, site, query) == from_rollups(press, site, query)


def test_a_range_cut_within_an_hour(press: Press, scanner: Scanner) -> None:
    first = min(row["ts"] for row in ROWS) // QUARTER_MS * QUARTER_MS + QUARTER_MS
    span = span_of(first, first + 50 * HOUR_MS, SITES["demo"].timezone)
    query = Query(span, ("visitors", "pageviews", "visits"))
    found = from_archive(scanner, "demo", query)
    assert found == from_rollups(press, "demo", query)
    by_country = from_archive(scanner, "demo", Query(span, ("pageviews",), ("country", "browser")))
    assert sum(row["pageviews"] for row in by_country) == found[0]["pageviews"]


def answering_of(press: Press, scanner: Scanner) -> Answering:
    answerer = Answerer(press.manifests, press.segments, site_slots=press.slots, now_ms=lambda: NOW)
    return Answering(answerer, scanner, lambda: NOW)


def test_pages_of_a_listing_in_another_order(press: Press, scanner: Scanner) -> None:
    query = Query(
        WHOLE, ("pageviews", "visitors"), ("page", "country"), order=(Order("country", False), Order("page"))
    )
    answering = answering_of(press, scanner)
    whole = answering.answer_many(SITES["demo"], [query])
    rows = whole.tables[0]
    assert [row["country"] for row in rows] == sorted(row["country"] for row in rows)
    pages = [replace(query, offset=offset, limit=5) for offset in range(0, len(rows), 5)]
    assert [r for page in pages for r in answering.answer_many(SITES["demo"], [page]).tables[0]] == rows
    assert whole.about[0].total == len(rows)
    assert whole.about[0].confidence["visitors"] == {"kind": "exact"}


def test_a_combination_is_compared(press: Press, scanner: Scanner) -> None:
    day, before = Span("2026-11-23", "2026-11-23"), Span("2026-11-22", "2026-11-22")
    query = Query(day, ("pageviews",), ("page", "country"), compared=before)
    rows = answering_of(press, scanner).answer_many(SITES["demo"], [query]).tables[0]
    old = {
        (row["page"], row["country"]): row["pageviews"]
        for row in from_archive(scanner, "demo", replace(query, span=before, compared=None))
    }
    assert any(row["comparison"]["pageviews"] for row in rows)
    for row in rows:
        assert row["comparison"]["pageviews"] == old.get((row["page"], row["country"]), 0)


def test_the_conversion_rate_of_each_source(press: Press, scanner: Scanner) -> None:
    of_goal = (Filter("goal", "equals", ("signed up",)),)
    query = Query(WHOLE, ("conversion_rate", "conversions", "visitors"), ("source",), filters=of_goal)
    rows = answering_of(press, scanner).answer_many(SITES["demo"], [query]).tables[0]
    everyone = {
        row["source"]: row["visitors"]
        for row in from_rollups(press, "demo", Query(WHOLE, ("visitors",), ("source",)))
    }
    assert len(rows) == 3
    for row in rows:
        assert row["conversion_rate"] == round(row["visitors"] / everyone[row["source"]], 4)
        assert row["conversions"] >= row["visitors"] > 0
    with pytest.raises(InvalidInput, match="conversion_rate is that of a goal"):
        answering_of(press, scanner).answer_many(SITES["demo"], [replace(query, filters=())])


@pytest.mark.parametrize("site", sorted(SITES))
def test_the_rows_of_a_filtered_combination_add_up(press: Press, scanner: Scanner, site: str) -> None:
    of_germany = (Filter("country", "equals", ("DE",)),)
    both = Query(WHOLE, ("pageviews", "visits"), ("browser", "source"), filters=of_germany)
    parts = from_archive(scanner, site, both)
    seen = {(row["browser"], row["source"]) for row in parts}
    assert ("Firefox", "Google") in seen
    assert (("Safari", "Google") in seen) == (site != "ruled"), "there it is a bot by a rule of the site"
    [of_country] = [
        row
        for row in from_rollups(press, site, Query(WHOLE, both.metrics, ("country",)))
        if row["country"] == "DE"
    ]
    for metric in both.metrics:
        assert sum(int(str(row[metric])) for row in parts) == of_country[metric]
    assert [row["pageviews"] for row in parts] == sorted((row["pageviews"] for row in parts), reverse=True)


def test_an_event_and_a_country(scanner: Scanner) -> None:
    filters = (Filter("event", "equals", ("signup",)), Filter("country", "equals", ("DE",)))
    query = Query(WHOLE, ("events", "revenue", "visits"), ("prop:plan",), filters=filters)
    wanted: dict[str, int] = {}
    for row in ROWS:
        if row["site"] == "demo" and row.get("name") == "signup" and row["country"] == "DE":
            plan = "pro" if "pro" in row["props"] else "free"
            wanted[plan] = wanted.get(plan, 0) + ("Googlebot" not in row["ua"])
    found = from_archive(scanner, "demo", query)
    assert {row["prop:plan"]: row["events"] for row in found} == wanted
    assert {row["prop:plan"]: row["visits"] for row in found} == {"pro": None, "free": None}
    revenue = {row["prop:plan"]: row["revenue"] for row in found}
    assert revenue == {"pro": {"EUR": f"{wanted['pro'] * 9.9:.2f}"}, "free": {}}


def test_one_answer_from_both(press: Press, scanner: Scanner) -> None:
    answerer = Answerer(press.manifests, press.segments, site_slots=press.slots, now_ms=lambda: NOW)
    answering = answering_of(press, scanner)
    of_rollups = Query(WHOLE, ("pageviews",), ("page",))
    beyond = Query(WHOLE, ("visits",), ("page", "country"))
    both = answering.answer_many(SITES["demo"], [of_rollups, beyond])
    assert both.tables[0] == answerer.answer(SITES["demo"], of_rollups).tables[0]
    assert set(both.tables[1][0]) == {"page", "country", "visits", "origin"}
    assert any("counted for whole visits" in note for note in both.notes)
    assert answering.stamp(SITES["demo"], [beyond]).version == both.version


def test_what_is_not_published_is_said(press: Press, tmp_path: Path) -> None:
    half = Press(tmp_path, sites=SITES)
    hours = hours_of(ROWS)
    publish(half, ROWS, hours[: len(hours) // 2])
    answerer = Answerer(half.manifests, half.segments, site_slots=half.slots, now_ms=lambda: NOW)
    query = Query(WHOLE, ("pageviews",), ("page", "country"))
    found = Answering(answerer, scanner_of(half), lambda: NOW).answer_many(SITES["demo"], [query])
    assert any("numbers end at published_until" in note for note in found.notes)
    assert found.published_until_ms == hour_start_ms(hours[len(hours) // 2 - 1]) + HOUR_MS
    whole = sum(row["pageviews"] for row in from_archive(scanner_of(press), "demo", query))
    assert 0 < sum(row["pageviews"] for row in found.tables[0]) < whole


def test_nothing_published_is_an_answer(tmp_path: Path) -> None:
    scanner = scanner_of(Press(tmp_path, sites=SITES))
    found = from_archive(scanner, "demo", Query(WHOLE, ("visitors", "revenue")))
    assert found == [{"visitors": 0, "revenue": {}, "origin": "published"}]
    assert from_archive(scanner, "demo", Query(WHOLE, ("visitors",), ("page", "country"))) == []


def test_too_much_is_refused_before_it_is_read(press: Press) -> None:
    scanner = scanner_of(press, max_bytes=2_000)
    with pytest.raises(InvalidInput, match=r"0\.0 MB may be read at once: ask for a shorter range") as caught:
        from_archive(scanner, "demo", Query(WHOLE, ("visitors",), ("page", "country")))
    assert caught.value.field == "date_range"


def test_a_range_beyond_a_year_is_refused(scanner: Scanner) -> None:
    with pytest.raises(InvalidInput, match="at most 366 days"):
        from_archive(scanner, "demo", Query(Span("2024-01-01", "2026-01-01"), ("visitors",), ("page", "os")))


@pytest.mark.parametrize(
    ("dimensions", "filters"),
    [(("exit_page", "page"), ()), (("exit_page",), ("verdict",)), (("event",), ("exit_page",))],
)
def test_what_has_no_meaning_together_is_refused(
    dimensions: tuple[str, ...], filters: tuple[str, ...]
) -> None:
    kept = tuple(Filter(name, "equals", ("x",)) for name in filters)
    with pytest.raises(InvalidInput, match="exit_page is known of a visit that has ended"):
        Asked(WHOLE, "UTC", ("visitors",), dimensions, kept)


def test_an_archive_that_was_erased_is_unavailable(tmp_path: Path) -> None:
    press = Press(tmp_path, sites=SITES)
    made = publish(press, ROWS)
    hour = hours_of(ROWS)[3]
    press.archive.remove(hour, made[hour])
    with pytest.raises(Unavailable, match=f"what is published of {hour} is being replaced"):
        from_archive(scanner_of(press), "demo", Query(WHOLE, ("visitors",), ("page", "country")))


def test_an_archive_replaced_while_it_is_read_is_read_anew(tmp_path: Path) -> None:
    press = Press(tmp_path, sites=SITES)
    made = publish(press, ROWS)
    query = Query(WHOLE, ("pageviews",), ("page", "country"))
    scanner = scanner_of(press)
    before = from_archive(scanner, "demo", query)
    publish(press, ROWS)  # the same events, in new generations
    for hour, generation in made.items():
        press.archive.remove(hour, generation)
    assert from_archive(scanner, "demo", query) == before


def test_an_hour_that_is_gone_when_it_is_read_is_told_among_those_it_is_read_with(tmp_path: Path) -> None:
    press = Press(tmp_path, sites=SITES)
    made = publish(press, ROWS)
    scanner, stop = scanner_of(press), Stop(float("inf"))
    columns = Columns(("visitor", "ts"))
    hours = scanner.look(SITES["demo"], WHOLE.bounds_ms("UTC"), columns, stop).hours
    assert scanner.reader.read("demo", hours, columns, stop).events.height > 0
    gone, first, last = (hours[n].source.hour for n in (1, 0, -1))
    press.archive.remove(gone, made[gone])
    with pytest.raises(Vanished, match=f"what is published of {first} to {last} is being replaced"):
        scanner.reader.read("demo", hours, columns, stop)
    with pytest.raises(Vanished, match=f"what is published of {gone} is being replaced"):
        scanner.reader.read("demo", hours[1:2], columns, stop)


def test_hours_are_worked_on_together_up_to_so_many_rows_or_hours(scanner: Scanner) -> None:
    hours = scanner.look(SITES["demo"], WHOLE.bounds_ms("UTC"), Columns(("ts",)), Stop(float("inf"))).hours
    assert list(together(hours, 1)) == [[hour] for hour in hours]
    pairs = list(together(hours, 10**9, 2))
    assert [len(pair) for pair in pairs[:-1]] == [2] * (len(pairs) - 1)
    assert [hour for pair in pairs for hour in pair] == hours
    most = 2 * max(hour.rows for hour in hours)
    several = list(together(hours, most))
    assert all(sum(hour.rows for hour in some) <= most for some in several)
    assert 1 < len(several) < len(hours)


def test_bytes_are_those_of_the_columns_that_are_read(scanner: Scanner) -> None:
    few = scanner.numbers(SITES["demo"], Asked(WHOLE, "UTC", ("pageviews",), ("country",)))
    many = scanner.numbers(SITES["demo"], Asked(WHOLE, "UTC", METRICS, ("country", "page", "prop:plan")))
    assert 0 < few.bytes < many.bytes


class TestGate:
    def test_waits_for_its_turn_then_refuses(self) -> None:
        gate = Gate(1, 1, 60, Metrics())
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with gate.enter():
                entered.set()
                leave.wait(60)

        waited: list[str] = []
        first = threading.Thread(target=hold)
        first.start()
        entered.wait(60)
        second = threading.Thread(target=lambda: _enter(gate, waited))
        second.start()
        _until(lambda: gate.present == 2)
        with pytest.raises(Busy, match="2 scans of the archive run or wait"), gate.enter():
            pass
        assert waited == []
        leave.set()
        for thread in (first, second):
            thread.join(60)
        assert waited == ["entered"]

    def test_a_deadline_also_counts_while_waiting(self) -> None:
        gate = Gate(1, 1, 60, Metrics())
        with gate.enter(), pytest.raises(TooSlow), gate.enter(deadline_s=0.01):
            pass

    def test_nobody_waits_for_who_is_gone(self) -> None:
        gate = Gate(1, 1, 60, Metrics())
        with gate.enter(), pytest.raises(Cancelled), gate.enter(lambda: True):
            pass
        assert gate.present == 0


def test_a_scan_stops_when_nobody_waits_for_it(scanner: Scanner) -> None:
    with pytest.raises(Cancelled):
        scanner.numbers(SITES["demo"], Asked(WHOLE, "UTC", ("pageviews",), ("country",)), lambda: True)


def _enter(gate: Gate, seen: list[str]) -> None:
    with gate.enter():
        seen.append("entered")


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
