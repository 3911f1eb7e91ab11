"""What was seen lately counts once, and the memory of it is bounded."""

from __future__ import annotations

import polars as pl

from streaming.recent import RecentIds


def events(*ids: str, site: str = "demo") -> pl.DataFrame:
    return pl.DataFrame(
        {"site": [site] * len(ids), "id": list(ids)}, schema={"site": pl.String, "id": pl.String}
    )


def test_an_id_is_fresh_once() -> None:
    recent = RecentIds()
    assert recent.fresh(events("a", "b", "a"))["id"].to_list() == ["a", "b"]
    assert recent.fresh(events("c", "b"))["id"].to_list() == ["c"]
    assert recent.fresh(events("a", "b", "c")).is_empty()
    assert recent.fresh(events()).is_empty()


def test_the_same_id_on_another_site_is_another_event() -> None:
    recent = RecentIds()
    recent.fresh(events("a"))
    assert recent.fresh(events("a", site="other")).height == 1


def test_the_newest_half_is_remembered() -> None:
    recent = RecentIds(remembered_max=100)
    for n in range(0, 1000, 10):
        assert recent.fresh(events(*(str(i) for i in range(n, n + 10)))).height == 10
    assert recent.fresh(events(*(str(i) for i in range(950, 1000)))).is_empty()
    assert recent.fresh(events(*(str(i) for i in range(0, 100)))).height == 100
