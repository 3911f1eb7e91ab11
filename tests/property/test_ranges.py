"""Any range, in any zone: the answer is what counting the events of the archive one by one gives."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recount.counting.fold import Rollup, fold
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, QUARTER_MS, day_of, day_span_ms, hour_of, hour_start_ms
from recount.querying.answers import Answerer
from recount.querying.measures import Row
from recount.querying.query import Filter, Interval, Query, Span, span_of
from recount.querying.reach import needs_archive
from recount.store.catalog import Goal, Identity, Site
from tests.publishing import Press
from tests.sequences import event, frame

NOW: Final = hour_start_ms("2026-11-20T00")
DAYS: Final = ("2026-10-03", "2026-10-04", "2026-10-24", "2026-10-25", "2026-10-31", "2026-11-01")
"""With the nights when clocks change on Lord Howe (by 30 minutes), in Berlin and in St. John's."""

EVENTS: Final = 70  # a site and day
GOALS: Final = (Goal(name="seen", page="/b*"),)


def _site(name: str, zone: str, identity: Identity = "daily_hash") -> Site:
    return Site(id=name, domain=f"{name}.example", timezone=zone, identity=identity, goals=GOALS)


SITES: Final = {
    site.id: site
    for site in (
        _site("utc", "UTC"),
        _site("berlin", "Europe/Berlin", "first_party"),
        _site("johns", "America/St_Johns"),
        _site("kathmandu", "Asia/Kathmandu"),
        _site("howe", "Australia/Lord_Howe"),
    )
}
ZONES: Final = (
    *("UTC", "Europe/Berlin", "Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"),
    *("Pacific/Chatham", "Pacific/Apia", "Pacific/Pago_Pago", "Asia/Kolkata", "America/New_York"),
)
METRICS: Final = ("visitors", "pageviews", "visits", "events")
OF_EVENTS: Final = ("visitors", "pageviews", "events", "conversions")


@pytest.fixture(scope="module")
def archive() -> dict[str, pl.DataFrame]:
    """The events of each site as they are archived, those that begin a visit marked."""
    done = cut(frame(sorted(_rows(), key=lambda row: int(row["ts"]))), None, NOW)
    first = pl.int_range(pl.len()).over("site", "visitor", "visit_start") == 0
    events = done.events.with_columns(first.alias("begins"))
    return {"events": events, "ends": done.ends}


def _rows() -> Iterable[Row]:
    rng = random.Random(7)
    for site in SITES.values():
        for day in DAYS:
            start = day_span_ms(day, "UTC")[0] - 6 * HOUR_MS
            for _ in range(EVENTS):
                ts = start + rng.randrange(36 * HOUR_MS)
                known = day_of(ts, site.timezone) if site.identity == "daily_hash" else ""
                person = rng.randrange(12)
                yield event(
                    site=site.id,
                    ts=ts,
                    visitor=random.Random(f"{site.id}{person}{known}").getrandbits(63),
                    country=("DE", "NP", "AU")[person % 3],
                    url=f"https://{site.domain}/{rng.choice('abbc')}",
                    kind=rng.choice(["pageview", "pageview", "event"]),
                    name="play",
                )


@pytest.fixture(scope="module")
def answerer(archive: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    press = Press(tmp_path_factory.mktemp("ranges"), sites=SITES)
    made = fold(archive["events"], archive["ends"], SITES, Interpreter())
    hours = {hour_of(at) for at in made.rows["at"].unique()}
    press.publish({hour: Rollup(_of(hour, made.rows), _of(hour, made.revenue)) for hour in sorted(hours)})
    return Answerer(press.manifests, press.segments, site_slots=press.slots, now_ms=lambda: NOW)


def _of(hour: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("at") - pl.col("at") % HOUR_MS == hour_start_ms(hour))


@st.composite
def spans(draw: st.DrawFn, zone: str) -> Span:
    """Whole days, or times at quarters of an hour, around those with events."""
    first = draw(st.sampled_from(["2026-09-20", "2026-10-01", "2026-10-04", "2026-10-24", "2026-10-31"]))
    last = draw(st.sampled_from([day for day in ("2026-10-04", "2026-10-31", "2026-11-03") if day >= first]))
    whole = Span(first, last)
    if draw(st.booleans()):
        return whole
    start, end = whole.bounds_ms(zone)
    step = draw(st.sampled_from([QUARTER_MS, HOUR_MS]))
    cuts = draw(st.tuples(st.integers(0, 90), st.integers(0, 90)))
    begins, ends = start + cuts[0] * step, end - cuts[1] * step
    return span_of(begins, max(ends, begins + step), zone)


@st.composite
def questions(draw: st.DrawFn, interval: st.SearchStrategy[Interval | None]) -> tuple[Site, Query]:
    site = SITES[draw(st.sampled_from(sorted(SITES)))]
    zone = draw(st.sampled_from(ZONES))
    return site, Query(draw(spans(zone)), METRICS, interval=draw(interval), timezone=zone)


@settings(max_examples=60, deadline=None)
@given(asked=questions(st.none()))
def test_totals(asked: tuple[Site, Query], archive: dict[str, pl.DataFrame], answerer: Answerer) -> None:
    site, query = asked
    assert needs_archive(site, query) is None
    [row] = answerer.answer(site, query).tables[0]
    assert _metrics(row) == counted(archive, site, *query.bounds_ms(site))


@settings(max_examples=40, deadline=None)
@given(asked=questions(st.none()), dimension=st.sampled_from(["country", "page", "goal"]))
def test_values(
    asked: tuple[Site, Query], dimension: str, archive: dict[str, pl.DataFrame], answerer: Answerer
) -> None:
    site, whole = asked
    metrics = METRICS if dimension == "country" else OF_EVENTS[: 4 if dimension == "goal" else 3]
    query = Query(whole.span, metrics, (dimension,), timezone=whole.timezone)
    start, end = query.bounds_ms(site)
    if beyond := needs_archive(site, query):
        assert beyond.field == "timezone"
        assert start % HOUR_MS or end % HOUR_MS
        return
    found = {row[dimension]: _metrics(row, *metrics) for row in answerer.answer(site, query).tables[0]}
    assert found == {
        value: counted(archive, site, start, end, dimension, value, metrics)
        for value in _values(archive, site, dimension)
        if any(counted(archive, site, start, end, dimension, value, metrics).values())
    }
    for value, numbers in found.items():
        only = (Filter(dimension, "equals", (value,)),)
        one = Query(whole.span, metrics, filters=only, timezone=whole.timezone)
        assert _metrics(answerer.answer(site, one).tables[0][0], *metrics) == numbers


@settings(max_examples=60, deadline=None)
@given(asked=questions(st.sampled_from(["hour", "day", "week", "month"])))
def test_series(asked: tuple[Site, Query], archive: dict[str, pl.DataFrame], answerer: Answerer) -> None:
    site, query = asked
    assert query.interval is not None
    zone = query.zone(site)
    rows = answerer.answer(site, query).tables[0]
    start, end = query.bounds_ms(site)
    starts = [row["at"] for row in rows]
    assert starts == sorted({at for at in starts if start <= at < end})
    assert starts[0] == start
    for row, after in zip(rows, [*starts[1:], end], strict=True):
        local = datetime.fromtimestamp(row["at"] / 1000, ZoneInfo(zone))
        assert row["date"] == local.isoformat()[: 16 if query.interval == "hour" else 10]
        assert row["at"] == start or IS_BEGIN[query.interval](local)
        assert 0 < after - row["at"] <= LONGEST_MS[query.interval]
        assert _metrics(row) == counted(archive, site, row["at"], after), (row, zone)


IS_BEGIN: Final[dict[str, Callable[[datetime], bool]]] = {
    "hour": lambda local: local.minute in (0, 30),  # the clock of Lord Howe moves by half an hour
    "day": lambda local: (local.hour, local.minute) == (0, 0),
    "week": lambda local: local.weekday() == 0 and local.hour == 0,
    "month": lambda local: local.day == 1 and local.hour == 0,
}
_HOURS: Final = {"hour": 1, "day": 25, "week": 7 * 24 + 1, "month": 31 * 24 + 1}
LONGEST_MS: Final = {name: hours * HOUR_MS for name, hours in _HOURS.items()}


def counted(
    archive: dict[str, pl.DataFrame],
    site: Site,
    start: int,
    end: int,
    dimension: str | None = None,
    value: str | None = None,
    metrics: Iterable[str] = METRICS,
) -> dict[str, int]:
    """The events of [start, end), one by one."""
    found: defaultdict[str, Any] = defaultdict(int)
    people = set()
    events = archive["events"].filter(
        (pl.col("site") == site.id) & (pl.col("ts") >= start) & (pl.col("ts") < end)
    )
    for one in events.iter_rows(named=True):
        viewed = one["kind"] == "pageview"
        if dimension is not None and value not in _values_of(one, dimension):
            continue
        found["pageviews"] += viewed
        found["events"] += not viewed
        found["visits"] += one["begins"]
        found["conversions"] += viewed
        if viewed or dimension not in ("page", "goal"):
            people.add(one["visitor"])
    found["visitors"] = len(people)
    return {name: found[name] for name in metrics}


def _values_of(one: dict[str, Any], dimension: str) -> list[str]:
    page = "/" + one["url"].rpartition("/")[2]
    if dimension == "country":
        return [one["country"]]
    if dimension == "page":
        return [page]
    return ["seen"] if page == "/b" and one["kind"] == "pageview" else []


def _values(archive: dict[str, pl.DataFrame], site: Site, dimension: str) -> set[str]:
    rows = archive["events"].filter(pl.col("site") == site.id).iter_rows(named=True)
    return {value for one in rows for value in _values_of(one, dimension)}


def _metrics(row: Row, *names: str) -> dict[str, int]:
    return {name: row[name] for name in names or METRICS}
