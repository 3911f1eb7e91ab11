"""Batches into the live state: the same numbers however the events are split."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recount.columns import decode, positions
from recount.counting import sketch
from recount.counting.rollup import Rollup, merge
from recount.counting.visits import cut
from recount.erasing.tombstone import Tombstone
from recount.event import encode
from recount.rules import EVERY_SITE, BotRule, Rules
from recount.store.archive import Archive
from recount.store.catalog import NO_COMMON
from streaming.carries import ArchivedCarries
from streaming.places import partitions_of, places_of
from tests.made import TS
from tests.unit.streaming.stage import CHROME, PARTITIONS, SITES, Stage, seen

MINUTE = 60_000


def whole(stage: Stage, site: str = "demo") -> Rollup:
    return stage.state.of_site(site, places_of(site, range(PARTITIONS)), 0)


def total(stage: Stage, site: str = "demo") -> dict[str, int]:
    rows = merge([whole(stage, site)], regroup=pl.lit(0)).rows.filter(dimension="total")
    names = ("visits", "pageviews", "ended_visits", "bounces", "accepted", "duration_ms")
    visitors = rows.select(sketch.count(pl.col("visitors")).sum()).item()
    return {"visitors": visitors, **{n: int(rows[n].sum()) for n in names}}


def test_visits_go_on_from_batch_to_batch(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.given(seen(0, 1), seen(0, 2))
    stage.given(seen(10, 1))
    stage.given(seen(20, 1))
    stage.pipeline.sweep(TS + 30 * MINUTE)
    assert total(stage) == {
        **{"visitors": 2, "visits": 2, "pageviews": 4, "accepted": 4},
        **{"ended_visits": 1, "bounces": 1, "duration_ms": 0},
    }
    stage.pipeline.sweep(TS + 50 * MINUTE)
    assert total(stage)["ended_visits"] == 2
    assert total(stage)["duration_ms"] == 20 * MINUTE
    assert stage.pipeline.open_visits == 0


def test_an_event_delivered_twice_counts_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.given(seen(1), seen(1)) == 1
    assert stage.given(seen(1)) == 0
    assert total(stage)["pageviews"] == 1


def test_what_was_erased_is_not_counted(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.pipeline.erasures == frozenset()
    stage.buried.append(
        Tombstone(id="t", site="demo", what="visitor", visitor=1, before_ms=TS + 5 * MINUTE, expires_ms=2**50)
    )
    assert stage.given(seen(1, 1), seen(1, 2), seen(6, 1)) == 2
    assert total(stage)["pageviews"] == 2
    assert stage.pipeline.erasures == {("t", False)}


def test_what_the_live_state_does_not_show_is_left_out(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.given(seen(-61), seen(-59)) == 1


def test_a_site_too_new_for_the_copy_of_the_catalog_counts(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.given(seen(1, site="new"))
    assert total(stage, "new")["visitors"] == 1


def test_poison_is_counted_and_harmless(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    taken = stage.pipeline.take([b"bad", encode(seen(1))], positions("events", 0, [0, 1]), 0, 0)
    assert (taken.events, taken.poison) == (1, 1)


def test_robots_do_not_count(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.given(seen(1, 1), seen(1, 2, ua="Googlebot/2.1 (+http://www.google.com/bot.html)"))
    assert total(stage)["visitors"] == 1


def test_a_partition_that_is_taken_away_takes_its_numbers_along(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.given(*(seen(1, n, site="wide") for n in range(9)), seen(1, 1))
    first, *_ = sorted(partitions_of(SITES["wide"], PARTITIONS))
    stage.pipeline.drop([first])
    assert total(stage, "wide")["visitors"] == 6
    stage.given(*(seen(1, n, site="wide") for n in range(9)))
    assert total(stage, "wide")["visitors"] == 9


def test_the_open_visits_of_the_archive_are_those_of_the_partitions(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    events = [seen(-5, n, site=s) for n in range(6) for s in ("wide", "demo")]
    frame = decode([encode(e) for e in events], positions("events", 0, range(len(events)))).events
    carries = ArchivedCarries(Archive(str(tmp_path)), stage.sites, PARTITIONS)
    carry = cut(frame, None, TS).carry
    found = [carries.placed(carry, [p]) for p in range(PARTITIONS)]
    assert sum(f.height for f in found) == 12
    assert carries.at(TS, range(PARTITIONS)).is_empty()
    stage.pipeline.start_from(carries.placed(carry, range(PARTITIONS)))
    stage.given(seen(1, 0, site="wide"), seen(1, 0))
    assert total(stage, "wide")["visits"] == 0
    assert total(stage)["visits"] == 0


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 170), st.integers(1, 3), st.sampled_from(["demo", "wide"])),
        min_size=1,
        max_size=20,
    ),
    st.lists(st.integers(1, 19), max_size=3),
)
def test_any_split_gives_the_same_numbers(
    tmp_path: Path, events: list[tuple[int, int, str]], cuts: list[int]
) -> None:
    made = [seen(m, v, s, id=f"{m}-{v}-{s}", ua=CHROME) for m, v, s in sorted(set(events))]
    one, many = Stage(tmp_path), Stage(tmp_path)
    one.given(*made)
    bounds = sorted({0, len(made), *(c for c in cuts if c < len(made))})
    for first, following in pairwise(bounds):
        many.given(*made[first:following], until_ms=made[first].ts)
        many.state.compact(0)
    for stage in (one, many):
        stage.pipeline.sweep(TS + 300 * MINUTE)
    for site in SITES:
        assert whole(one, site).rows.equals(whole(many, site).rows)


def test_what_holds_on_all_sites_counts_live_too_also_on_one_that_the_catalog_lacks(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    probe = BotRule(counts_as="bot", by="user_agent", pattern="*AcmeProbe*")
    stage.catalog[EVERY_SITE] = NO_COMMON.ruled(Rules(bots=(probe,)), 2)
    for site in ("demo", "too-new"):
        stage.given(seen(0, 1, site=site, ua="Mozilla/5.0 AcmeProbe/1.0"), seen(1, 2, site=site))
        assert total(stage, site)["pageviews"] == 1
    assert stage.sites.get(EVERY_SITE) is None, "it is no site"
