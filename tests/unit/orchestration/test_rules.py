"""A draft of rules previewed, published, brought into force from now on, and taken back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestration.steps.archive_range import archive_range
from orchestration.steps.candidate_range import fold_share, share_of
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.errors import Conflict, Incomplete
from recount.ids import new_id
from recount.ledger import BOT, COUNTED, EXCLUDED
from recount.periods import HOUR_MS, MINUTE_MS, hour_ranges
from recount.rules import EVERY_SITE, Exclusion, Rules
from recount.store.catalog import Site
from recount.store.manifests import Publication
from recount.store.provenance import Provenance
from recount.store.reprocessings import Reprocessing
from tests.unit.orchestration.world import World, hour

STAFF = Rules(exclusions=(Exclusion(kind="country", pattern="DE"),))
ADMIN = Rules(exclusions=(Exclusion(kind="page", pattern="/admin"),))


def three_hours(world: World) -> list[str]:
    """Of each two events one is from Germany."""
    for n in range(3):
        deliver(world, n)
    hours = [hour(n) for n in range(3)]
    world.publish(*hours)
    return hours


def deliver(world: World, n: int) -> None:
    world.deliver(
        [
            world.event(n * HOUR_MS + t * MINUTE_MS, visitor=t + 1, country=("DE", "FR")[t % 2])
            for t in range(4)
        ]
    )


def draft(world: World, rules: Rules, owner: str = "demo") -> int:
    place = world.place
    site = place.rulebook.site(owner)
    return place.rulebook.edit(site, rules, by="eve", why="staff", now_ms=world.clock.ms).version


def preview(
    world: World, hours: list[str], name: str = "look", *, until_now: bool = True, owner: str = "demo"
) -> None:
    book = world.place.rulebook
    found = book.draft(book.site(owner))
    assert found is not None
    book.previewed(found, name)
    world.place.reprocessings.add(
        Reprocessing(
            id=name,
            spans=hour_ranges(hours),
            source="archive",
            reason="staff",
            requested_by="eve",
            requested_ms=1,
            sites=[] if owner == EVERY_SITE else [owner],
            rules={owner: found.version},
            until_now=until_now,
        )
    )
    compute(world, hours, name)


def compute(world: World, hours: list[str], name: str = "look") -> None:
    request = world.place.reprocessings.get(name)
    fold_share(share_of(world.place, request, f"run {new_id()} of {name}"), hours)


def publish(world: World, name: str = "look") -> Publication:
    return world.place.corrections.publish(name, "publisher")


def views(world: World, n: int, site: str = "demo") -> int:
    return world.total(f"hour/{hour(n)}", site).get("pageviews", 0)


def info(world: World, n: int) -> Provenance:
    found = world.place.candidates.info("hour", hour(n), world.confirmed(hour(n)))
    assert found is not None
    return found


def line(world: World, n: int) -> Mapping[str, int]:
    return info(world, n).ledger["demo"]


def version(world: World, n: int) -> int:
    return info(world, n).rules["demo"]


def test_a_preview_shows_nobody_anything_and_its_publication_is_in_force(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours[1:])
    assert [views(world, n) for n in range(3)] == [4, 4, 4]
    deliver(world, 3)
    world.clock.ms += HOUR_MS
    world.publish(hour(3), run="meanwhile")
    assert views(world, 3) == 4, "the draft is not in force"

    with pytest.raises(Incomplete, match=hour(3)):
        publish(world)
    assert world.place.rulebook.site("demo").rules_version == 1
    wanted = world.place.corrections.outdated(
        world.place.reprocessings.get("look"), world.place.reprocessings.hours("look")
    )
    assert wanted == [hour(3)]
    compute(world, wanted)
    publication = publish(world)
    assert [views(world, n) for n in range(4)] == [4, 2, 2, 2]
    assert line(world, 1)[EXCLUDED] == 2
    assert line(world, 1)[COUNTED] == 2
    assert line(world, 1)[BOT] == 0
    assert [version(world, n) for n in range(4)] == [1, 2, 2, 2]
    assert publish(world) == publication, "publishing again finds it done"

    deliver(world, 5)
    world.publish(hour(5), run="as it comes")
    assert views(world, 5) == 2
    for n in (0, 1):
        world.deliver([world.event(n * HOUR_MS + 50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hour(0), hour(1), run="late")
    assert views(world, 0) == 5, "what was counted by the old rules goes on by them"
    assert views(world, 1) == 2
    assert line(world, 1)[EXCLUDED] == 3


def test_a_publisher_that_dies_before_the_rules_are_in_force_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = three_hours(world)
    number = draft(world, STAFF)
    preview(world, hours)
    with monkeypatch.context() as broken:
        broken.setattr(world.place.rulebook.__class__, "bring_into_force", die)
        with pytest.raises(KeyboardInterrupt):
            publish(world)
    assert views(world, 0) == 2
    assert world.place.rulebook.site("demo").rules_version == 1
    root = world.place.manifests.current()
    publication = publish(world)
    assert root is not None
    assert publication.id == root.id, "nothing moves twice"
    assert world.place.rulebook.site("demo").rules_version == number
    assert world.place.reprocessings.get("look").state == "published"


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_hour_folded_before_the_rules_changed_is_folded_again_when_it_is_shown(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    archive_range(world.place, [hours[0]], "slow")
    rollup_range(world.place, made_by("slow", [hours[0]], world.place.archive), "slow", reason="late")
    publish(world)
    publish_range(world.place, [hours[0]], "slow", reason="late")
    assert views(world, 0) == 2
    assert version(world, 0) == 2
    assert line(world, 0)[EXCLUDED] == 3


def test_from_now_on_leaves_the_past_as_it_was(world: World) -> None:
    three_hours(world)
    number = draft(world, STAFF)
    book = world.place.rulebook
    book.bring_into_force("demo", number, {}, how="from now on", now_ms=world.clock.ms)
    deliver(world, 5)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    world.clock.ms += HOUR_MS
    world.publish(hour(0), hour(5), run="both")
    assert (views(world, 0), version(world, 0)) == (5, 1)
    assert (views(world, 5), version(world, 5)) == (2, 2)


def test_a_draft_that_was_edited_since_is_not_published(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    draft(world, ADMIN)
    with pytest.raises(Conflict, match="2 of demo are not the draft any more"):
        publish(world)
    assert views(world, 0) == 4


def test_a_bounded_preview_corrects_its_range_only(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours[:1], until_now=False)
    publish(world)
    assert [views(world, n) for n in range(3)] == [2, 4, 4]
    world.deliver([world.event(HOUR_MS + 50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hours[1], run="late")
    assert (views(world, 1), version(world, 1)) == (5, 1)


def test_a_rollback_takes_the_rules_back_with_the_numbers(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    publication = publish(world)
    world.clock.ms += HOUR_MS
    undone = world.place.rollbacks.undo(publication.id, reason="no", by="eve", now_ms=world.clock.ms)
    assert isinstance(undone, Publication)
    assert [views(world, n) for n in range(3)] == [4, 4, 4]
    site = world.place.rulebook.site("demo")
    assert (site.rules, site.rules_version) == (Rules(), 1)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hours[0], run="late")
    assert (views(world, 0), version(world, 0)) == (5, 1)
    world.place.rulebook.edit(site, STAFF, by="eve", why="", now_ms=world.clock.ms)
    preview(world, hours, "again")
    publish(world, "again")
    assert [version(world, n) for n in range(3)] == [3, 3, 3]


def test_a_rollback_that_is_no_move_back_leaves_the_rules(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    publication = publish(world)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9)])
    world.publish(hours[0], run="late")
    undone = world.place.rollbacks.undo(publication.id, reason="no", by="eve", now_ms=world.clock.ms)
    assert isinstance(undone, Reprocessing)
    assert world.place.rulebook.site("demo").rules_version == 2


def two_sites(world: World) -> list[str]:
    """Three hours of `demo` and of one more site."""
    world.place.catalog.add(Site(id="shop", domain="shop.example"))
    for n in range(3):
        world.deliver(
            [
                world.event(n * HOUR_MS + t, visitor=7 + t, site="shop", country=("DE", "FR")[t])
                for t in range(2)
            ]
        )
    return three_hours(world)


def test_rules_for_all_sites_correct_the_past_of_each_and_count_what_comes(world: World) -> None:
    hours = two_sites(world)
    assert [views(world, n, "shop") for n in range(3)] == [2, 2, 2]
    draft(world, STAFF, EVERY_SITE)
    preview(world, hours[1:], owner=EVERY_SITE)
    assert [views(world, n) for n in range(3)] == [4, 4, 4], "nobody sees it yet"
    publication = publish(world)
    assert [views(world, n) for n in range(3)] == [4, 2, 2]
    assert [views(world, n, "shop") for n in range(3)] == [2, 1, 1]
    assert line(world, 1)[EXCLUDED] == 2
    assert [info(world, n).common for n in range(3)] == [{}, *[{"demo": 2, "shop": 2}] * 2]
    for site in ("demo", "shop"):
        [written] = world.place.logbook.log.of_site(site)
        assert (written.publication, written.reason) == (publication.id, "staff")

    world.place.catalog.add(Site(id="fresh", domain="fresh.example"))
    deliver(world, 5)
    world.deliver(
        [world.event(5 * HOUR_MS + t, visitor=t, site="fresh", country=("DE", "FR")[t % 2]) for t in range(4)]
    )
    world.clock.ms += HOUR_MS
    world.publish(hour(5), run="as it comes")
    assert views(world, 5, "fresh") == 2, "a new site has them from its first hour"
    assert info(world, 5).common == {"demo": 2, "fresh": 2}
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hour(0), run="late")
    assert views(world, 0) == 5, "what was counted without them goes on without"


def test_a_rollback_takes_the_rules_for_all_sites_back(world: World) -> None:
    hours = two_sites(world)
    draft(world, STAFF, EVERY_SITE)
    preview(world, hours, owner=EVERY_SITE)
    publication = publish(world)
    undone = world.place.rollbacks.undo(publication.id, reason="no", by="eve", now_ms=world.clock.ms)
    assert isinstance(undone, Publication)
    assert [views(world, n, "shop") for n in range(3)] == [2, 2, 2]
    assert world.place.rulebook.common().rules == Rules()


def test_a_sites_rules_and_those_for_all_are_published_one_onto_the_other(world: World) -> None:
    """A preview of a site that was counted without what came into force since is counted again."""
    hours = two_sites(world)
    draft(world, ADMIN)
    preview(world, hours, "own")
    draft(world, STAFF, EVERY_SITE)
    preview(world, hours, "common", owner=EVERY_SITE)
    publish(world, "common")
    with pytest.raises(Conflict, match="Published again since reprocessing own"):
        publish(world, "own")
    compute(world, hours, "own")
    publish(world, "own")
    assert [views(world, n) for n in range(3)] == [2, 2, 2]
    assert (info(world, 0).rules["demo"], info(world, 0).common) == (2, {"demo": 2, "shop": 2})


def test_an_hour_folded_before_the_rules_for_all_changed_is_folded_again(world: World) -> None:
    hours = three_hours(world)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    archive_range(world.place, [hours[0]], "slow")
    rollup_range(world.place, made_by("slow", [hours[0]], world.place.archive), "slow", reason="late")
    draft(world, STAFF, EVERY_SITE)
    preview(world, hours, owner=EVERY_SITE)
    publish(world)
    publish_range(world.place, [hours[0]], "slow", reason="late")
    assert views(world, 0) == 2
    assert info(world, 0).common == {"demo": 2}
    assert line(world, 0)[EXCLUDED] == 3
