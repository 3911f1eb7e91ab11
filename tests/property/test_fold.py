"""Folding: it counts what plain Python counts, batches add up to the whole, and merging has no order."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recount.counting import sketch
from recount.counting.fold import Rollup, fold, merge, rebucket
from recount.counting.rollup import KEYS, REVENUE_SCHEMA, ROLLUP_SCHEMA, SUMS
from recount.counting.visits import cut
from recount.interpret import Interpreter, bots, pages
from recount.periods import HOUR_MS, MINUTE_MS, QUARTER_MS
from recount.store.catalog import Goal, Site
from tests.property.test_visits import LONG_AFTER, cut_in_batches
from tests.sequences import START, Row, Visit, frame, sequences, splits, visits_of

GOALS: Final = (Goal(name="signed up", event="signup"), Goal(name="saw c", page="/c*"))
SITES: Final = {"demo": Site(id="demo", domain="demo.example", goals=GOALS)}
NOT_ADDITIVE: Final = ("scroll_sum", "scroll_count")  # the deepest of a visit and page within one batch

Key = tuple[str, int, str, str]


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return Interpreter()


@settings(max_examples=60, deadline=None)
@given(rows=sequences())
def test_the_fold_counts_what_plain_python_counts(rows: list[Row], interpreter: Interpreter) -> None:
    done = cut(frame(rows), None, LONG_AFTER)
    found = fold(done.events, done.ends, SITES, interpreter)
    counted = {tuple(row[k] for k in KEYS): row for row in found.rows.to_dicts()}
    assert len(counted) == found.rows.height
    wanted = expected_rows(rows, interpreter)
    shown = {key for key in counted if key[2] in {k[2] for k in wanted} | {"total", "verdict"}}
    assert shown == set(wanted)
    for key, metrics in wanted.items():
        row = {name: value for name, value in counted[key].items() if value and name not in KEYS}
        assert row == {name: value for name, value in metrics.items() if value}, key


@settings(max_examples=40, deadline=None)
@given(split=splits(), bucket_ms=st.sampled_from([HOUR_MS, 5 * MINUTE_MS]))
def test_batches_add_up_to_the_whole(
    split: tuple[list[Row], list[int]], bucket_ms: int, interpreter: Interpreter
) -> None:
    rows, places = split
    until = rows[-1]["ts"] + 1 if rows else START

    def folded(events: pl.DataFrame, ends: pl.DataFrame) -> Rollup:
        return fold(events, ends, SITES, interpreter, series_ms=5 * MINUTE_MS, bucket_ms=bucket_ms)

    parts = [folded(b.events, b.ends) for b in cut_in_batches(rows, places, until)]
    whole = cut(frame(rows), None, until)
    assert_same(without_scroll(merge(parts)), without_scroll(folded(whole.events, whole.ends)))


@settings(max_examples=40, deadline=None)
@given(rows=sequences())
def test_buckets_and_the_order_of_rows_do_not_matter(rows: list[Row], interpreter: Interpreter) -> None:
    done = cut(frame(rows), None, LONG_AFTER)
    hours = fold(done.events, done.ends, SITES, interpreter)
    shuffled = fold(done.events.reverse(), done.ends.reverse(), SITES, interpreter)
    assert_same(shuffled, hours)
    quarters = fold(done.events, done.ends, SITES, interpreter, bucket_ms=QUARTER_MS)
    is_series = pl.col("dimension") == "series"
    to_hours = rebucket(
        quarters, pl.when(is_series).then("at").otherwise(pl.col("at") - pl.col("at") % HOUR_MS)
    )
    assert_same(without_scroll(to_hours), without_scroll(hours))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**32), min_size=3, max_size=3, unique=True), st.permutations(range(3)))
def test_merging_has_no_order(seeds: list[int], order: list[int]) -> None:
    parts = [random_rollup(seed) for seed in seeds]
    whole = merge(parts)
    assert_same(merge([parts[n] for n in order]), whole)
    assert_same(merge([merge(parts[:2]), parts[2]]), whole)
    assert_same(merge([parts[0], merge(parts[1:])]), whole)
    sets = dict(zip(whole.rows.select(KEYS).iter_rows(), whole.rows["visitors"].to_list(), strict=True))
    for key, found in sets.items():
        of_key = [p.rows.filter(*(pl.col(k) == v for k, v in zip(KEYS, key, strict=True))) for p in parts]
        wanted = {v for rows in of_key for of_row in rows["visitors"].to_list() for v in of_row}
        assert found == sorted(wanted)[: sketch.K]


def random_rollup(seed: int) -> Rollup:
    """A few keys, some with more visitors than are counted exactly."""
    rng = np.random.default_rng(seed)
    keys = {("demo", START, "page", f"/{n}") for n in rng.integers(0, 4, 3)}
    rows = [
        {
            **dict(zip(KEYS, key, strict=True)),
            "visitors": np.unique(rng.integers(0, 2**64, rng.choice([0, 3, 3_000, 6_000]), dtype=np.uint64))[
                : sketch.K
            ].tolist(),
            **{name: int(rng.integers(0, 10)) for name in SUMS},
        }
        for key in sorted(keys)
    ]
    money = [{**dict(zip(KEYS, key, strict=True)), "currency": "EUR", "micros": 5} for key in sorted(keys)]
    return Rollup(
        pl.DataFrame(rows, schema=dict(ROLLUP_SCHEMA)), pl.DataFrame(money, schema=dict(REVENUE_SCHEMA))
    )


def without_scroll(rollup: Rollup) -> Rollup:
    return Rollup(rollup.rows.with_columns(pl.lit(0).alias(n) for n in NOT_ADDITIVE), rollup.revenue)


def assert_same(found: Rollup, wanted: Rollup) -> None:
    assert_frame_equal(found.rows, wanted.rows, check_dtypes=False)
    assert_frame_equal(found.revenue, wanted.revenue)


class Counts(defaultdict[Key, Counter[str]]):
    """Metrics by key; visitors are sets beside them."""

    def __init__(self) -> None:
        super().__init__(Counter)
        self.visitors: dict[Key, set[int]] = defaultdict(set)

    def result(self) -> dict[Key, dict[str, Any]]:
        keys = set(self) | set(self.visitors)
        return {key: {**self[key], "visitors": sorted(self.visitors[key])} for key in keys}


def expected_rows(rows: list[Row], interpreter: Interpreter) -> dict[Key, dict[str, Any]]:
    """Rows of total, verdict, browser, page, exit_page, event and goal, counted one event at a time."""
    counts = Counts()
    for (site, visitor), visits in visits_of(rows).items():
        for visit in visits:
            _count_visit(counts, site, visitor, visit, interpreter)
    return counts.result()


def _count_visit(counts: Counts, site: str, visitor: int, visit: Visit, interpreter: Interpreter) -> None:
    entry = visit.events[0]
    of_ua = interpreter.user_agents(pl.Series([entry["ua"]], dtype=pl.String)).to_dicts()[0]
    verdict = (
        pl.DataFrame({"ua_rule": [of_ua["ua_rule"]], "network": [entry["network"]]}, schema=_VERDICT_FACTS)
        .select(bots.verdict())
        .item()
    )
    scoped = [("verdict", verdict)]
    if verdict == bots.HUMAN:
        scoped += [("total", ""), ("browser", of_ua["browser"])]
    for number, event in enumerate(visit.events):
        hour = event["ts"] - event["ts"] % HOUR_MS
        own = _metrics(event, first=not any(e["kind"] != "engagement" for e in visit.events[:number]))
        for dimension, value in scoped:
            key = (site, hour, dimension, value)
            counts[key].update(own)
            if event["kind"] != "engagement":
                counts.visitors[key].add(visitor)
        if verdict == bots.HUMAN:
            _count_event(counts, site, hour, event, own)
    _count_scroll(counts, site, visit, scoped)
    _count_end(counts, site, visitor, visit, scoped)


_VERDICT_FACTS: Final = {"ua_rule": pl.String, "network": pl.String}


def _metrics(event: Row, *, first: bool) -> dict[str, int]:
    kind = event["kind"]
    return {
        "visits": int(first and kind != "engagement"),
        "pageviews": int(kind == "pageview"),
        "events": int(kind == "event"),
        "engaged_ms": (event.get("engaged_ms") or 0) if kind == "engagement" else 0,
        "accepted": 1,
    }


def _page(url: str | None) -> str | None:
    return None if url is None else str(pages.locate(pl.DataFrame({"url": [url]}))["page"][0])


def _count_event(counts: Counts, site: str, hour: int, event: Row, own: dict[str, int]) -> None:
    kind, page = event["kind"], _page(event["url"])
    own = {name: value for name, value in own.items() if name != "visits"}
    if page is not None:
        counts[site, hour, "page", page].update(own)
        if kind == "pageview":
            counts.visitors[site, hour, "page", page].add(event["visitor"])
    reached = []
    if kind == "event":
        reached.append(("event", event["name"]))
    if site == "demo" and kind == "event" and event["name"] == "signup":
        reached.append(("goal", "signed up"))
    if site == "demo" and kind == "pageview" and page == "/c":
        reached.append(("goal", "saw c"))
    for dimension, value in reached:
        counts[site, hour, dimension, value].update(own)
        counts.visitors[site, hour, dimension, value].add(event["visitor"])


def _count_scroll(counts: Counts, site: str, visit: Visit, scoped: list[tuple[str, str]]) -> None:
    deepest: dict[tuple[int, str], int] = {}
    for event in visit.events:
        page, depth = _page(event["url"]), event.get("scroll_percent")
        if event["kind"] == "engagement" and depth is not None and page is not None:
            hour = event["ts"] - event["ts"] % HOUR_MS
            deepest[hour, page] = max(depth, deepest.get((hour, page), 0))
    for (hour, page), depth in deepest.items():
        human = [("page", page)] if ("verdict", bots.HUMAN) in scoped else []
        for dimension, value in [*scoped, *human]:
            counts[site, hour, dimension, value].update(scroll_sum=depth, scroll_count=1)


def _count_end(counts: Counts, site: str, visitor: int, visit: Visit, scoped: list[tuple[str, str]]) -> None:
    moment = visit.end_at - 1
    hour = moment - moment % HOUR_MS
    views, events = visit.seen("pageview"), visit.seen("event")
    ended = int(views + events > 0)
    own = {
        "ended_visits": ended,
        "bounces": int(ended and views <= 1 and not events),
        "duration_ms": (visit.last - visit.start) * ended,
    }
    for dimension, value in scoped:
        counts[site, hour, dimension, value].update(own)
    viewed = [event["url"] for event in visit.events if event["kind"] == "pageview"]
    page = _page(viewed[-1]) if viewed else None
    if page is not None and ("verdict", bots.HUMAN) in scoped:
        counts[site, hour, "exit_page", page].update(own, exits=1)
        counts.visitors[site, hour, "exit_page", page].add(visitor)
