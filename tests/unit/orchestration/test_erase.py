"""Erasures on stores in memory: what is left is what a count of our own says, and nothing brings it back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from orchestration.steps.archive_range import archive_range
from orchestration.steps.candidate_range import archive_share, fold_share, share_of
from orchestration.steps.erase import Eraser
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.reconcile import State, look
from orchestration.steps.rollup_range import rollup_range
from recount.erasing.finding import holdings, hours_concerned
from recount.erasing.tombstone import What
from recount.errors import Incomplete, InvalidInput
from recount.event import EVENT_SCHEMA
from recount.periods import HOUR_MS, MINUTE_MS
from recount.publishing.collect import RUN_MAX_MS
from recount.store.archive import Archive, ArchiveInfo
from recount.store.catalog import Site
from recount.store.erasures import Erasure, tombstone_of
from recount.store.manifests import Publication
from recount.store.provenance import period_key
from recount.store.reprocessings import Reprocessing
from tests.unit.orchestration.world import World, hour

ALICE, BOB, CAROL = 1, 2, 3
DAY = "day/2026-09-21"


@pytest.fixture
def world(tmp_path: Any) -> World:
    """Alice and Bob over three hours, one visit of Alice's across two of them; another site beside them."""
    world = World(tmp_path, dax="", raw_ttl_days=35)
    world.place.catalog.add(Site(id="other", domain="other.example"))
    events = []
    for n in range(3):
        for visitor in (ALICE, BOB):
            at = n * 60 + 40 + visitor
            events += [
                world.event(at * MINUTE_MS, visitor, url=f"https://demo.example/{page}", props={"who": page})
                for page in ("home", f"user/{visitor}")
            ]
        events.append(world.event((n * 60 + 50) * MINUTE_MS, BOB, site="other"))
    events.append(world.event(65 * MINUTE_MS, ALICE, url="https://demo.example/late"))
    twice = world.event(10 * MINUTE_MS, ALICE, id="twice")
    world.deliver([*events, twice, world.event(10 * MINUTE_MS, ALICE, id="twice")])
    world.publish(hour(0), hour(1), hour(2))
    return world


def order(world: World, what: What = "visitor", **given: Any) -> Erasure:
    """As `recount erase` records it."""
    place = world.place
    site = place.catalog.get("demo")
    assert site is not None
    erasure = Erasure(
        id="order",
        site=site,
        what=what,
        subject=what,
        reason="she asked",
        requested_by="test",
        requested_ms=world.clock.ms,
        before_ms=world.clock.ms,
        expires_ms=world.clock.ms + 92 * 24 * 60 * MINUTE_MS,
    )
    place.erasures.add(erasure)
    place.tombstones.put(tombstone_of(erasure, **given))
    return erasure


def eraser(world: World) -> Eraser:
    return Eraser(world.place, world.place.erasures.get("order"), "run", lambda _: 0)


def erase(world: World, what: What = "visitor", **given: Any) -> Erasure:
    given = given or ({"visitor": ALICE} if what == "visitor" else {})
    order(world, what, **given)
    eraser(world).rewrite()
    return eraser(world).show()


def totals(world: World, site: str = "demo") -> dict[str, dict[str, int]]:
    keys = [*(period_key("hour", hour(n)) for n in range(4)), DAY]
    return {key: world.total(key, site) for key in keys if key in _shown(world)}


def _shown(world: World) -> set[str]:
    manifests = world.place.manifests
    root = manifests.current()
    assert root is not None
    return {key for m in manifests.manifests(root.months).values() for key in m.periods}


def ledger(world: World, n: int, site: str = "demo") -> dict[str, int]:
    info = world.place.candidates.info("hour", hour(n), world.confirmed(hour(n)))
    assert info is not None
    return dict(info.ledger.get(site, {}))


def everything(world: World) -> str:
    """All that is stored of events and rollups, as text: raw items, archives, files of rollups."""
    place = world.place
    parts = [place.raw.read(hour(n)) for n in range(4)]
    unfiltered = type(place.raw)(place.tables.raw, place.settings)
    parts += [unfiltered.read(hour(n)) for n in range(4)]
    for (name, generation), _ in place.archive.stored().items():
        info = place.archive.info(name, generation)
        assert info is not None
        if info.events:
            parts += [place.archive.read_events(name, generation)]
    texts = [msgspec.json.encode(part.to_dicts()).decode() for part in parts]
    for kind, period, generation in place.candidates.stored():
        rows = place.candidates.read(kind, period, generation).rows
        texts.append(msgspec.json.encode(rows.to_dicts()).decode())
    return "".join(texts)


def test_a_visitor_is_gone_from_every_number_and_every_store(world: World) -> None:
    before, other = totals(world), totals(world, "other")
    assert before[DAY]["pageviews"] == 14
    accepted = [ledger(world, n)["accepted"] for n in range(3)]
    done = erase(world)
    assert (done.state, done.left) == ("done", 0)
    assert {key: found["pageviews"] for key, found in totals(world).items()} == {
        **{period_key("hour", hour(n)): 2 for n in range(3)},
        **{period_key("hour", hour(3)): 0, DAY: 6},
    }
    assert totals(world)[DAY]["visitor_count"] == 1
    assert totals(world, "other") == other
    assert "user/1" not in everything(world)
    assert [ledger(world, n)["accepted"] for n in range(3)] == accepted, "what was accepted stays"
    assert [ledger(world, n).get("erased", 0) for n in range(3)] == [3, 3, 2]
    assert [ledger(world, n)["duplicate"] for n in range(3)] == [1, 0, 0]


def test_the_report_says_what_an_independent_count_says(world: World) -> None:
    done = erase(world)
    report = {line.store: line for line in done.report}
    assert (report["raw items"].before, report["raw items"].after) == (9, 0)
    assert (report["archive"].before, report["archive"].after) == (8, 0)
    assert report["rollups"].after == 0
    assert (report["rollups"].before or 0) > 0
    assert report["kafka"].until_ms == done.requested_ms + world.place.settings.kafka_retention_ms
    assert done.figures["published_hours"] == 4, "and the hour in which her last visit ended"


def test_nothing_is_stale_afterwards(world: World) -> None:
    erase(world)
    place = world.place
    assert look(State(), place.raw, place.manifests, sorted(place.log.ranges())).waiting == {}


def test_it_does_not_come_back_from_raw_events_nor_by_rollback_nor_from_kafka(world: World) -> None:
    first = world.place.manifests.current()
    assert first is not None
    done = erase(world)
    after = totals(world)
    for publication in (first.id, done.publication):
        with pytest.raises(InvalidInput, match="erasure order, so it cannot be undone"):
            world.place.rollbacks.plan(publication)
    world.store(range(16))  # Kafka delivers all of it again
    world.publish(hour(0), hour(1), hour(2), run="again")
    assert totals(world) == after
    assert "user/1" not in everything(world)
    assert [ledger(world, n).get("erased", 0) for n in range(3)] == [4, 3, 2], "with the duplicate"
    assert [ledger(world, n)["duplicate"] for n in range(3)] == [0, 0, 0]


def archived_again(world: World) -> None:
    """Candidates of all three hours from raw events, by the reprocessing `fix`."""
    asked = Reprocessing(
        id="fix",
        spans=[(hour(0), hour(2))],
        source="raw",
        reason="again",
        requested_by="test",
        requested_ms=1,
    )
    share = share_of(world.place, asked, "redo")
    archive_share(share, asked.hours)
    fold_share(share, asked.hours)


def test_a_reprocessing_from_raw_events_cannot_bring_it_back(world: World) -> None:
    erase(world)
    after = totals(world)
    archived_again(world)
    assert isinstance(world.place.corrections.publish("fix"), Publication)
    assert totals(world) == after
    assert "user/1" not in everything(world)


def test_candidates_that_hold_it_are_refused_with_the_reason(world: World) -> None:
    archived_again(world)
    erase(world)
    with pytest.raises(InvalidInput, match="erasure order took events of its hours"):
        world.place.corrections.publish("fix")
    assert "user/1" not in everything(world)


def test_a_candidate_of_an_hour_folded_before_is_not_published(world: World) -> None:
    """A run that archived and folded before the erasure, and publishes after it."""
    archive_range(world.place, [hour(0)], "slow")
    rollup_range(world.place, made_by("slow", [hour(0)], world.place.archive), "slow", reason="test")
    erase(world)
    after = totals(world)
    publish_range(world.place, [hour(0)], "slow", reason="test")
    assert totals(world) == after


def test_later_events_of_the_visitor_are_counted(world: World) -> None:
    erase(world)
    world.clock.ms += 60 * MINUTE_MS
    ts = world.clock.ms - 30 * MINUTE_MS - 1_790_002_800_000
    world.deliver([world.event(ts, ALICE)])
    world.clock.ms += 60 * MINUTE_MS
    name = hour(5)
    world.publish(name)
    assert world.total(period_key("hour", name))["pageviews"] == 1
    assert eraser(world).rewrite().state == "open"
    assert eraser(world).show().state == "done", "again, and what is new stays"
    assert world.total(period_key("hour", name))["pageviews"] == 1


def test_pages_go_whole_and_visits_are_cut_again(world: World) -> None:
    erase(world, "page", page="/user/*")
    assert totals(world)[DAY]["pageviews"] == 8
    assert not {value for value in world.values(DAY, "page") if "user" in value}
    assert not {value for value in world.values(DAY, "exit_page") if "user" in value}
    assert "demo.example/user/" not in everything(world)
    assert "/user/" not in everything(world)


def test_a_property_goes_and_everything_else_stays(world: World) -> None:
    before = totals(world)
    assert world.values(DAY, "prop:who") == set(), "pageviews' properties are no rows"
    erase(world, "property", name="who", value="user/*")
    assert totals(world) == before
    assert '"who":"user' not in everything(world).replace("\\", "")
    assert '"who":"home' in everything(world).replace("\\", "")
    assert "erased" not in ledger(world, 0)


def test_a_site_is_gone_whole(world: World) -> None:
    place = world.place
    token = place.catalog.new_token("demo")
    other = totals(world, "other")
    erase(world, "site")
    assert place.catalog.get("demo") is None
    assert place.catalog.tokens() == {}, token
    assert not any(totals(world).values())
    assert totals(world, "other") == other
    assert '"site":"demo"' not in everything(world)
    assert ledger(world, 0) == {}
    world.publish(hour(0), hour(1), hour(2), run="again")
    assert ledger(world, 0) == {}
    assert totals(world, "other") == other
    assert place.collector.look(world.clock.ms + RUN_MAX_MS).manifests is not None


STEPS = ["archive", "rewritten", "history", "drop", "verify"]


class Killed(BaseException):
    """Nothing after it runs."""


def run_until(world: World, step: str) -> None:
    """A run that dies when it comes to a step."""

    def kill(text: str) -> None:
        if text == step:
            raise Killed

    def start() -> Eraser:
        return Eraser(world.place, world.place.erasures.get("order"), "run", lambda _: 0, kill)

    start().rewrite()
    start().show()


@pytest.mark.parametrize("step", [*STEPS, hour(0)])
def test_killed_at_any_step_it_goes_on_to_the_same_end(world: World, step: str) -> None:
    order(world, visitor=ALICE)
    with pytest.raises(Killed):
        run_until(world, step)
    eraser(world).rewrite()
    done = eraser(world).show()
    assert (done.state, done.left) == ("done", 0)
    assert totals(world)[DAY]["pageviews"] == 6
    assert "user/1" not in everything(world)
    assert {line.store: line.before for line in done.report}["archive"] == 8
    assert totals(world)[period_key("hour", hour(3))]["ended_visits"] == 1


def test_what_is_left_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order(world, visitor=ALICE)
    eraser(world).rewrite()
    monkeypatch.setattr("recount.erasing.dropping.Dropper.empty_archives", lambda _: 0)
    with pytest.raises(Incomplete, match=r"\d+ in archive. Run it again: recount erase resume order"):
        eraser(world).show()
    assert world.place.erasures.get("order").state == "open"


def test_an_erasure_without_anything_to_erase_is_done(world: World) -> None:
    before = totals(world)
    done = erase(world, visitor=CAROL)
    assert (done.state, done.hours, done.publication) == ("done", [], "")
    assert totals(world) == before


def test_events_keep_their_schema(world: World) -> None:
    erase(world)
    assert world.place.raw.read(hour(0)).schema == pl.Schema(EVENT_SCHEMA)


def holding(world: World, hours: list[str]) -> list[tuple[str, str, int]]:
    tombstone = world.place.tombstones.get("order")
    assert tombstone is not None
    found = holdings(world.place.archive, tombstone, hours)
    return [(one.info.hour, one.info.generation, one.traces) for one in found]


def test_only_hours_that_can_name_the_site_are_read_and_nothing_escapes(world: World) -> None:
    """Whatever the list of sites knows by then: nothing, some, or generations that were emptied since."""
    place = world.place
    world.clock.ms += 5 * HOUR_MS
    for n in range(5, 9):  # hours of another site alone
        world.deliver([world.event(n * HOUR_MS + MINUTE_MS, BOB, site="other")])
    world.publish(*(hour(n) for n in range(5, 9)))
    order(world, "visitor", visitor=ALICE)
    everywhere = holding(world, place.archive.hours())
    assert {name for name, _, _ in everywhere} == {hour(n) for n in range(4)}

    def concerned() -> list[str]:
        return hours_concerned(place.archive_sites.of("demo"))

    assert holding(world, concerned()) == everywhere
    assert place.archive_sites.extend() == len(place.archive.stored())
    assert place.archive_sites.extend() == 0
    assert holding(world, concerned()) == everywhere
    assert set(concerned()).isdisjoint({hour(n) for n in range(7, 9)})

    eraser(world).rewrite()
    after = holding(world, place.archive.hours())
    assert holding(world, concerned()) == after
    assert place.archive_sites.extend() == 4, "just what was written since"
    eraser(world).show()
    assert holding(world, place.archive.hours()) == holding(world, concerned()) == []


def test_a_look_reads_the_seals_of_new_generations_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.place
    place.archive_sites.extend()
    read: list[str] = []

    def noted(archive: Archive, name: str, generation: str, info: Any = Archive.info) -> ArchiveInfo | None:
        read.append(name)
        found: ArchiveInfo | None = info(archive, name, generation)
        return found

    monkeypatch.setattr(Archive, "info", noted)
    assert place.archive_sites.of("demo").hours == [hour(n) for n in range(3)]
    assert read == []
    world.deliver([world.event(5 * HOUR_MS, BOB)])
    world.clock.ms += HOUR_MS
    world.publish(hour(5))
    read.clear()
    assert place.archive_sites.of("demo").hours == [*(hour(n) for n in range(3)), hour(5)]
    assert set(read) <= {hour(5), hour(6)}


def test_a_generation_that_a_backup_brings_back_is_found(world: World, tmp_path: Path) -> None:
    order(world, "visitor", visitor=ALICE)
    backup = tmp_path / "backup"
    shutil.copytree(tmp_path / "archive", backup)
    before = holding(world, world.place.archive.hours())
    eraser(world).rewrite()
    eraser(world).show()
    world.place.archive_sites.extend()
    shutil.copytree(backup, tmp_path / "archive", dirs_exist_ok=True)
    found = hours_concerned(world.place.archive_sites.of("demo"))
    assert [h for h in holding(world, found) if h in before] == before


def test_an_erased_site_is_not_named_by_the_list_of_sites(world: World, tmp_path: Path) -> None:
    world.place.archive_sites.extend()
    erase(world, "site")
    world.place.archive_sites.extend()
    assert world.place.archive_sites.of("demo").hours == []
    assert world.place.archive_sites.of("other").hours == [hour(n) for n in range(3)]
    parts = list(tmp_path.rglob("archive-sites/**/rows.parquet"))
    assert parts
    assert all("demo" not in pl.read_parquet(part)["site"] for part in parts)


def test_a_site_goes_from_hours_that_only_counted_what_was_set_aside(world: World, tmp_path: Path) -> None:
    """No event of it is archived there, and still the seals of that hour name it."""
    place = world.place
    world.clock.ms += 2 * HOUR_MS
    world.deliver(
        [world.event(5 * HOUR_MS, BOB, v=99), world.event(5 * HOUR_MS + MINUTE_MS, BOB, site="other")]
    )
    world.publish(hour(5))
    assert ledger(world, 5)["quarantined"] == 1
    place.archive_sites.extend()
    erase(world, "site")
    assert ledger(world, 5) == {}
    seals = list((tmp_path / "archive" / "archive").rglob("generation.json"))
    assert len(seals) > 4
    assert not [seal for seal in seals if b'"demo"' in seal.read_bytes()]
    for kind, period, generation in place.candidates.stored():
        made = place.candidates.info(kind, period, generation)
        assert made is not None
        said = (made.sites, made.ledger, made.rules, made.common, made.zones)
        assert made.reason == "erasure order" or not any("demo" in of_sites for of_sites in said), made
