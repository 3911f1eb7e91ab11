"""What the door knows of sites and days, and when it forgets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from edge import rules as rules_module
from edge.rules import DaySalts, Sites
from recount.errors import Unavailable
from recount.periods import HOUR_MS
from recount.store.catalog import Catalog, Site
from recount.store.memory_table import MemoryTable
from recount.store.salts import Salts, visitor_hex
from tests.unit.edge.conftest import Room


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class World:
    def __init__(self, zone: str = "UTC") -> None:
        self.now = 0.0
        self.table = MemoryTable()
        self.catalog = Catalog(MemoryTable())
        self.catalog.add(Site(id="s", domain="s.example", timezone=zone))
        self.day_salts = DaySalts(Salts(self.table), lambda: self.now)
        self.sites = Sites(self.catalog, self.day_salts, partitions=6)
        self.sites.refresh()

    @property
    def rules(self) -> rules_module.SiteRules:
        found = self.sites.get("s")
        assert found is not None
        return found

    def salt(self, moment: str) -> bytes:
        return self.day_salts.of(self.rules, ms(moment))

    def days(self) -> set[str]:
        return {item["sk"] for item in self.table.scan()}


def test_a_salt_is_of_the_sites_local_day() -> None:
    world = World("America/New_York")
    assert world.salt("2026-03-08T05:00") == world.salt(
        "2026-03-09T03:59"
    )  # 23 hours long: summer time begins
    assert world.salt("2026-03-09T04:00") != world.salt("2026-03-09T03:59")
    assert world.days() == {"2026-03-08", "2026-03-09"}


def test_all_instances_hash_alike() -> None:
    world = World()
    other = DaySalts(Salts(world.table))
    assert other.of(world.rules, ms("2026-03-08T05:00")) == world.salt("2026-03-08T05:00")


def test_an_outage_is_not_asked_about_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    asked = []

    def away(*_: object, **__: object) -> None:
        asked.append(1)
        raise Unavailable("dynamodb", "away")

    with monkeypatch.context() as patch:
        patch.setattr(world.table, "get", away)
        for _ in range(5):
            with pytest.raises(Unavailable):
                world.salt("2026-03-08T05:00")
        assert len(asked) == 1
        world.now += 60
        with pytest.raises(Unavailable):
            world.salt("2026-03-08T05:00")
        assert len(asked) == 2
    world.now += 60
    assert world.salt("2026-03-08T05:00")


def test_the_next_day_is_prepared_before_midnight() -> None:
    world = World()
    now = ms("2026-03-08T23:10")
    world.day_salts.prepare(world.rules, now)
    assert world.days() == set()  # a site that is not in use needs none
    world.salt("2026-03-08T23:10")
    world.day_salts.prepare(world.rules, now)
    assert world.days() == {"2026-03-08"}
    world.day_salts.prepare(world.rules, now + HOUR_MS // 2)
    assert world.days() == {"2026-03-08", "2026-03-09"}


def test_old_days_are_forgotten_here_and_in_the_table() -> None:
    world = World()
    for day in ("2026-03-05", "2026-03-07", "2026-03-08"):
        world.salt(f"{day}T12:00")
    Salts(world.table).of("s", "import-1/2015-05-17")
    world.day_salts.sweep(world.rules, ms("2026-03-08T13:00"))
    assert world.days() == {"2026-03-07", "2026-03-08", "import-1/2015-05-17"}
    assert len(world.rules.windows) == 2


def test_visitors_are_remembered_no_longer_than_the_salts_they_were_hashed_with() -> None:
    world = World()

    def come() -> int:
        """How many visitors are remembered after one has come on each of three days."""
        for day in ("2026-03-05", "2026-03-07", "2026-03-08"):
            salt = world.salt(f"{day}T12:00")
            visitor = world.day_salts.visitors(salt, "s", "192.0.2.7", "Bot/1.0")
            assert visitor == visitor_hex(salt, "s", "192.0.2.7", "Bot/1.0")
        return world.day_salts.visitors.cache_info().currsize

    assert come() == come() == 3
    world.sites.refresh()
    assert come() == 3
    world.day_salts.sweep(world.rules, ms("2026-03-08T13:00"))
    assert world.day_salts.visitors.cache_info().currsize == 0
    come()
    world.catalog.remove("s")
    world.sites.refresh()
    assert world.day_salts.visitors.cache_info().currsize == 0


def test_a_request_under_way_remembers_nothing_of_a_site_that_goes_meanwhile(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.add(Site(id="s", domain="s.example"))
    salt_of = room.door.salt_of

    def salt_and_gone(rules: rules_module.SiteRules, ts: int) -> bytes:
        salt = salt_of(rules, ts)
        if room.catalog.sites().get("s"):
            room.catalog.remove("s")
            room.sites.refresh()
        return salt

    def come(site: str) -> int:
        """How many visitors are remembered after one has come."""
        assert room.post({"site": site, "url": "https://s.example/"}).status_code == 202
        remembered: int = cast("Any", room.door.visitor_of).cache_info().currsize
        return remembered

    monkeypatch.setattr(room.door, "salt_of", salt_and_gone)
    assert come("s") == 0
    assert come("shop") == come("shop") == 1


def test_a_changed_site_keeps_its_days_unless_its_zone_changed() -> None:
    world = World()
    world.salt("2026-03-08T12:00")
    world.catalog.update(Site(id="s", domain="other.example"))
    world.sites.refresh()
    assert world.rules.site.domain == "other.example"
    assert len(world.rules.windows) == 1
    world.catalog.update(Site(id="s", domain="other.example", timezone="Asia/Tokyo"))
    world.sites.refresh()
    assert world.rules.windows == []


def test_the_catalog_is_read_again_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "REFRESH_S", 0.01)
    world = World()
    world.sites.loaded = False
    world.sites.start()
    for _ in range(3000):
        if world.sites.loaded:
            break
        world.sites._stop.wait(0.01)
    world.sites.stop()
    assert world.sites.loaded
