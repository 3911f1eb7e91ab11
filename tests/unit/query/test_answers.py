from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recount.counting.rollup import Rollup, empty, merge
from recount.errors import InvalidInput
from recount.periods import HOUR_MS, day_of, day_span_ms, hour_start_ms, hours_between
from recount.querying.answers import Answerer
from recount.querying.live_source import LiveHours, LiveSource
from recount.querying.measures import Row
from recount.querying.query import Filter, Query, Span
from tests.publishing import SITES, SLOTS, Press, of_dimension
from tests.rollups import hour_rollup, rollup, row

LAST = "2026-11-02T11"  # the newest closed hour
NOW = hour_start_ms(LAST) + HOUR_MS + 20 * 60_000
HOURS = [
    *hours_between(hour_start_ms("2026-10-14T22"), hour_start_ms("2026-10-15T02")),
    *hours_between(hour_start_ms("2026-11-01T06"), hour_start_ms(LAST) + 1),
]
WHOLE = Span("2026-10-01", "2026-11-03")
TODAY = Span("2026-11-02", "2026-11-02")


def of(hour: str, *sites: str, seed: int = 0) -> Rollup:
    return merge(
        [hour_rollup(hour, [s], seed, bucket_ms=900_000 if s == "kolkata" else 0) for s in sites or SITES]
    )


MADE = {hour: of(hour) for hour in HOURS}


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Press:
    press = Press(tmp_path_factory.mktemp("answers"))
    press.publish(MADE)
    return press


class Live:
    """Knows the hours it is given, from their beginning."""

    def __init__(self, made: dict[str, Rollup], as_of_ms: int = NOW) -> None:
        self.made, self.as_of_ms, self.asked = made, as_of_ms, list[str]()

    def hours(self, site: str, hours: Sequence[str]) -> LiveHours | None:
        self.asked += hours
        known = [hour for hour in hours if hour in self.made]
        return LiveHours(merge([self.made[h].of_site(site) for h in known]), frozenset(known), self.as_of_ms)


class Away:
    def hours(self, site: str, hours: Sequence[str]) -> LiveHours | None:
        return None


def answerer(press: Press, live: LiveSource | None = None, now: int = NOW) -> Answerer:
    return Answerer(
        press.manifests, press.segments, site_slots=SLOTS, live=live, root_kept_s=0, now_ms=lambda: now
    )


def rows(press: Press, site: str, query: Query, live: LiveSource | None = None) -> list[Row]:
    return answerer(press, live).answer(SITES[site], query).tables[0]


def days_of(site: str, made: dict[str, Rollup]) -> dict[str, Rollup]:
    """The same numbers counted another way: by local day, straight from the rows of the hours."""
    zone = SITES[site].timezone
    found: dict[str, list[dict[str, Any]]] = {}
    for rollup_of_hour in made.values():
        for one in rollup_of_hour.of_site(site).rows.iter_rows(named=True):
            found.setdefault(day_of(one["at"], zone), []).append(one)
    return {
        day: merge(
            [rollup(ones)], regroup=pl.when(pl.col("dimension") != "series").then(0).otherwise(pl.col("at"))
        )
        for day, ones in found.items()
    }


def visitors(days: dict[str, Rollup], site: str, dimension: str = "total") -> int:
    counts = (of_dimension([day], site, dimension)["visitors"].list.len().sum() for day in days.values())
    return sum(map(int, counts))


@pytest.mark.parametrize("site", ["utc", "kolkata", "auckland"])
def test_totals_are_the_sum_of_days(press: Press, site: str) -> None:
    days = days_of(site, MADE)
    [total] = rows(press, site, Query(WHOLE, ("pageviews", "visitors", "visits")))
    assert total["pageviews"] == 6 * len(HOURS)
    assert total["visitors"] == visitors(days, site)
    assert total["origin"] == "published"


def test_first_party_visitors_are_counted_once_over_all_days(press: Press) -> None:
    known = of_dimension(list(MADE.values()), "berlin")["visitors"].explode().n_unique()
    answers = answerer(press).answer(SITES["berlin"], Query(WHOLE, ("visitors", "pageviews")))
    assert answers.tables[0][0]["visitors"] == known
    assert not [note for note in answers.notes if "sum of daily" in note]


@pytest.mark.parametrize("site", sorted(SITES))
def test_values_of_a_dimension(press: Press, site: str) -> None:
    query = Query(WHOLE, ("pageviews", "revenue"), ("page",))
    found = {row["page"]: row for row in rows(press, site, query)}
    made = of_dimension(list(MADE.values()), site, "page").group_by("value").agg(pl.col("pageviews").sum())
    assert {value: row["pageviews"] for value, row in found.items()} == dict(made.iter_rows())
    revenue = pl.concat([one.revenue for one in MADE.values()]).filter(
        (pl.col("site") == site) & (pl.col("dimension") == "page")
    )
    micros = sum(round(float(row["revenue"].get("EUR", 0)) * 1e6) for row in found.values())
    assert micros == revenue["micros"].sum()


def test_largest_first_filtered_and_limited(press: Press) -> None:
    everything = rows(press, "utc", Query(WHOLE, ("pageviews",), ("page",)))
    assert [r["pageviews"] for r in everything] == sorted((r["pageviews"] for r in everything), reverse=True)
    query = Query(WHOLE, ("pageviews",), ("page",), filters=(Filter("page", "contains", ("a",)),), limit=1)
    kept = [row for row in everything if "a" in row["page"]]
    assert rows(press, "utc", query) == kept[:1]


def test_by_revenue(press: Press) -> None:
    found = rows(press, "utc", Query(WHOLE, ("revenue",), ("page",)))
    amounts = [float(row["revenue"]["EUR"]) for row in found]
    assert amounts == sorted(amounts, reverse=True)


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_series_of_days_has_every_day_until_now(press: Press, site: str) -> None:
    found = rows(press, site, Query(WHOLE, ("pageviews", "visitors"), interval="day"))
    zone = SITES[site].timezone
    today = day_of(NOW, zone)
    assert [row["date"] for row in found] == [day for day in WHOLE.days if day <= today]
    assert [row["at"] for row in found] == [day_span_ms(row["date"], zone)[0] for row in found]
    days = days_of(site, MADE)
    for row_of_day in found:
        whole = days.get(row_of_day["date"], empty())
        assert row_of_day["pageviews"] == of_dimension([whole], site)["pageviews"].sum()
        assert row_of_day["visitors"] == visitors({"": whole}, site)


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_series_of_hours_is_local(press: Press, site: str) -> None:
    found = rows(press, site, Query(TODAY, ("pageviews",), interval="hour"))
    start, end = TODAY.bounds_ms(SITES[site].timezone)
    assert [row["at"] for row in found] == list(range(start, min(end, NOW + 1), HOUR_MS))
    made = of_dimension(list(MADE.values()), site, "series")
    for hour in found:
        inside = made.filter((pl.col("at") >= hour["at"]) & (pl.col("at") < hour["at"] + HOUR_MS))
        assert hour["pageviews"] == inside["pageviews"].sum()


@pytest.mark.parametrize("site", sorted(SITES))
def test_hours_not_published_come_from_the_live_service(press: Press, site: str) -> None:
    running = of("2026-11-02T12", seed=7)
    live = Live({"2026-11-02T12": running})
    today = day_of(NOW, SITES[site].timezone)
    span = Span(today, today)
    answers = answerer(press, live).answer_many(
        SITES[site], [Query(span, ("pageviews", "visitors")), Query(span, ("pageviews",), interval="hour")]
    )
    day = days_of(site, MADE | {"2026-11-02T12": running})[today]
    assert live.asked == ["2026-11-02T12"]
    assert answers.tables[0][0] == {
        "pageviews": of_dimension([day], site)["pageviews"].sum(),
        "visitors": visitors({"": day}, site),
        "origin": "mixed",
    }
    origins = {row["at"]: row["origin"] for row in answers.tables[1]}
    noon = hour_start_ms("2026-11-02T12")
    assert {origin for at, origin in origins.items() if at + HOUR_MS <= noon} <= {"published"}
    assert {origin for at, origin in origins.items() if at + HOUR_MS > noon} <= {"live", "mixed"}
    assert {origin for at, origin in origins.items() if at >= noon} <= {"live"}
    assert answers.live_as_of_ms == NOW
    assert answers.published_until_ms == hour_start_ms("2026-11-02T12")


def test_a_range_in_the_past_never_asks_the_live_service(press: Press) -> None:
    live = Live({})
    answers = answerer(press, live).answer(SITES["utc"], Query(Span("2026-10-01", "2026-10-31")))
    assert live.asked == []
    assert answers.live_as_of_ms is None


@pytest.mark.parametrize("live", [None, Away()])
def test_without_the_live_service_an_answer_ends_where_it_is_published(
    press: Press, live: LiveSource | None
) -> None:
    answers = answerer(press, live).answer(SITES["utc"], Query(TODAY, ("pageviews",)))
    assert answers.tables[0][0] == {"pageviews": 6 * 12, "origin": "published"}
    assert any("live service does not answer" in note for note in answers.notes)


def test_an_open_hour_gives_way_to_the_live_service(tmp_path: Path) -> None:
    press = Press(tmp_path)
    press.publish({hour: of(hour, "utc") for hour in HOURS[-3:]})
    running = "2026-11-02T12"
    until = hour_start_ms(running) + 10 * 60_000
    press.publisher.publish([press.candidate(running, of(running, "utc"), open_until=until)], "open")
    query = Query(TODAY, ("pageviews", "visitors"))
    alone = answerer(press, None).answer(SITES["utc"], query)
    assert alone.tables[0][0]["pageviews"] == 24
    assert alone.published_until_ms == until
    assert any("before its end" in note for note in alone.notes)
    newer = merge([of(running, "utc"), of(running, "utc", seed=3)])
    with_live = answerer(press, Live({running: newer})).answer(SITES["utc"], query)
    assert with_live.tables[0][0]["pageviews"] == 30
    assert with_live.tables[0][0]["origin"] == "mixed"
    closed = {hour: of(hour, "utc") for hour in HOURS[-3:]}
    assert with_live.tables[0][0]["visitors"] == visitors(days_of("utc", closed | {running: newer}), "utc")


def test_live_hours_that_it_does_not_know_whole_are_left_to_what_is_published(press: Press) -> None:
    answers = answerer(press, Live({})).answer(SITES["utc"], Query(TODAY, ("pageviews",)))
    assert answers.tables[0][0] == {"pageviews": 6 * 12, "origin": "published"}


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_day_cut_short(press: Press, site: str) -> None:
    until = hour_start_ms("2026-11-01T10")
    query = Query(Span("2026-11-01", "2026-11-01", until), ("pageviews", "visitors"))
    zone = SITES[site].timezone
    before = {hour: made for hour, made in MADE.items() if hour_start_ms(hour) < until}
    day = days_of(site, before).get("2026-11-01", empty())
    assert day_of(until, zone) == "2026-11-01"
    [total] = rows(press, site, query)
    assert total["pageviews"] == of_dimension([day], site)["pageviews"].sum()
    assert total["visitors"] == visitors({"": day}, site)


def test_all_queries_of_a_page_see_one_root(press: Press) -> None:
    page = Query(WHOLE, ("pageviews",), ("page",))
    total = Query(WHOLE, ("pageviews",))
    answers = answerer(press).answer_many(SITES["utc"], [total, page, total])
    assert answers.tables[0] == answers.tables[2]
    assert sum(row["pageviews"] for row in answers.tables[1]) == answers.tables[0][0]["pageviews"]


def test_a_publication_that_did_not_touch_the_site_keeps_its_version(tmp_path: Path) -> None:
    press = Press(tmp_path, slots=1)
    ask = Answerer(press.manifests, press.segments, site_slots=1, root_kept_s=0, now_ms=lambda: NOW)
    query = Query(Span("2026-10-01", "2026-10-31"))
    press.publish({HOURS[0]: of(HOURS[0], "utc", "auckland")})
    first = {site: ask.answer(SITES[site], query).version for site in ("utc", "auckland")}
    assert first["utc"] != first["auckland"]
    press.publish({HOURS[1]: of(HOURS[1], "auckland")})
    second = {site: ask.answer(SITES[site], query).version for site in ("utc", "auckland")}
    assert second["utc"] == first["utc"]
    assert second["auckland"] != first["auckland"]
    assert ask.answer(SITES["utc"], Query(query.span, ("visits",), ("page",))).version == first["utc"]
    assert ask.answer(SITES["utc"], Query(Span("2026-10-30", "2026-10-31"))).version != first["utc"]


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_stamp_has_the_version_of_the_answer(press: Press, site: str) -> None:
    ask = answerer(press)
    for query in (
        Query(WHOLE),
        Query(WHOLE, interval="hour"),
        Query(WHOLE, dimensions=("page",)),
        Query(Span("2026-11-01", "2026-11-01", hour_start_ms("2026-11-01T10"))),
    ):
        made = ask.answer(SITES[site], query)
        stamp = ask.stamp(SITES[site], [query])
        assert (stamp.version, stamp.published_until_ms) == (made.version, made.published_until_ms)


def test_values_that_were_folded_are_announced(tmp_path: Path) -> None:
    press = Press(tmp_path, top_values=2)
    press.publish({hour: of(hour, "utc") for hour in HOURS[-6:]})
    answers = answerer(press).answer(SITES["utc"], Query(TODAY, ("visitors",), ("page",)))
    assert answers.tables[0][-1]["page"] == "(other)"
    assert any("counted in (other)" in note for note in answers.notes)


def test_nothing_published_is_an_answer(tmp_path: Path) -> None:
    press = Press(tmp_path)
    queries = [
        Query(WHOLE, ("visitors", "bounce_rate", "revenue")),
        Query(WHOLE, ("visitors",), ("page",)),
        Query(TODAY, ("visitors",), interval="hour"),
    ]
    answers = answerer(press).answer_many(SITES["utc"], queries)
    assert answers.tables[0] == [{"visitors": 0, "bounce_rate": None, "revenue": {}, "origin": "published"}]
    assert answers.tables[1] == []
    assert {row["visitors"] for row in answers.tables[2]} == {0}
    assert answers.published_until_ms is None
    assert answerer(press).extent(SITES["utc"]) is None


def test_only_live(tmp_path: Path) -> None:
    live = Live({"2026-11-02T12": of("2026-11-02T12")})
    answers = answerer(Press(tmp_path), live).answer(SITES["utc"], Query(TODAY, ("pageviews",), ("page",)))
    assert {row["origin"] for row in answers.tables[0]} == {"live"}
    assert sum(row["pageviews"] for row in answers.tables[0]) == 6


def test_the_extent_of_a_site(press: Press) -> None:
    assert answerer(press).extent(SITES["utc"]) == ("2026-10-14", "2026-11-02")
    assert answerer(press).extent(SITES["auckland"]) == ("2026-10-15", "2026-11-03")


def test_estimates_are_announced(tmp_path: Path) -> None:
    press = Press(tmp_path)
    many = [n * 2**50 for n in range(4097)]
    hour = HOURS[-1]
    at = hour_start_ms(hour)
    press.publish({hour: rollup([row("utc", at, "total", "", many, pageviews=1, accepted=1)])})
    answers = answerer(press).answer(SITES["utc"], Query(TODAY, ("visitors",)))
    assert answers.tables[0][0]["visitors"] > 4096
    assert any("estimates" in note for note in answers.notes)


@pytest.mark.parametrize(("site", "dimension"), [("utc", "page"), ("auckland", "page")])
def test_the_total_of_one_value_is_its_row(press: Press, site: str, dimension: str) -> None:
    metrics = ("visitors", "pageviews", "revenue")
    for one in rows(press, site, Query(WHOLE, metrics, (dimension,))):
        value = one.pop(dimension)
        only = (Filter(dimension, "equals", (value,)),)
        assert rows(press, site, Query(WHOLE, metrics, filters=only)) == [one]
    nobody = Query(WHOLE, ("visitors",), filters=(Filter(dimension, "equals", ("/nobody",)),))
    assert rows(press, site, nobody) == [{"visitors": 0, "origin": "published"}]


def test_what_the_rollups_do_not_know_is_refused(press: Press) -> None:
    query = Query(WHOLE, ("pageviews",), ("page", "country"))
    with pytest.raises(InvalidInput) as caught:
        answerer(press).answer(SITES["utc"], query)
    assert caught.value.field == "dimensions"
