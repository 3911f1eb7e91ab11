"""The rules of counting, one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest

from recount.counting import sketch
from recount.counting.fold import REVENUE_SCHEMA, ROLLUP_SCHEMA, Rollup, empty, fold, merge, truncate
from recount.counting.rollup import OTHER, SUMS
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, MINUTE_MS, QUARTER_MS
from recount.store.catalog import Goal, Site
from tests.sequences import FIREFOX, GOOGLEBOT, SAFARI, START, Row, event, frame

SITES = {"demo": Site(id="demo", domain="demo.example", hostnames=("shop.example",))}


def folded(*rows: Row, until: int = 10 * HOUR_MS, site: Site | None = None, **buckets: int) -> Rollup:
    done = cut(frame(rows), None, START + until)
    sites = SITES if site is None else {site.id: site}
    return fold(done.events, done.ends, sites, Interpreter(), **buckets)


def values(rollup: Rollup, dimension: str, metric: str = "accepted") -> dict[str, Any]:
    """Each value of a dimension with a metric, over all buckets; visitors as their number."""
    shown = pl.col("visitors").list.len() if metric == "visitors" else pl.col(metric)
    rows = rollup.rows.filter(pl.col("dimension") == dimension)
    return dict(rows.group_by("value").agg(shown.sum()).rows())


def money(rollup: Rollup, dimension: str) -> set[tuple[str, str, int]]:
    rows = rollup.revenue.filter(pl.col("dimension") == dimension)
    return set(rows.select("value", "currency", "micros").rows())


def engaged(at: int, **given: Any) -> Row:
    return event(at=at, kind="engagement", **given)


def test_nothing_gives_an_empty_rollup() -> None:
    for rollup in (folded(), empty(), merge([])):
        assert (rollup.rows.schema, rollup.revenue.schema) == (
            pl.Schema(ROLLUP_SCHEMA),
            pl.Schema(REVENUE_SCHEMA),
        )
        assert rollup.is_empty


def test_a_frame_with_rows_has_the_same_schema() -> None:
    rollup = folded(event(kind="event", name="buy", revenue_amount="1.5", revenue_currency="EUR"))
    assert (rollup.rows.schema, rollup.revenue.schema) == (
        pl.Schema(ROLLUP_SCHEMA),
        pl.Schema(REVENUE_SCHEMA),
    )


def test_a_visit_over_two_hours_counts_once_and_ends_where_its_silence_runs_out() -> None:
    rows = folded(event(at=50 * MINUTE_MS), event(at=70 * MINUTE_MS)).rows
    total = rows.filter(pl.col("dimension") == "total")
    columns = ("at", "visits", "pageviews", "ended_visits", "bounces", "duration_ms")
    assert [tuple(row) for row in total.select(*columns).rows()] == [
        (START, 1, 1, 0, 0, 0),
        (START + HOUR_MS, 1 - 1, 1, 1, 0, 20 * MINUTE_MS),
    ]


def test_a_silence_that_runs_out_with_the_hour_ends_in_that_hour() -> None:
    total = folded(event(at=30 * MINUTE_MS), until=HOUR_MS).rows.filter(pl.col("dimension") == "total")
    assert total.select("at", "ended_visits", "bounces").rows() == [(START, 1, 1)]


def test_engagement_alone_is_no_visit_and_no_visitor() -> None:
    rollup = folded(engaged(0, engaged_ms=5_000, scroll_percent=40))
    total = rollup.rows.filter(pl.col("dimension") == "total").row(0, named=True)
    assert {name: total[name] for name in ("visitors", "visits", "accepted", "engaged_ms")} == {
        **{"visitors": [], "visits": 0, "accepted": 1, "engaged_ms": 5_000}
    }
    ended = rollup.rows.filter(pl.col("dimension") == "total").select(pl.col("ended_visits", "bounces").sum())
    assert ended.row(0) == (0, 0)


def test_a_visit_that_begins_with_engagement_counts_from_its_first_act() -> None:
    assert values(folded(engaged(0), event(at=1), event(at=2)), "total", "visits") == {"": 1}


def test_a_custom_event_makes_no_bounce() -> None:
    assert values(folded(event(at=0), event(at=1, kind="event", name="x")), "total", "bounces") == {"": 0}


def test_scroll_is_the_deepest_of_a_visit_and_page() -> None:
    rows = [engaged(n * QUARTER_MS, scroll_percent=depth) for n, depth in enumerate((30, 80, 50))]
    rollup = folded(
        event(), *rows, engaged(50 * MINUTE_MS, url="/other", scroll_percent=10), engaged(1, url=None)
    )
    assert values(rollup, "page", "scroll_sum") == {"/": 80, "/other": 10}
    assert values(rollup, "page", "scroll_count") == {"/": 1, "/other": 1}
    for dimension in ("total", "series", "verdict", "country"):
        assert sum(values(rollup, dimension, "scroll_sum").values()) == 90


def test_page_visitors_are_those_who_viewed_it() -> None:
    rollup = folded(
        event(url="/a"), event(at=1, kind="event", name="x", url="/b"), engaged(2, url="/a", engaged_ms=7)
    )
    assert values(rollup, "page", "visitors") == {"/a": 1, "/b": 0}
    assert values(rollup, "page", "events") == {"/a": 0, "/b": 1}
    assert values(rollup, "page", "engaged_ms") == {"/a": 7, "/b": 0}


def test_visit_scoped_dimensions_come_from_the_first_event() -> None:
    rollup = folded(
        event(url="https://demo.example/in?utm_source=news", referrer="https://www.google.com/", ua=SAFARI),
        event(at=1, url="https://demo.example/out?utm_source=late", country="DE", ua=FIREFOX),
    )
    assert values(rollup, "entry_page", "pageviews") == {"/in": 2}
    assert values(rollup, "exit_page", "exits") == {"/out": 1}
    assert values(rollup, "utm_source") == {"news": 2}
    assert list(values(rollup, "browser")) == ["Safari"]
    assert values(rollup, "country") == {"Unknown": 2}
    assert values(rollup, "utm_medium") == {}


@pytest.mark.parametrize(
    "referrer", ["https://demo.example/x", "https://www.demo.example/", "https://shop.example/cart", None]
)
def test_own_referrers_are_none(referrer: str | None) -> None:
    rollup = folded(event(referrer=referrer))
    assert values(rollup, "referrer") == {}
    assert values(rollup, "source") == {"Direct / None": 1}


def test_the_hostnames_of_another_site_are_referrers() -> None:
    rollup = folded(event(site="other", url="https://other.example/", referrer="https://shop.example/cart"))
    assert values(rollup, "referrer") == {"shop.example/cart": 1}


def test_bots_count_under_their_verdict_only() -> None:
    rollup = folded(
        event(), event(visitor=2, ua=GOOGLEBOT, kind="event", name="x"), event(visitor=3, network="hosting")
    )
    verdicts = values(rollup, "verdict")
    assert verdicts["human"] == 1
    assert sum(verdicts.values()) == 3
    for dimension in ("total", "page", "browser", "exit_page"):
        assert sum(values(rollup, dimension).values()) <= 1
    assert values(rollup, "event") == {}


def test_links_and_properties() -> None:
    rollup = folded(
        event(kind="event", name="outbound", props='{"url":"https://x.example/","tab":true}'),
        event(at=1, kind="event", name="download", props='{"url":"/f.zip"}'),
        event(at=2, kind="event", name="play", props='{"url":"not a link","n":3,"deep":{"a":1}}'),
        event(at=3, kind="event", name="play", props="broken"),
        event(at=4, kind="event", name=None),
    )
    assert values(rollup, "event") == {"outbound": 1, "download": 1, "play": 2}
    assert values(rollup, "outbound") == {"https://x.example/": 1}
    assert values(rollup, "download") == {"/f.zip": 1}
    assert {d: values(rollup, d) for d in ("prop:tab", "prop:url", "prop:n", "prop:deep")} == {
        **{"prop:tab": {"true": 1}, "prop:url": {"not a link": 1}, "prop:n": {"3": 1}, "prop:deep": {}}
    }


def test_goals() -> None:
    goals = (
        Goal(name="signed up", event="signup"),
        Goal(name="same", event="signup"),
        Goal(name="docs", page="/docs/*"),
        Goal(name="middle", page="/d*s/b"),
    )
    rollup = folded(
        event(kind="event", name="signup", revenue_amount="2", revenue_currency="EUR"),
        *(event(at=n, url=url) for n, url in enumerate(("/docs/a", "/docs/a", "/docs/b", "/x"), 1)),
        engaged(9, url="/docs/c"),
        site=Site(id="demo", domain="demo.example", goals=goals),
    )
    assert values(rollup, "goal", "visitors") == {"signed up": 1, "same": 1, "docs": 1, "middle": 1}
    assert values(rollup, "goal", "pageviews") == {"signed up": 0, "same": 0, "docs": 3, "middle": 1}
    assert values(rollup, "goal", "events") == {"signed up": 1, "same": 1, "docs": 0, "middle": 0}
    assert money(rollup, "goal") == {("signed up", "EUR", 2_000_000), ("same", "EUR", 2_000_000)}


def test_revenue_is_exact_and_by_currency() -> None:
    amounts = ("0.1", "0.2", "-0.000001", "999999999.999999", "nonsense", None)
    rollup = folded(
        *(
            event(at=n, kind="event", name="buy", props='{"p":"x"}', revenue_amount=a, revenue_currency="EUR")
            for n, a in enumerate(amounts)
        ),
        event(at=9, kind="event", name="buy", revenue_amount="1", revenue_currency="JPY"),
        event(at=10, visitor=2, ua=GOOGLEBOT, kind="event", revenue_amount="5", revenue_currency="EUR"),
    )
    exact = 100_000 + 200_000 - 1 + 999_999_999_999_999
    for dimension, value in {"total": "", "series": "", "event": "buy", "browser": "Firefox"}.items():
        assert money(rollup, dimension) == {(value, "EUR", exact), (value, "JPY", 1_000_000)}
    assert money(rollup, "prop:p") == {("x", "EUR", exact)}
    assert money(rollup, "page") == set()


@pytest.mark.parametrize(
    ("zone", "buckets"),
    [("UTC", 1), ("Asia/Kolkata", 3), ("Asia/Kathmandu", 3), ("Europe/Berlin", 1), ("America/St_Johns", 3)],
)
def test_sites_off_the_full_hour_get_quarters(zone: str, buckets: int) -> None:
    rows = [event(at=n * 20 * MINUTE_MS) for n in range(3)]
    rollup = folded(*rows, until=HOUR_MS, site=Site(id="demo", domain="demo.example", timezone=zone))
    of_page = rollup.rows.filter(pl.col("dimension") == "page")
    assert of_page["pageviews"].sum() == 3
    assert of_page["at"].n_unique() == buckets
    assert rollup.rows.filter(pl.col("dimension") == "series")["at"].n_unique() == 3


def test_live_buckets() -> None:
    rollup = folded(
        event(), event(at=6 * MINUTE_MS), until=7 * MINUTE_MS, series_ms=MINUTE_MS, bucket_ms=5 * MINUTE_MS
    )
    by_dimension = {
        d: rollup.rows.filter(pl.col("dimension") == d)["at"].to_list() for d in ("series", "page")
    }
    assert by_dimension == {"series": [START, START + 6 * MINUTE_MS], "page": [START, START + 5 * MINUTE_MS]}


def test_visitors_beyond_the_exact_limit() -> None:
    rows = [event(visitor=(n * 0x9E3779B97F4A7C15) % 2**64) for n in range(6_000)]
    total = folded(*rows, until=1).rows.filter(pl.col("dimension") == "total")
    assert total["visitors"].list.len().item() == sketch.K
    estimate = total.select(sketch.count(pl.col("visitors"))).item()
    assert abs(estimate - 6_000) < 300


def page_rollup(pages: Iterable[tuple[str, range]], folded_max: int = 0) -> Rollup:
    rows = [
        {"site": "demo", "at": START, "dimension": "page", "value": page, "visitors": list(visitors)}
        | dict.fromkeys(SUMS, 0)
        | {"accepted": len(visitors), "folded_max": folded_max if page == OTHER else 0}
        for page, visitors in pages
    ]
    return Rollup(pl.DataFrame(rows, schema=dict(ROLLUP_SCHEMA)), empty().revenue)


def test_truncation_folds_the_rest_and_keeps_a_bound() -> None:
    rollup = truncate(
        page_rollup([("/a", range(5)), ("/b", range(3, 6)), ("/c", range(2)), ("/d", range(9))]), 2
    )
    kept = rollup.rows.select("value", pl.col("visitors").list.len(), "accepted", "folded_max").rows()
    assert kept == [(OTHER, 5, 5, 3), ("/a", 5, 5, 0), ("/d", 9, 9, 0)]


def test_folding_again_adds_to_the_bound() -> None:
    rollup = truncate(page_rollup([(OTHER, range(4)), ("/a", range(5)), ("/b", range(2))], folded_max=3), 1)
    assert rollup.rows.select("value", "folded_max").rows() == [(OTHER, 5), ("/a", 0)]
    twice = merge([rollup, rollup])
    assert twice.rows["folded_max"].to_list() == [10, 0]


def test_truncation_moves_the_revenue_too_and_spares_totals() -> None:
    rows = [
        event(at=n, kind="event", name=f"e{n}", revenue_amount="1", revenue_currency="EUR") for n in range(4)
    ]
    whole = folded(*rows)
    rollup = truncate(whole, 1)
    assert money(rollup, "event") == {("e0", "EUR", 1_000_000), (OTHER, "EUR", 3_000_000)}
    for dimension in ("total", "series", "verdict"):
        is_same = pl.col("dimension") == dimension
        assert rollup.rows.filter(is_same).equals(whole.rows.filter(is_same))


def test_truncation_changes_nothing_where_there_is_room() -> None:
    whole = folded(event(), event(at=1, url="/b"))
    assert truncate(whole, 2).rows.equals(whole.rows)
