from __future__ import annotations

import polars as pl
import pytest

from recount.counting.counted import Counted, concat, truncated, with_counts
from recount.counting.rebuild import HOURS, day_rollup, days_of_hour, hours_of_day, month_rollup
from recount.counting.rollup import KEYS, OTHER, ROLLUP_SCHEMA, Rollup, merge
from recount.periods import HOUR_MS, QUARTER_MS, day_span_ms, hour_start_ms, hours_between
from tests.rollups import hour_rollup, rollup, row

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-11-22", "UTC", 24),
        ("2026-10-25", BERLIN, 25),
        ("2026-03-29", BERLIN, 23),
        ("2026-11-22", "Asia/Kolkata", 25),  # half of the first, half of the last
    ],
)
def test_hours_of_a_day(day: str, zone: str, hours: int) -> None:
    found = hours_of_day(day, zone)
    assert len(found) == hours
    assert all(day in days_of_hour(hour, zone) for hour in found)


def test_an_hour_lies_in_two_days_of_a_zone_off_the_full_hour() -> None:
    assert days_of_hour("2026-11-22T18", "Asia/Kolkata") == ["2026-11-22", "2026-11-23"]
    assert days_of_hour("2026-11-22T18", BERLIN) == ["2026-11-22"]


def test_sites_of_several_zones_get_their_own_day() -> None:
    start = hour_start_ms("2026-11-21T00")
    hours = [hour_rollup(h, ["a", "b"]) for h in hours_between(start, start + 72 * HOUR_MS)]
    zones = {"a": "UTC", "b": "Pacific/Auckland"}
    whole = day_rollup(merge(hours), "2026-11-22", zones)
    for site, zone in zones.items():
        first, after = day_span_ms("2026-11-22", zone)
        rows = whole.rows.filter(pl.col("site") == site)
        assert rows.filter(pl.col("dimension") == "total")["pageviews"].to_list() == [6 * 24]
        assert set(rows.filter(~pl.col("dimension").is_in(["series", HOURS]))["at"]) == {first}
        for name, step in (("series", QUARTER_MS), (HOURS, HOUR_MS)):
            inside = rows.filter(pl.col("dimension") == name)
            assert inside["pageviews"].sum() == 6 * 24
            assert set(inside["at"]) <= set(range(first, after, step))


def test_a_day_made_again_from_itself_and_a_rest() -> None:
    """The running day: what is published of it, and live rows on top."""
    hours = [hour_rollup(h, ["a"]) for h in ("2026-11-22T01", "2026-11-22T02", "2026-11-22T03")]
    zones = {"a": "UTC"}
    until_two = day_rollup(merge(hours[:2]), "2026-11-22", zones)
    whole = day_rollup(merge([until_two, hours[2]]), "2026-11-22", zones)
    assert whole.rows.equals(day_rollup(merge(hours), "2026-11-22", zones).rows)
    assert whole.revenue.equals(day_rollup(merge(hours), "2026-11-22", zones).revenue)


def test_a_day_cut_short() -> None:
    hours = [hour_rollup(h, ["a"]) for h in ("2026-11-22T01", "2026-11-22T02", "2026-11-22T03")]
    cut = day_rollup(merge(hours), "2026-11-22", {"a": "UTC"}, hour_start_ms("2026-11-22T03"))
    assert cut.rows.equals(day_rollup(merge(hours[:2]), "2026-11-22", {"a": "UTC"}).rows)


def days_of(site: str, zone: str, *, sets: bool) -> Counted:
    parts = []
    for day in ("2026-10-30", "2026-10-31"):
        first, after = day_span_ms(day, zone)
        hours = [hour_rollup(h, [site]) for h in hours_between(first, after)]
        made = with_counts(day_rollup(merge(hours), day, {site: zone}))
        nothing = pl.lit(None, ROLLUP_SCHEMA["visitors"]).alias("visitors")
        parts.append(made if sets else Counted(made.rows.with_columns(nothing), made.revenue))
    return concat(parts)


def test_a_month_has_its_days_inside_and_adds_up_or_unites() -> None:
    zones = {"sum": "UTC", "union": BERLIN}
    days = concat([days_of("sum", "UTC", sets=False), days_of("union", BERLIN, sets=True)])
    month = month_rollup(days, "2026-10", zones)
    for site, zone in zones.items():
        of_site, of_days = (part.rows.filter(pl.col("site") == site) for part in (month, days))
        [total] = of_site.filter(pl.col("dimension") == "total").to_dicts()
        daily = of_days.filter(pl.col("dimension") == "total")
        assert total["pageviews"] == daily["pageviews"].sum()
        assert total["at"] == day_span_ms("2026-10-01", zone)[0]
        united = daily["visitors"].explode().drop_nulls().n_unique()
        assert total["visitor_count"] == (daily["visitor_count"].sum() if site == "sum" else united)
        series = of_site.filter(pl.col("dimension") == "series")
        assert series["at"].to_list() == [day_span_ms(d, zone)[0] for d in ("2026-10-30", "2026-10-31")]
        assert series["pageviews"].to_list() == daily["pageviews"].to_list()
        assert HOURS not in of_site["dimension"].to_list()
    micros = pl.col("micros").sum()
    by = ["site", "dimension"]
    wanted = (
        days.revenue.filter(~pl.col("dimension").is_in(["series", HOURS])).group_by(by).agg(micros).sort(by)
    )
    found = month.revenue.filter(pl.col("dimension") != "series").group_by(by).agg(micros).sort(by)
    assert found.equals(wanted)
    assert month.revenue.join(month.rows, on=KEYS, how="anti").is_empty()


def test_the_rest_keeps_sums_and_a_bound() -> None:
    rows = [row("s", 0, "page", f"/{n}", range(n), pageviews=10 * n, accepted=n) for n in range(1, 6)]
    whole = with_counts(rollup(rows, [{**{k: rows[0][k] for k in KEYS}, "currency": "EUR", "micros": 5}]))
    numbers = Counted(
        whole.rows.with_columns(visitors=pl.lit(None, ROLLUP_SCHEMA["visitors"])), whole.revenue
    )
    for given, visitors in ((whole, 3), (numbers, 1 + 2 + 3)):
        kept = truncated(given, 2)
        other = kept.rows.row(by_predicate=pl.col("value") == OTHER, named=True)
        assert kept.rows["value"].to_list() == [OTHER, "/4", "/5"]
        assert (other["pageviews"], other["visitor_count"], other["folded_max"]) == (60, visitors, 3)
        assert kept.revenue["value"].to_list() == [OTHER]
    assert truncated(whole, 5).rows.equals(whole.rows)
    both = truncated(
        concat([whole, Counted(numbers.rows.with_columns(site=pl.lit("t")), numbers.revenue.clear())]), 2
    )
    assert both.rows.height == 6


def test_totals_are_never_folded() -> None:
    rows = [row("s", n * QUARTER_MS, "series", "", [n], pageviews=1) for n in range(20)]
    assert truncated(with_counts(rollup(rows)), 1).rows.height == 20
    assert isinstance(rollup(rows), Rollup)
