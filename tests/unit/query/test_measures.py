from __future__ import annotations

import polars as pl
import pytest

from recount.querying.measures import ALL_VISITORS, SUMMED, decimal, fitting, measured, ranked, saying
from recount.querying.query import METRICS, Filter, Order, is_event_scoped


def added(**given: int) -> pl.DataFrame:
    return pl.DataFrame([{"value": "v", ALL_VISITORS: 0} | dict.fromkeys(SUMMED, 0) | given])


def one(metric: str, dimension: str | None = None, **given: int) -> object:
    return measured(added(**given), [metric], dimension)[f"metric:{metric}"][0]


def test_shares_and_means() -> None:
    assert one("bounce_rate", bounces=1, ended_visits=3, visits=9) == 0.3333
    assert one("visit_duration", duration_ms=90_000, ended_visits=2) == 45.0
    assert one("views_per_visit", pageviews=7, visits=2) == 3.5
    assert one("engagement", engaged_ms=9_000, visitors=2) == 4.5
    assert one("scroll", scroll_sum=150, scroll_count=2) == 0.75


@pytest.mark.parametrize(
    "metric", ["bounce_rate", "visit_duration", "views_per_visit", "engagement", "scroll"]
)
def test_nothing_to_divide_by_gives_no_number(metric: str) -> None:
    assert one(metric, bounces=1, duration_ms=5, pageviews=5, engaged_ms=5, scroll_sum=5) is None


def said(*metrics: str, dimension: str = "country", **given: int) -> bool:
    table = measured(added(**given), metrics, dimension)
    return bool(table.select(saying(metrics, dimension)).item())


def test_a_value_of_which_nothing_asked_for_happened_says_nothing() -> None:
    assert not said("visitors", "pageviews", "visits", "events", ended_visits=2, bounces=1)
    assert not said("visitors", "conversion_rate", ended_visits=2, all_visitors=7)
    assert not said("revenue", ended_visits=2)


def test_a_value_says_whatever_was_asked_for() -> None:
    assert said("visitors", "pageviews", pageviews=1)
    assert said("bounce_rate", ended_visits=2)
    assert said("visitors", "visit_duration", ended_visits=1)
    assert said("revenue", accepted=1)
    assert said("visits", dimension="page", accepted=1)


def test_events_of_a_page_have_no_visits() -> None:
    assert is_event_scoped("page")
    assert is_event_scoped("prop:plan")
    assert not is_event_scoped("entry_page")
    assert one("visits", "page", visits=4) is None
    assert one("visits", "entry_page", visits=4) == 4


def test_every_metric_is_measured() -> None:
    frame = measured(added(), METRICS, None)
    assert {f"metric:{name}" for name in METRICS if name != "revenue"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("operator", "values", "kept"),
    [
        ("equals", ["/a", "/b"], ["/a"]),
        ("not", ["/a"], ["/a.b", "/äx\ny", "/A"]),
        ("contains", ["."], ["/a.b"]),
        ("contains", ["b", "A"], ["/a.b", "/A"]),
        ("matches", ["/a*"], ["/a", "/a.b"]),
        ("matches", ["*.*"], ["/a.b"]),
        ("matches", ["/ä*y"], ["/äx\ny"]),
        ("matches", ["/"], []),
        ("matches", ["(*", "[a"], []),
    ],
)
def test_filters(operator: str, values: list[str], kept: list[str]) -> None:
    frame = pl.DataFrame({"value": ["/a", "/a.b", "/äx\ny", "/A"]})
    assert frame.filter(fitting([Filter("page", operator, tuple(values))]))["value"].to_list() == kept  # type: ignore[arg-type]


def test_no_filter_keeps_all_and_two_filters_keep_what_passes_both() -> None:
    frame = pl.DataFrame({"value": ["a", "b", "ab"]})
    assert frame.filter(fitting([])).height == 3
    both = [Filter("page", "contains", ("a",)), Filter("page", "contains", ("b",))]
    assert frame.filter(fitting(both))["value"].to_list() == ["ab"]


def test_largest_first_and_what_is_folded_last() -> None:
    frame = pl.DataFrame({"value": ["b", "(other)", "a", "c"], "metric:visitors": [2, 99, 2, None]})
    assert ranked(frame, [Order("visitors")])["value"].to_list() == ["a", "b", "c", "(other)"]


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.00"),
        (1_500_000, "1.50"),
        (1, "0.000001"),
        (-2_340_000, "-2.34"),
        (10**20, "100000000000000.00"),
    ],
)
def test_amounts_are_exact(micros: int, text: str) -> None:
    assert decimal(micros) == text
