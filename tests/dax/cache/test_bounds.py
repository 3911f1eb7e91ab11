"""What the caches hold at most, and for how long."""

from __future__ import annotations

from typing import Any

from tests.dax.cache.places import Clock, Own, Place


def test_the_least_recently_used_goes_first(direct: Any, table: str, own_node: Own) -> None:
    own = own_node(memory_max_bytes=2 * 10 * 11_000)
    with own.client() as client:
        places = [Place(direct, table, client) for _ in range(12)]
        for one in places[:8]:
            one.put("x" * 10_000)
        places[0].get()
        for one in places[8:]:
            one.put("x" * 10_000)
        assert own.server.node.items.counts.evicted > 0
        assert own.server.node.items.size_bytes <= 10 * 11_000
        before = own.calls("GetItem")
        places[0].get()
        assert own.calls("GetItem") == before
        places[1].get()
        assert own.calls("GetItem") == before + 1


def test_what_does_not_fit_is_not_kept(direct: Any, table: str, own_node: Own) -> None:
    own = own_node(memory_max_bytes=20_000)
    with own.client() as client:
        large = Place(direct, table, client)
        large.put("x" * 50_000)
        assert [large.get(), large.get()] == ["x" * 50_000] * 2
    assert own.calls("GetItem") == 2


def test_time_limits_of_zero(direct: Any, table: str, own_node: Own, clock: Clock) -> None:
    own = own_node(clock, item_ttl_s=0.0, query_ttl_s=0.0, absent_ttl_s=0.0)
    with own.client() as client:
        place = Place(direct, table, client)
        assert [place.get(), place.get()] == [None, None]
        place.put("a")
        clock.now += 10**9
        assert place.get() == "a"
        assert own.calls("GetItem") == 2
        assert [place.query(), place.query()] == [["a"], ["a"]]
        assert own.calls("Query") == 2
