"""Scans: one dimension counts as in the rollups, any combination as plain Python counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recount.counting.fold import fold
from recount.counting.rollup import REVENUE_SCHEMA, ROLLUP_SCHEMA, Rollup, merge
from recount.counting.visits import cut
from recount.interpret import Interpreter, bots, pages
from recount.periods import day_of
from recount.querying.query import DIMENSIONS, METRICS, Filter, Span
from recount.rules import EVERY_SITE, BotRule, Exclusion, Rules, SourceRule
from recount.scanning.asked import Asked
from recount.scanning.dimensions import Lookup, is_of_visits, is_ruled
from recount.scanning.grouped import Buckets, Counting, values_of
from recount.store.catalog import NO_COMMON, Goal, Site
from tests.property.test_visits import LONG_AFTER
from tests.sequences import Row, Visit, frame, sequences, visits_of

GOALS: Final = (Goal(name="signed up", event="signup"), Goal(name="a or c", page="/*"))
COMMON: Final = NO_COMMON.ruled(
    Rules(
        hostnames=("news.example",),
        goals=(Goal(name="all of them", page="*"),),
        exclusions=(Exclusion(kind="page", pattern="/b"), Exclusion(kind="country", pattern="FR")),
        bots=(BotRule(counts_as="bot", by="user_agent", pattern="*safari*"),),
        sources=(SourceRule(by="utm_source", pattern="news", source="The News"),),
    ),
    2,
)
ZONES: Final = ("UTC", "Asia/Kolkata", "America/New_York")
SPAN: Final = Span("2026-11-21", "2026-11-30")
COMBINED: Final = ("country", "browser", "page", "event", "goal", "prop:plan")
VALUES: Final = {
    "country": ("DE", "Unknown"),
    "browser": ("Firefox", "Safari"),
    "page": ("/a", "/c"),
    "event": ("signup", "play"),
    "goal": ("signed up", "a or c"),
    "prop:plan": ("p1",),
}


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter()


def site_in(zone: str) -> Site:
    return Site(id="demo", domain="demo.example", goals=GOALS, timezone=zone)


def counted(rows: Sequence[Row], asked: Asked, interpreter: Interpreter, *, together: bool) -> Rollup:
    """By a scan that reads only what it asks for, in two halves."""
    done = cut(frame(rows), None, LONG_AFTER)
    events, ends = (part.filter(pl.col("site") == "demo") for part in (done.events, done.ends))
    half = events.height // 2
    chunks = [
        (events[:half].select(asked.event_columns), ends.select(asked.end_columns)),
        (events[half:].select(asked.event_columns), ends[:0].select(asked.end_columns)),
    ]
    counting = Counting(Lookup(site_in(asked.zone), interpreter), asked)
    return counting.count(chunks) if together else merge([counting.count([chunk]) for chunk in chunks])


@settings(max_examples=40, deadline=None)
@given(
    rows=sequences(),
    dimension=st.sampled_from([*DIMENSIONS, "prop:plan", "prop:n", "prop:url"]),
    zone=st.sampled_from(ZONES),
    common=st.sampled_from([NO_COMMON, COMMON]),
)
def test_one_dimension_counts_as_in_the_rollups(
    rows: list[Row], dimension: str, zone: str, common: Site, interpreter: Interpreter
) -> None:
    asked = Asked(SPAN, zone, METRICS, (dimension,), common=common, ruled=is_ruled(common))
    found = counted_whole(rows, asked, interpreter)
    done = cut(frame(rows), None, LONG_AFTER)
    sites = {"demo": site_in(zone), EVERY_SITE: common}
    whole = fold(done.events, done.ends, sites, interpreter).of_site("demo")
    wanted = Buckets.of(asked, zone).within(of_dimension(whole, dimension))
    assert_frame_equal(comparable(found.rows, dimension), comparable(wanted.rows, dimension))
    assert_frame_equal(found.revenue.select(*REVENUE_SCHEMA), wanted.revenue, check_row_order=False)


def counted_whole(rows: Sequence[Row], asked: Asked, interpreter: Interpreter) -> Rollup:
    """In one chunk, as an hour is read; under the names that the rollup has."""
    done = cut(frame(rows), None, LONG_AFTER)
    events, ends = (part.filter(pl.col("site") == "demo") for part in (done.events, done.ends))
    counting = Counting(Lookup(site_in(asked.zone), interpreter, asked.common), asked)
    made = counting.count([(events.select(asked.event_columns), ends.select(asked.end_columns))])
    [dimension] = asked.dimensions

    def named(part: pl.DataFrame) -> pl.DataFrame:
        if asked.labels:
            labels = values_of(part["site"], asked.labels).rename({"_label": "site"})
            part = part.drop("value").join(labels, on="site", how="left").rename({dimension: "value"})
        return part.with_columns(site=pl.lit("demo"), dimension=pl.lit(dimension))

    return Rollup(named(made.rows), named(made.revenue))


def of_dimension(rollup: Rollup, dimension: str) -> Rollup:
    kept = pl.col("dimension") == dimension
    return Rollup(rollup.rows.filter(kept), rollup.revenue.filter(kept))


def comparable(rows: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """Without the visits that rows of single events do not have."""
    without = {"visits"} - ({"visits"} if is_of_visits(dimension) else set())
    without |= {"exits"} - ({"exits"} if dimension == "exit_page" else set())
    return rows.select(*ROLLUP_SCHEMA).drop(without).sort("at", "value")


@settings(max_examples=60, deadline=None)
@given(
    rows=sequences(),
    dimensions=st.lists(st.sampled_from(COMBINED), max_size=3, unique=True),
    filtered=st.lists(st.sampled_from(COMBINED), max_size=2, unique=True),
    operator=st.sampled_from(["equals", "not"]),
    zone=st.sampled_from(ZONES),
    together=st.booleans(),
)
def test_combinations_count_as_plain_python_counts_them(
    rows: list[Row],
    dimensions: list[str],
    filtered: list[str],
    operator: Any,
    zone: str,
    together: bool,
    interpreter: Interpreter,
) -> None:
    filters = tuple(Filter(name, operator, VALUES[name][:1]) for name in filtered)
    asked = Asked(SPAN, zone, METRICS, tuple(dimensions), filters)
    wanted = brute_force(rows, asked, interpreter)
    assert by_values(counted(rows, asked, interpreter, together=together), asked) == wanted


METRICS_OF_EVENTS: Final = ("pageviews", "events", "engaged_ms")
METRICS_OF_VISITS: Final = ("visits", "ended_visits", "bounces", "duration_ms")
Key = tuple[str, ...]


def by_values(found: Rollup, asked: Asked) -> dict[Key, dict[str, int]]:
    """Day and values -> metrics that are not 0, and visitors."""
    metrics = METRICS_OF_EVENTS if asked.of_events else (*METRICS_OF_EVENTS, *METRICS_OF_VISITS)
    labels = values_of(found.rows["site"], asked.labels)
    rows = found.rows.join(labels, left_on="site", right_on="_label", how="left")
    rows = rows.rename({"value": "page"}) if "page" not in asked.labels else rows
    shown = {}
    for row in rows.iter_rows(named=True):
        key = (day_of(row["at"], asked.zone), *(row[name] for name in asked.dimensions))
        counts = {name: row[name] for name in metrics} | {"visitors": len(row["visitors"])}
        if any(counts.values()):
            shown[key] = {name: count for name, count in counts.items() if count}
    return shown


def brute_force(rows: list[Row], asked: Asked, interpreter: Interpreter) -> dict[Key, dict[str, int]]:
    counts: dict[Key, Counter[str]] = {}
    visitors: dict[Key, set[int]] = {}
    for (site, visitor), visits in visits_of(rows).items():
        for visit in visits if site == "demo" else ():
            of_visit = visit_values(visit, interpreter)
            if of_visit is None:
                continue
            for number, event in enumerate(visit.events):
                first = not any(e["kind"] != "engagement" for e in visit.events[:number])
                for key in keys_of(asked, event["ts"], of_visit | event_values(event)):
                    counts.setdefault(key, Counter()).update(numbers(event, asked, first=first))
                    if event["kind"] == "pageview" or (
                        event["kind"] == "event" and asked.of_events != {"page"}
                    ):
                        visitors.setdefault(key, set()).add(visitor)
            if not asked.of_events:
                for key in keys_of(asked, visit.end_at - 1, of_visit):
                    counts.setdefault(key, Counter()).update(end_numbers(visit))
    found = {
        key: dict(counts.get(key, Counter())) | {"visitors": len(visitors.get(key, ()))}
        for key in counts | visitors
    }
    shown = {key: {name: n for name, n in numbers.items() if n} for key, numbers in found.items()}
    return {key: numbers for key, numbers in shown.items() if numbers}


def keys_of(asked: Asked, moment: int, values: dict[str, list[str]]) -> Iterator[Key]:
    day = day_of(moment, asked.zone)
    for one in asked.filters:
        [wanted] = one.values
        if not any(
            (value == wanted) == (one.operator == "equals") for value in values.get(one.dimension, [])
        ):
            return
    for combination in product(*(values.get(name, []) for name in asked.dimensions)):
        yield (day, *combination)


def visit_values(visit: Visit, interpreter: Interpreter) -> dict[str, list[str]] | None:
    entry = visit.events[0]
    of_ua = interpreter.user_agents(pl.Series([entry["ua"]], dtype=pl.String)).to_dicts()[0]
    facts = {"ua_rule": [of_ua["ua_rule"]], "network": [entry["network"]]}
    verdict = pl.DataFrame(facts, schema={"ua_rule": pl.String, "network": pl.String}).select(bots.verdict())
    if verdict.item() != bots.HUMAN:
        return None
    return {"country": [entry["country"] or "Unknown"], "browser": [of_ua["browser"]]}


def event_values(event: Row) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    if event["url"] is not None:
        page = str(pages.locate(pl.DataFrame({"url": [event["url"]]}))["page"][0])
        values["page"] = [page]
        if event["kind"] == "pageview":
            values["goal"] = ["a or c"]
    if event["kind"] == "event":
        values["event"] = [event["name"]]
        values["prop:plan"] = [p for p in [orjson.loads(event["props"] or "{}").get("plan")] if p]
        if event["name"] == "signup":
            values["goal"] = ["signed up"]
    return values


def numbers(event: Row, asked: Asked, *, first: bool) -> dict[str, int]:
    kind = event["kind"]
    own = {
        "pageviews": int(kind == "pageview"),
        "events": int(kind == "event"),
        "engaged_ms": (event.get("engaged_ms") or 0) if kind == "engagement" else 0,
    }
    return own if asked.of_events else own | {"visits": int(first and kind != "engagement")}


def end_numbers(visit: Visit) -> dict[str, int]:
    views, events = visit.seen("pageview"), visit.seen("event")
    ended = int(views + events > 0)
    return {
        "ended_visits": ended,
        "bounces": int(ended and views <= 1 and not events),
        "duration_ms": (visit.last - visit.start) * ended,
    }
