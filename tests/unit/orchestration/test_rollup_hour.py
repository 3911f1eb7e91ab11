"""Hours folded together, by ranges of sites, by slots or in threads come out as hours folded alone."""

from __future__ import annotations

import pytest
from polars.testing import assert_frame_equal

from orchestration.steps import rollup_hour
from orchestration.steps.archive_range import archive_range
from orchestration.steps.rollup_hour import Task, fold_hours, tasks_of
from recount.counting.rollup import Rollup, merge
from recount.event import Revenue
from recount.ledger import unbalanced
from recount.periods import HOUR_MS, MINUTE_MS
from recount.store.archive import ArchiveInfo, SlotInfo
from recount.store.objects import SiteRange
from tests.unit.orchestration.world import START, World, hour


def archived(world: World) -> list[ArchiveInfo]:
    """Visits over the hour, revenue, scroll, a visit that ends exactly at the hour's end, two sites."""
    values = []
    for n in range(160):
        ts, visitor = n * 90_000, n % 23
        url = f"https://demo.example/p{n % 11}"
        given = {"url": url, "site": "demo" if n % 3 else "other"}
        values.append(world.event(ts, visitor=visitor, **given))
        if n % 5 == 0:
            revenue = Revenue("12.30", "EUR")
            values.append(
                world.event(ts + 7, visitor=visitor, kind="event", name="buy", revenue=revenue, **given)
            )
        if n % 4 == 0:
            engagement = {"kind": "engagement", "scroll_percent": n % 100, "engaged_ms": 4_000 + n}
            values.append(world.event(ts + 9, visitor=visitor, **engagement, **given))
    values.append(world.event(30 * MINUTE_MS, visitor=999))
    world.deliver(values)
    found = archive_range(world.place, [hour(n) for n in range(5)], "run")
    return [a.info for a in found.hours.values()]


def folded(world: World, infos: list[ArchiveInfo], workers: int = 1) -> list[Rollup]:
    place = world.place
    found = fold_hours(infos, place.settings.archive_root, place.catalog.sites(), workers=workers)
    pairs = list(found)
    assert [info.hour for info, _ in pairs] == [info.hour for info in infos]
    return [rollup for _, rollup in pairs]


def assert_same(ones: list[Rollup], others: list[Rollup]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert_frame_equal(one.rows, other.rows)
        assert_frame_equal(one.revenue, other.revenue)


def test_many_hours_at_once_give_the_same_as_one_by_one(world: World) -> None:
    infos = archived(world)
    together = folded(world, infos)
    alone = [rollup for info in infos for rollup in folded(world, [info])]
    assert_same(together, alone)
    every = merge(together)
    assert every.rows.filter(dimension="total")["accepted"].sum() == sum(info.events for info in infos)


@pytest.mark.parametrize("site_max", [10, 1_000])
def test_sites_and_slots_apart_and_in_threads_give_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, site_max: int
) -> None:
    infos = archived(world)
    whole = folded(world, infos)
    monkeypatch.setattr(rollup_hour, "SHARED_MAX_EVENTS", 50)
    monkeypatch.setattr(rollup_hour, "PORTION_EVENTS", 10)
    monkeypatch.setattr(rollup_hour, "SITE_MAX_EVENTS", site_max)
    assert len(tasks_of(infos)) > len(infos)
    assert_same(folded(world, infos), whole)
    assert_same(folded(world, infos, workers=3), whole)


def info(n: int, **sites: int) -> ArchiveInfo:
    """An hour whose sites have so many events in each of two slots."""
    slots = {
        slot: SlotInfo(
            slot=slot, events=sum(sites.values()), ends=0, carry=0, data_bytes=0, carry_digest="", sites=sites
        )
        for slot in range(2)
    }
    return ArchiveInfo(hour=hour(n), generation=f"g{n}", made_ms=0, cut={}, slots=slots)


def test_small_hours_share_a_task_and_large_ones_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_hour, "SHARED_MAX_EVENTS", 100)
    monkeypatch.setattr(rollup_hour, "PORTION_EVENTS", 100)
    monkeypatch.setattr(rollup_hour, "SITE_MAX_EVENTS", 200)
    infos = [info(0, a=30), info(1, a=20), info(2, a=1), info(3, a=20, b=20, c=20, d=101, e=1), info(4)]
    names = [(i.hour, i.generation) for i in infos]
    assert tasks_of(infos) == [
        Task((names[0], names[1])),
        Task((names[2],)),
        Task((names[3],), SiteRange("", "c")),
        Task((names[3],), SiteRange("c", "d")),
        Task((names[3],), SiteRange("d", "e"), 0),
        Task((names[3],), SiteRange("d", "e"), 1),
        Task((names[3],), SiteRange("e")),
        Task((names[4],)),
    ]


def test_nothing_to_fold() -> None:
    assert tasks_of([]) == []


def test_a_ledger_that_lacks_events_is_named() -> None:
    counts = {"accepted": 10, "counted": 6, "bot": 1, "excluded": 0, "duplicate": 2}
    (found,) = unbalanced(hour(0), {"demo": counts, "fine": counts | {"accepted": 9}})
    assert str(found) == f"{hour(0)} demo: 10 accepted, 9 accounted for"


def test_an_hour_is_one_hour_long(world: World) -> None:
    for rollup, n in zip(folded(world, archived(world)), range(5), strict=True):
        first = START + n * HOUR_MS
        assert rollup.rows["at"].is_between(first, first + HOUR_MS - 1).all()
